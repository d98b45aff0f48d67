"""One learner at a time, one config throughout, nothing deleted."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from learner.storage import lock
from learner.storage import workdir
from seed_metagrad import config as config_lib

_SMOKE = config_lib.preset('smoke')


class WorkdirTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.parent = pathlib.Path(
      self.enterContext(tempfile.TemporaryDirectory())
    ).resolve()
    self.path = self.parent / 'runs' / 'one'

  def _open(self, config=_SMOKE, **kwargs):
    return workdir.open_workdir(self.path, config, **kwargs)

  def test_open_writes_the_config(self):
    with self._open() as path:
      fields = json.loads((path / 'config.json').read_text())
    self.assertEqual(path, self.path)
    self.assertEqual(fields['env'], 'catch')
    self.assertEqual(fields['learned'], ['discount', 'lambda_'])
    self.assertEqual(workdir.read_config(self.path), _SMOKE)

  def test_open_resumes_when_only_changeable_fields_differ(self):
    with self._open() as path:
      (path / 'metrics.csv').write_text('kept')
    longer = dataclasses.replace(_SMOKE, total_env_frames=99, num_actors=7)
    with self._open(longer) as path:
      self.assertEqual((path / 'metrics.csv').read_text(), 'kept')
    self.assertEqual(workdir.read_config(self.path), longer)

  def test_changeable_fields_are_fields(self):
    names = {field.name for field in dataclasses.fields(_SMOKE)}
    self.assertLessEqual(workdir.CHANGEABLE, names)

  @parameterized.parameters(
    ('metrics.csv', 'env_frames\n80\n'), ('checkpoints/checkpoint_7.npz', 'x')
  )
  def test_open_refuses_another_config_once_anything_was_trained(
    self, name, text
  ):
    other = dataclasses.replace(_SMOKE, seed=2)
    with self._open() as path:
      (path / 'metrics.csv').write_text('env_frames\n')  # No row.
      (path / 'checkpoints').mkdir()
      (path / 'logs').mkdir()
    with self._open(other):
      pass
    self.assertEqual(workdir.read_config(self.path), other)
    (path / name).write_text(text)
    with self.assertRaisesRegex(ValueError, 'seed was 2, is now 1'):
      with self._open():
        pass

  def test_a_longer_run_says_that_the_learning_rate_rises(self):
    with self._open(dataclasses.replace(_SMOKE, total_env_frames=1000)) as path:
      (path / 'metrics.csv').write_text('env_frames\n80\n')
    longer = dataclasses.replace(_SMOKE, total_env_frames=4000)
    kept = dataclasses.replace(longer, decay_env_frames=1000)
    with self.assertNoLogs(level='WARNING'):
      with self._open(kept):
        pass
    with self.assertLogs(level='WARNING') as logs:
      with self._open(longer):
        pass
    # 2e-3 falls to 0 over 4000 frames: 1.5e-3 after 1000.
    self.assertRegex(
      logs.output[0],
      'until 4000 frames, not 1000: there it is 0.0015 and not 0. '
      '--decay_env_frames=1000 keeps',
    )

  def test_no_lock_is_left_in_a_folder_of_others(self):
    self.path.mkdir(parents=True)
    (self.path / 'thesis.tex').write_text('mine')
    with self.assertRaises(ValueError), self._open():
      pass
    self.assertEqual(os.listdir(self.path), ['thesis.tex'])

  def test_the_home_folder_is_a_tilde(self):
    self.enterContext(mock.patch.dict(os.environ, HOME=str(self.parent)))
    with workdir.open_workdir('~/one', _SMOKE) as path:
      self.assertEqual(path, self.parent / 'one')

  @parameterized.parameters(
    ('{"env": "cat', 'is not JSON'),
    ('[]', 'must be an object'),
    ('{"seed": "1"}', "config.json: .*'str'"),
    ('{"seed": -1}', 'config.json: seed must be at least 0, got -1'),
  )
  def test_read_config_names_the_file_that_is_damaged(self, text, message):
    self.path.mkdir(parents=True)
    (self.path / 'config.json').write_text(text)
    with self.assertRaisesRegex(ValueError, f'{self.path}.*{message}'):
      workdir.read_config(self.path)

  def test_open_refuses_when_another_config_was_used(self):
    with self._open() as path:
      (path / 'metrics.csv').write_text('env_frames\n80\n')
    other = dataclasses.replace(_SMOKE, learned=(), discount=0.5)
    with (
      self.assertRaisesRegex(
        ValueError,
        r"learned was \('discount', 'lambda_'\), is now \(\);"
        ' discount was 0.99, is now 0.5',
      ),
      self._open(other),
    ):
      pass
    self.assertEqual(workdir.read_config(self.path), _SMOKE)

  def test_restart_moves_the_old_contents_beside(self):
    with self._open() as path:
      (path / 'metrics.csv').write_text('kept')
    other = dataclasses.replace(_SMOKE, seed=2)
    with self._open(other, restart=True) as path:
      self.assertCountEqual(os.listdir(path), ['config.json', 'lock'])
    self.assertEqual(workdir.read_config(self.path), other)
    (old,) = set(self.path.parent.iterdir()) - {self.path}
    self.assertStartsWith(old.name, 'one.')
    self.assertEqual((old / 'metrics.csv').read_text(), 'kept')
    self.assertEqual(workdir.read_config(old), _SMOKE)

  @parameterized.parameters(False, True)
  def test_open_refuses_when_the_folder_is_no_workdir(self, restart):
    self.path.mkdir(parents=True)
    (self.path / 'thesis.tex').write_text('mine')
    with self.assertRaisesRegex(ValueError, 'holds thesis.tex and no config'):
      with self._open(restart=restart):
        pass
    self.assertEqual((self.path / 'thesis.tex').read_text(), 'mine')

  @parameterized.parameters(False, True)
  def test_open_refuses_when_another_learner_holds_it(self, restart):
    with self._open():
      with self.assertRaisesRegex(
        lock.InUseError, f'one is in use .* pid {os.getpid()}'
      ):
        with self._open(restart=restart):
          pass
    self.assertEqual(os.listdir(self.path.parent), ['one'])

  def test_the_lock_is_free_when_its_holder_was_killed(self):
    program = (
      'import sys\nfrom learner.storage import workdir\n'
      'from seed_metagrad import config\n'
      'with workdir.open_workdir(sys.argv[1],'
      ' config.preset("smoke")):\n'
      '  print("open", flush=True)\n  sys.stdin.read()'
    )
    holder = subprocess.Popen(
      [sys.executable, '-c', program, self.path],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
    )
    self.assertEqual(holder.stdout.readline(), b'open\n')
    with self.assertRaisesRegex(lock.InUseError, f'pid {holder.pid}'):
      with self._open():
        pass
    holder.kill()
    holder.communicate()
    with self._open():
      pass

  def test_read_config_refuses_when_a_field_is_unknown(self):
    with self._open():
      pass
    path = self.path / 'config.json'
    path.write_text(json.dumps({'gamma': 1}))
    with self.assertRaisesRegex(ValueError, r"unknown fields, \['gamma'\]"):
      workdir.read_config(self.path)


if __name__ == '__main__':
  absltest.main()
