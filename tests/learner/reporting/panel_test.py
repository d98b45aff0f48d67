"""The panel of a terminal: its numbers, its warnings, messages above it."""

import math
import os
import sys
import termios
import threading
from unittest import mock

from absl import flags
from absl import logging
from absl.testing import absltest
from absl.testing import parameterized

from learner.reporting import panel
from learner.reporting import progress


def _row(env_frames, **changed):
  return {
    'env_frames': env_frames,
    'num_updates': 100,
    'seconds': env_frames / 100,
    'frames_per_s': 100.0,
    'episodes': 1234,
    'mean_return_100': env_frames / 100,
    'discount': 0.99 - env_frames / 1e5,
    'travelled_discount': -0.25,
    'signal_to_noise_discount': 0.125,
    'policy_lag': 2.5,
    'queue': 3,
    'skipped_updates': 0,
    **changed,
  }


class PanelTest(parameterized.TestCase):
  def _terminal(self, lines, columns):
    controller, terminal = os.openpty()
    self.addCleanup(os.close, controller)
    termios.tcsetwinsize(terminal, (lines, columns))
    stderr = self.enterContext(open(terminal, 'w'))
    self.enterContext(mock.patch.object(sys, 'stderr', stderr))
    self.enterContext(mock.patch.dict(os.environ, {'TERM': 'xterm'}))
    return controller

  def test_a_terminal_shows_the_run(self):
    controller = self._terminal(24, 80)
    received = bytearray()

    def read():  # Or the terminal is full, and writing waits.
      while b'the end' not in received:
        received.extend(os.read(controller, 100_000))

    reader = threading.Thread(target=read)
    reader.start()
    flags.FLAGS.mark_as_parsed()  # As app.run does.
    logging.use_absl_handler()
    shown_by = progress.make(1000, 0, ('discount',), lambda: 2)
    self.assertIsInstance(shown_by, panel.Panel)
    for env_frames in (100, 200, 300):
      shown_by.show(_row(env_frames))
    logging.warning('a message')
    shown_by.close()
    logging.warning('the end')
    reader.join()
    shown = received.decode()
    self.assertNotIn('\x1b[?25l', shown)  # The cursor is never hidden.
    last = shown.rpartition('a message')[2]
    self.assertRegex(last, '300 of 1k .*100 frames/s, ETA 0:00:07')
    self.assertRegex(last, 'return +3.00 ↑ +▁▅█ ')
    self.assertRegex(last, 'discount +0.9870 ↓ +█▅▁ +logit -0.25, s/n 0.12')
    self.assertRegex(last, 'actors +2 +lag 2.5 updates +3 wait, 1,234 episodes')
    self.assertNotIn('!', last)

  def test_a_small_terminal_gets_a_line(self):
    self._terminal(8, 80)
    line = progress.make(1000, 0, (), lambda: 2)
    self.assertIsInstance(line, progress.Progress)
    line.close()

  @parameterized.parameters(
    ({}, 2, []),
    ({}, 0, ['no actor is connected']),
    ({'skipped_updates': 3}, 2, ['3 updates were not finite and skipped']),
    (
      {'num_updates': 1000, 'signal_to_noise_discount': -0.01},
      2,
      ['the meta-gradient of discount is noise (0.010)'],
    ),
    ({'num_updates': 999, 'signal_to_noise_discount': 0.01}, 2, []),
    ({'num_updates': 1000}, 2, []),
  )
  def test_warnings(self, changed, num_actors, expected):
    found = panel.warnings(_row(100, **changed), num_actors, ('discount',))
    self.assertEqual(list(found), expected)

  @parameterized.parameters(
    ([], ''),
    ([5.0], '▁'),
    ([0.0, 7.0, 1.0], '▁█▂'),
    ([math.nan, 1.0, 2.0], ' ▁█'),
    ([math.nan], ' '),
  )
  def test_sparkline(self, values, expected):
    self.assertEqual(panel.sparkline(values), expected)

  @parameterized.parameters(
    ([1.0], ' '),
    ([1.0, 2.0], '↑'),
    ([2.0, 9.0, 1.0], '↓'),
    ([math.nan, 1.0], ' '),
  )
  def test_trend(self, values, expected):
    self.assertEqual(panel.trend(values), expected)


if __name__ == '__main__':
  absltest.main()
