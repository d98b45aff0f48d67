"""A run that does not get on says so, and what its actors said."""

import os
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from learner.reporting import idle

_PREFIX = '1125 18:56:25.338637 140274575813504 client.py:149] '


class IdleTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.logs = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.now, self.actors, self.updates = 0.0, 0, 7
    self.watch = idle.Watch(
      self.logs, lambda: self.actors, lambda: self.updates, lambda: self.now
    )

  def said(self, now):
    self.now = now
    logger = idle.logging.get_absl_logger()
    with self.assertLogs(logger, 'INFO') as logs:
      idle.logging.info('nothing')
      self.watch.check()
    return [line for line in logs.output if not line.endswith('nothing')]

  def test_it_is_said_after_30_s_and_then_ever_less_often(self):
    times = [now for now in range(0, 3000, 5) if self.said(float(now))]
    self.assertEqual(times, [30, 60, 120, 240, 480, 960, 1560, 2160, 2760])

  def test_an_update_starts_it_anew(self):
    self.assertLen(self.said(31.0), 1)
    self.updates += 1
    self.assertEmpty(self.said(59.0))
    self.assertEmpty(self.said(88.0))
    self.assertLen(self.said(89.0), 1)

  def test_whether_anybody_has_joined_is_said(self):
    self.assertRegex(self.said(30.0)[0], 'No actor has joined, .* for 30 s')
    self.actors = 2
    self.assertRegex(self.said(60.0)[0], 'trained for 60 s; 2 actors joined')

  def test_the_newest_log_with_an_error_is_quoted(self):
    for index, (second, text) in enumerate(
      ((1, f'E{_PREFIX}old'), (2, f'W{_PREFIX}no route'), (3, f'I{_PREFIX}on'))
    ):
      path = self.logs / f'actor-{index}.log'
      path.write_text(f'{text}\n')
      os.utime(path, (second, second))
    self.assertRegex(self.said(30.0)[0], 'At last actor-1.log says: no route$')

  @parameterized.parameters(
    ('', ''),
    (f'I{_PREFIX}joined\n', ''),
    (f'E{_PREFIX}it broke\nI{_PREFIX}again\n', 'it broke'),
    (
      "Traceback (most recent call last):\n  x\nKeyError: 'k'\n",
      "KeyError: 'k'",
    ),
    (f'W{_PREFIX}{"x" * 20000}', 'x' * 500),
    (f'E{_PREFIX}a\n\n  \n', 'a'),
  )
  def test_last_error(self, text, error):
    path = self.logs / 'log'
    path.write_text(text)
    self.assertEqual(idle.last_error(path), error)

  def test_a_log_that_is_not_there_has_no_error(self):
    self.assertEqual(idle.last_error(self.logs / 'none'), '')
    self.assertEqual(idle.last_error('on node 3'), '')


if __name__ == '__main__':
  absltest.main()
