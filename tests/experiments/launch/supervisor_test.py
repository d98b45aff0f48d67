"""Ended processes are started again, after pauses, until that is in vain."""

import contextlib
import io

from absl.testing import absltest
from absl.testing import parameterized

from experiments.launch import supervisor


class _Process:
  """A process under supervision that lives as long as it is told."""

  def __init__(self, case: absltest.TestCase, final: tuple[int, ...] = ()):
    self.now, self.starts = 0.0, []
    case.enterContext(
      absltest.mock.patch.object(supervisor.time, 'monotonic', lambda: self.now)
    )
    self.said = case.enterContext(contextlib.redirect_stderr(io.StringIO()))
    self.supervised = supervisor.Supervised(
      'it', lambda: self.starts.append(self.now), log='its.log', final=final
    )

  def end(self, status: int, after_secs: float) -> float | None:
    """How long it pauses once it has ended; None where it does not return."""
    self.now += after_secs
    ended_at, before = self.now, len(self.starts)
    while len(self.starts) == before and self.now <= ended_at + 120.0:
      self.supervised.tend(status)
      self.now += 0.5
    if len(self.starts) == before:
      return None
    self.supervised.tend(None)  # It runs.
    return self.starts[-1] - ended_at


class SupervisorTest(parameterized.TestCase):
  @parameterized.parameters(
    ((0,), 0, []),
    ((4,), 4, []),
    ((1, -9, 0), 0, [5.0, 10.0]),
    ((2,) * 6, 2, [5.0, 10.0, 20.0, 40.0, 60.0]),
  )
  def test_a_process_starts_again_after_a_pause(self, statuses, last, pauses):
    process = _Process(self, final=(0, 4))
    found = []
    for status in statuses:
      self.assertIsNone(process.supervised.status)
      found.append(process.end(status, after_secs=1.0))
    self.assertEqual(process.supervised.status, last)
    self.assertEqual(found, [*pauses, None])

  def test_one_that_never_reaches_the_learner_is_given_up(self):
    process = _Process(self)
    for _ in range(5):
      self.assertIsNotNone(process.end(3, after_secs=305.0))
    self.assertIsNone(process.end(3, after_secs=305.0))
    self.assertEqual(process.supervised.status, 3)
    self.assertIn('is given up', process.said.getvalue())

  def test_one_that_lost_the_learner_now_and_then_goes_on(self):
    process = _Process(self)
    for _ in range(10):
      self.assertIsNotNone(process.end(3, after_secs=3600.0))

  def test_one_that_somebody_ended_starts_again_after_a_minute(self):
    process = _Process(self)
    self.assertEqual(process.end(0, after_secs=1.0), 60.0)
    self.assertIn(
      'it ended with status 0 and starts again: see its.log',
      process.said.getvalue(),
    )

  def test_a_long_life_forgives_the_failures_before(self):
    process = _Process(self)
    pauses = [process.end(1, secs) for secs in (1.0, 1.0, 61.0, 1.0)]
    self.assertEqual(pauses, [5.0, 10.0, 5.0, 10.0])

  def test_one_that_fails_too_often_is_given_up_with_a_word(self):
    process = _Process(self)
    for _ in range(6):
      process.end(3, after_secs=1.0)
    self.assertLen(process.starts, 6)
    self.assertIn(
      'it ended 6 times in a row, with status 3 at last, and is given up:'
      ' see its.log.',
      process.said.getvalue(),
    )


if __name__ == '__main__':
  absltest.main()
