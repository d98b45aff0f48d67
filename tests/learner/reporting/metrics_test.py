"""Rows, scalars, the live line, the summary and the picture of a run."""

import errno
import json
import math
import os
import pathlib
import re
import resource
import sys
import tempfile
import termios
from unittest import mock

from absl import flags
from absl import logging
from absl.testing import absltest
from absl.testing import parameterized
import pytest
from tensorboard.backend.event_processing import event_accumulator

from learner.reporting import metrics


def _row(env_frames: int, **changed) -> metrics.Row:
  return {
    'env_frames': env_frames,
    'num_updates': env_frames // 100,
    'seconds': env_frames / 100,
    'mean_return_100': -20.5,
    'discount': 0.99,
    'lambda_': 0.9,
    'policy_lag': 2.5,
    **changed,
  }


_SUMMARY = metrics.Summary(
  env_frames=400,
  num_updates=4,
  mean_return_100=1.5,
  episodes=7,
  discount=0.99,
  lambda_=0.95,
  frames_per_s=10.5,
  learned=('discount',),
  game='pong',
  seconds=40.0,
)


class MetricsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
      self.enterContext(tempfile.TemporaryDirectory())
    )

  def _writer(self, restored_env_frames: int = 0) -> metrics.Writer:
    writer = metrics.Writer(
      self.workdir,
      total_env_frames=1000,
      restored_env_frames=restored_env_frames,
    )
    self.addCleanup(writer.close)
    return writer

  def _scalars(self, tag: str) -> list[tuple[int, float]]:
    events = event_accumulator.EventAccumulator(
      str(self.workdir / 'tensorboard')
    ).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]

  def test_write_appends_rows_under_the_first_rows_names(self):
    writer = self._writer()
    writer.write({'env_frames': 100, **_row(100)})
    writer.write(dict(reversed(_row(200, discount=0.5).items())))
    self.assertEqual(
      (self.workdir / 'metrics.csv').read_text(),
      'env_frames,num_updates,seconds,mean_return_100,discount,lambda_,'
      'policy_lag\n'
      '100,1,1.0,-20.5,0.99,0.9,2.5\n200,2,2.0,-20.5,0.5,0.9,2.5\n',
    )
    self.assertEqual(self._scalars('policy_lag'), [(100, 2.5), (200, 2.5)])

  def test_rows_wait_while_the_disk_is_full(self):
    writer = self._writer()
    full = mock.Mock(**{'write.side_effect': OSError(errno.ENOSPC, 'No space')})
    with mock.patch.object(writer._rows, '_file', full):
      with self.assertLogs(level='ERROR') as logs:
        writer.write(_row(100))
    self.assertRegex(logs.output[0], 'wait: .*No space')
    writer.write(_row(200))
    self.assertLen((self.workdir / 'metrics.csv').read_text().splitlines(), 3)

  @pytest.mark.filterwarnings(  # TensorFlow's thread ends by its error.
    'ignore::pytest.PytestUnhandledThreadExceptionWarning'
  )
  def test_scalars_go_on_in_a_new_file_after_the_disk_was_full(self):
    writer = self._writer()
    writer.write(_row(100))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limit)
    with self.assertLogs(level='ERROR') as logs:
      resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
      for env_frames in range(200, 1000, 100):  # TensorFlow says it late.
        writer.write(_row(env_frames))
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    lost = [
      int(number)
      for number in re.findall(
        r'TensorBoard lacks the row of (\d+) frames: .*File too large',
        '\n'.join(logs.output),
      )
    ]
    self.assertNotEmpty(lost)
    for env_frames in (1000, 1100):
      writer.write(_row(env_frames))
    frames = [env_frames for env_frames, _ in self._scalars('policy_lag')]
    self.assertEqual([frames[0], *frames[-2:]], [100, 1000, 1100])
    self.assertLen((self.workdir / 'metrics.csv').read_text().splitlines(), 12)

  def test_write_raises_when_the_columns_change(self):
    writer = self._writer()
    writer.write(_row(100))
    with self.assertRaisesRegex(ValueError, r'has the columns .*got a row of'):
      writer.write(_row(200, loss=1.0))

  def test_curves_have_no_fold_when_a_run_is_resumed(self):
    first = self._writer()
    for env_frames in (100, 200, 300, 400):
      first.write(_row(env_frames))
      first.add_episode(env_frames, raw_return=-21.0, length=50)
    first.close()
    with open(self.workdir / 'metrics.csv', 'a') as file:
      file.write('200,2,2')  # A killed run may leave half a row.
    resumed = self._writer(restored_env_frames=200)
    resumed.write(_row(250, policy_lag=7.0))
    resumed.add_episode(250, raw_return=21.0, length=60)
    resumed.flush()
    lines = (self.workdir / 'metrics.csv').read_text().splitlines()
    self.assertEqual(
      [line.split(',')[0] for line in lines],
      ['env_frames', '100', '200', '250'],
    )
    self.assertEqual(
      (self.workdir / 'episodes.csv').read_text(),
      'env_frames,return,length\n100,-21.0,50\n200,-21.0,50\n250,21.0,60\n',
    )
    self.assertEqual(
      self._scalars('policy_lag'), [(100, 2.5), (200, 2.5), (250, 7.0)]
    )

  def test_a_terminal_shows_one_live_line(self):
    controller, terminal = os.openpty()
    self.addCleanup(os.close, controller)
    termios.tcsetwinsize(terminal, (24, 80))
    flags.FLAGS.mark_as_parsed()  # As app.run does.
    logging.use_absl_handler()
    with (
      open(terminal, 'w') as stderr,
      mock.patch.object(sys, 'stderr', stderr),
    ):
      writer = metrics.Writer(self.workdir, total_env_frames=1000)
      writer.write(_row(250))
      logging.warning('a message')
      writer.advance(500)
      writer.close()
      shown = ''
      while shown.count('\r\n') < 2:  # A terminal passes it on in parts.
        shown += os.read(controller, 100_000).decode()
    lines = shown.split('\r\n')
    self.assertLen(lines, 3)  # The message, the live line, nothing after.
    self.assertIn('a message', lines[0].split('\r')[-1])
    self.assertRegex(
      lines[1].split('\r')[-1],
      r'500/1.00k\|.*\|ETA 00:00 .*f/s '
      r'return -20.5 discount .990 lambda .900 lag 2$',
    )

  def test_a_log_gets_a_line_every_thirty_seconds(self):
    writer = self._writer()
    with self.assertLogs(logging.get_absl_logger(), 'INFO') as logs:
      for seconds in (10, 20, 39, 41, 50, 71):
        writer.write(_row(seconds, seconds=seconds))
    self.assertLen(logs.output, 3)
    self.assertRegex(logs.output[1], r'41.0/1.00k frames, ETA .*, return -20.5')
    self.assertNotIn('\r', ''.join(logs.output))

  def test_summary_has_the_promised_keys(self):
    metrics.write_summary(self.workdir, _SUMMARY)
    summary = json.loads((self.workdir / 'summary.json').read_text())
    self.assertEqual(
      summary,
      {
        'env_frames': 400,
        'num_updates': 4,
        'mean_return_100': 1.5,
        'episodes': 7,
        'discount': 0.99,
        'lambda_': 0.95,
        'frames_per_s': 10.5,
        'learned': ['discount'],
        'game': 'pong',
        'seconds': 40.0,
      },
    )

  def test_summary_is_json_when_no_episode_has_ended(self):
    metrics.write_summary(
      self.workdir, _SUMMARY._replace(mean_return_100=math.nan)
    )
    summary = json.loads((self.workdir / 'summary.json').read_text())
    self.assertIsNone(summary['mean_return_100'])

  @parameterized.parameters(
    {}, {'meta_gradient_entropy_cost': 0.1, 'entropy_cost': 0.01}
  )
  def test_plot_draws_a_picture(self, **more):
    writer = self._writer()
    writer.write(_row(100, mean_return_100=math.nan, **more))
    writer.write(_row(200, **more))
    contents = metrics.plot(self.workdir).read_bytes()
    self.assertStartsWith(contents, b'\x89PNG')
    self.assertGreater(len(contents), 10_000)

  def test_plot_raises_when_there_is_no_row(self):
    self._writer()
    with self.assertRaisesRegex(ValueError, 'metrics.csv has no row'):
      metrics.plot(self.workdir)


if __name__ == '__main__':
  absltest.main()
