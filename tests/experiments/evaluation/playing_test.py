"""Playing shows how far it is, and stops when it is told to."""

import contextlib
import io

from absl.testing import absltest

from experiments.evaluation import playing


class ProgressTest(absltest.TestCase):
  def test_a_log_gets_a_line_now_and_then_though_no_episode_ends(self):
    now = [0.0]
    self.enterContext(
      absltest.mock.patch.object(playing.time, 'monotonic', lambda: now[0])
    )
    with (
      contextlib.redirect_stderr(io.StringIO()) as log,
      contextlib.closing(playing.Progress(200)) as progress,
    ):
      for _ in range(100):
        self.assertTrue(progress.stepped(16))
        now[0] += 1.0
      progress.ended()
      progress.stepped(16)
      now[0] += 30.0
      progress.stepped(16)
    lines = log.getvalue().splitlines()
    self.assertLen(lines, 4)  # At 31, 62, 93 and 130 seconds.
    self.assertEqual(lines[0], '0 of 200 episodes, 512 env steps')
    self.assertStartsWith(lines[-1], '1 of 200 episodes, ')

  def test_false_once_it_is_stopped(self):
    stopped = [False]
    with (
      contextlib.redirect_stderr(io.StringIO()),
      contextlib.closing(playing.Progress(2, lambda: stopped[0])) as progress,
    ):
      self.assertTrue(progress.stepped(1))
      stopped[0] = True
      self.assertFalse(progress.stepped(1))


if __name__ == '__main__':
  absltest.main()
