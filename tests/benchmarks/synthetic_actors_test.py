"""Tests of benchmarks/synthetic_actors.py, against a real server."""

import time

from absl.testing import absltest
import numpy as np

from benchmarks import synthetic_actors
from tests.support import fakes

_LOAD = synthetic_actors.Load(num_actors=3, num_envs=2)


class EnvTest(absltest.TestCase):
  def test_notes_every_answer(self):
    env = synthetic_actors.Env(fakes.SPEC, _LOAD, delay_secs=0.0)
    first = env.reset()
    self.assertEqual(first.observation.shape, (2, 10, 5))
    self.assertEqual(first.observation.dtype, fakes.SPEC.observation_dtype)
    env.step(np.zeros(2, np.int32))
    env.step(np.zeros(2, np.int32))
    self.assertLen(env.replies, 2)
    self.assertLessEqual(env.replies[0].time, env.replies[1].time)

  def test_keeps_its_pace(self):
    load = _LOAD._replace(period_secs=0.02)
    env = synthetic_actors.Env(fakes.SPEC, load, delay_secs=0.0)
    env.reset()
    for _ in range(3):
      env.step(np.zeros(2, np.int32))
    [first, _, last] = [reply.time for reply in env.replies]
    self.assertGreaterEqual(last - first, 0.03)

  def test_refuses_actions_that_are_none(self):
    env = synthetic_actors.Env(fakes.SPEC, _LOAD, delay_secs=0.0)
    env.reset()
    with self.assertRaises(ValueError):
      env.step(np.full(2, fakes.SPEC.num_actions, np.int32))


class ProcessesTest(absltest.TestCase):
  def test_all_actors_load_the_server_until_it_is_over(self):
    learner = fakes.FakeLearner()
    self.addCleanup(learner.close)
    actors = synthetic_actors.Processes(
      f'localhost:{learner.port}', 'catch', fakes.SPEC, _LOAD
    )
    deadline = time.monotonic() + fakes.DEADLINE_SECS
    while learner.server.num_actors() < 3 and time.monotonic() < deadline:
      time.sleep(0.01)  # Processes start one after the other.
    self.assertEqual(learner.server.num_actors(), 3)
    learner.wait_for_requests(20)
    self.assertTrue(learner.server.finish(fakes.DEADLINE_SECS))
    replies = actors.replies()
    # Each actor's last request is answered by the end.
    self.assertBetween(
      len(replies), len(learner.requests) - 3, len(learner.requests)
    )
    self.assertGreater(min(reply.latency_secs for reply in replies), 0.0)


if __name__ == '__main__':
  absltest.main()
