"""Trackers have what a run wrote, offline; one that fails costs only itself."""

import json
import os
import pathlib
import struct
import tempfile
import time

from absl import logging
from absl.testing import absltest
from absl.testing import parameterized
import pytest

from learner.reporting import trackers

_CONFIG = {'env': 'catch', 'learned': ['discount'], 'seed': 3}
# Modules in place of wandb: what they do at the start of a run.
_FAKES = {
  'hangs': 'Settings = dict\ndef init(**_): import time; time.sleep(1000)',
  'raises': 'Settings = dict\ndef init(**_): raise OSError("no such host")',
  'dies': 'import os; os._exit(9)',
}


def _wandb_records(path: pathlib.Path) -> list:
  """The records of a .wandb file, which is LevelDB's log format."""
  from wandb.proto import wandb_internal_pb2

  contents, at, parts, records = path.read_bytes(), 7, [], []
  while at + 7 <= len(contents):
    if 32768 - at % 32768 < 7:  # No room for a header: the block is padded.
      at += 32768 - at % 32768
      continue
    _, size, kind = struct.unpack_from('<IHB', contents, at)
    parts.append(contents[at + 7 : at + 7 + size])
    at += 7 + size
    if kind in (1, 4):  # Whole, or the last part.
      records.append(wandb_internal_pb2.Record.FromString(b''.join(parts)))
      parts = []
  return records


class TrackersTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = self.folder / 'my-run'
    self.workdir.mkdir()
    variables = {
      'TRACKIO_DIR': str(self.folder / 'trackio'),
      'WANDB_MODE': 'offline',
    }
    self.enterContext(absltest.mock.patch.dict(os.environ, variables))

  def _tracker(self, kind, **kwargs):
    return trackers.Tracker(
      kind, self.workdir, project='a_project', config=_CONFIG, **kwargs
    )

  def _run_twice(self, kind):
    """As a run that is resumed; returns its log."""
    figure = self.folder / 'curves.png'
    from PIL import Image

    Image.new('RGB', (4, 4)).save(figure)
    video, page = self.folder / 'best.gif', self.folder / 'report.html'
    Image.new('RGB', (4, 4)).save(video)
    page.write_text('<p>A report.</p>')
    for env_frames in (100, 200):
      tracker = self._tracker(kind)
      tracker.write({'env_frames': env_frames, 'loss': env_frames / 8})
      tracker.file('curves', figure)
      tracker.file('best', video)
      tracker.file('report', page)
      tracker.close()
    return (self.workdir / 'logs' / f'{kind}.log').read_text()

  @pytest.mark.timeout(300)
  def test_wandb_has_what_was_written(self):
    pytest.importorskip('wandb')
    log = self._run_twice('wandb')
    paths = sorted(self.workdir.glob('wandb/offline-run-*/*.wandb'))
    self.assertLen(paths, 2, log)
    ids = set()
    for path, env_frames in zip(paths, (100, 200)):
      records = _wandb_records(path)
      (run,) = (x.run for x in records if x.WhichOneof('record_type') == 'run')
      ids.add(run.run_id)
      self.assertEqual(run.project, 'a_project')
      config = {x.key: json.loads(x.value_json) for x in run.config.update}
      self.assertContainsSubset(_CONFIG, config)
      rows = [
        {
          item.key or item.nested_key[0]: json.loads(item.value_json)
          for item in record.history.item
        }
        for record in records
        if record.WhichOneof('record_type') == 'history'
      ]
      self.assertEqual(rows[0]['env_frames'], env_frames)
      self.assertEqual(rows[0]['loss'], env_frames / 8)
      for name, row in zip(('curves', 'best', 'report'), rows[1:], strict=True):
        self.assertTrue(any(name in key for key in row), row)
    self.assertLen(ids, 1)  # The resumed run is the same one.

  @pytest.mark.timeout(300)
  def test_trackio_has_what_was_written(self):
    pytest.importorskip('trackio')
    log = self._run_twice('trackio')
    import sqlite3

    path = self.folder / 'trackio' / 'a_project.db'
    self.assertTrue(path.exists(), log)
    with sqlite3.connect(path) as database:
      found = database.execute(
        'SELECT run_name, metrics, step FROM metrics ORDER BY id'
      ).fetchall()
      ((config,),) = database.execute('SELECT config FROM configs').fetchall()
    database.close()
    names = {name for name, *_ in found}
    self.assertLen(names, 1)
    self.assertStartsWith(*names, 'my-run-')
    rows = [json.loads(metrics) for _, metrics, _ in found]
    losses = [
      (step, row['loss'])
      for row, (*_, step) in zip(rows, found, strict=True)
      if 'loss' in row
    ]
    self.assertEqual(losses, [(100, 100 / 8), (200, 200 / 8)])
    for name, times in (('curves', 2), ('best', 2), ('report', 0)):
      self.assertLen([row for row in rows if name in row], times, name)
    self.assertContainsSubset(_CONFIG, json.loads(config))

  @parameterized.parameters(
    ('hangs', 'did not finish in 1 s'), ('raises', 'fail'), ('dies', 'fail')
  )
  def test_a_tracker_that_fails_costs_only_itself(self, name, text):
    (self.folder / 'wandb.py').write_text(_FAKES[name])
    variables = {'PYTHONPATH': str(self.folder)}
    self.enterContext(absltest.mock.patch.dict(os.environ, variables))
    self.enterContext(absltest.mock.patch.object(trackers.extras, 'find'))
    with self.assertLogs(logging.get_absl_logger(), 'ERROR') as logs:
      tracker = self._tracker('wandb', close_secs=1.0)
      started = time.monotonic()
      for env_frames in range(5000):  # More than a pipe holds.
        tracker.write({'env_frames': env_frames, 'loss': 1 / 3})
      self.assertLess(time.monotonic() - started, 20.0)
      tracker.close()
    self.assertLen(logs.output, 1)  # Said once.
    self.assertRegex(logs.output[0], f'wandb {text}.*goes on without it')

  def test_one_that_is_not_installed_is_named(self):
    with (
      absltest.mock.patch.object(
        trackers.extras.util, 'find_spec', return_value=None
      ),
      self.assertRaisesRegex(ValueError, r'pip install .seed-metagrad\[wandb'),
    ):
      self._tracker('wandb')


if __name__ == '__main__':
  absltest.main()
