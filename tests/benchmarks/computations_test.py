"""Tests of benchmarks/computations.py: each suite at its smallest."""

from absl.testing import absltest
import numpy as np

from benchmarks import computations
from benchmarks import measurement
from seed_metagrad import config as config_lib
from seed_metagrad import types

_SPEC = types.EnvSpec((84, 84), 'uint8', num_actions=6, frame_stack=4)


class ComputationsTest(absltest.TestCase):
  def test_env_steps_an_environment(self):
    [result] = computations.env(
      measurement.Options(
        env='catch', networks=(), repeats=1, secs=1.0, figure=''
      )
    )
    self.assertEqual(result.name, 'env.steps_per_s')
    self.assertGreater(result.value, 0)

  def test_random_unroll_has_the_shapes_of_an_update(self):
    config = config_lib.preset('smoke', batch_size=3, meta_batch_size=2)
    unroll = computations.random_unroll(config, _SPEC)
    self.assertEqual(unroll.memory.shape, (3, 3, 84, 84))
    steps = (config.unroll_length + 1, 3)
    self.assertEqual(unroll.env_outputs.observation.shape, (*steps, 84, 84))
    self.assertEqual(unroll.env_outputs.observation.dtype, np.uint8)
    self.assertEqual(unroll.agent_outputs.policy_logits.shape, (*steps, 6))
    self.assertLess(unroll.agent_outputs.action.max(), 6)
    self.assertFalse(
      (unroll.env_outputs.terminated & unroll.env_outputs.truncated).any()
    )


if __name__ == '__main__':
  absltest.main()
