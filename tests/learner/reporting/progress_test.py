"""The progress line in a terminal and in a log file."""

import os
import sys
import termios
from unittest import mock

from absl import flags
from absl import logging
from absl.testing import absltest

from learner.reporting import progress

_LEARNED = ('discount', 'lambda_')


def _row(env_frames, **changed):
  return {
    'env_frames': env_frames,
    'seconds': env_frames / 100,
    'mean_return_100': -20.5,
    'discount': 0.99,
    'lambda_': 0.9,
    'entropy_cost': 0.01,
    'policy_lag': 2.5,
    **changed,
  }


class ProgressTest(absltest.TestCase):
  def test_a_terminal_shows_one_line(self):
    controller, terminal = os.openpty()
    self.addCleanup(os.close, controller)
    termios.tcsetwinsize(terminal, (24, 80))
    flags.FLAGS.mark_as_parsed()  # As app.run does.
    logging.use_absl_handler()
    with (
      open(terminal, 'w') as stderr,
      mock.patch.object(sys, 'stderr', stderr),
    ):
      line = progress.Progress(1000, 0, _LEARNED)
      line.show(_row(250))
      logging.warning('a message')
      line.advance(500)
      line.close()
      shown = ''
      while shown.count('\r\n') < 2:  # A terminal passes it on in parts.
        shown += os.read(controller, 100_000).decode()
    lines = shown.split('\r\n')
    self.assertLen(lines, 3)  # The message, the progress line, nothing after.
    self.assertIn('a message', lines[0].split('\r')[-1])
    self.assertRegex(
      lines[1].split('\r')[-1],
      r'500/1.00k\|.*\|ETA 00:00 .*f/s '
      r'return -20.5 lag 2 discount .990 lambda .900$',
    )

  def test_a_log_gets_a_line_every_thirty_seconds(self):
    line = progress.Progress(1000, 0, _LEARNED)
    self.addCleanup(line.close)
    with self.assertLogs(logging.get_absl_logger(), 'INFO') as logs:
      for seconds in (10, 20, 39, 41, 50, 71):
        line.show(_row(seconds, seconds=seconds))
    self.assertLen(logs.output, 3)
    self.assertRegex(logs.output[1], r'41.0/1.00k frames, ETA .*, return -20.5')
    self.assertNotIn('\r', ''.join(logs.output))

  def test_the_values_shown_are_those_that_are_learned(self):
    for learned, shown in (
      ((), 'lag 2'),
      (('entropy_cost',), 'lag 2 entropy_cost .010'),
    ):
      line = progress.Progress(1000, 0, learned)
      self.addCleanup(line.close)
      with self.assertLogs(logging.get_absl_logger(), 'INFO') as logs:
        line.show(_row(100))
      self.assertEndsWith(logs.output[0], f', return -20.5 {shown}')


if __name__ == '__main__':
  absltest.main()
