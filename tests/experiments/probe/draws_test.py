"""Tests of experiments/probe: a state whose meta-gradients are known."""

import dataclasses
from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from experiments.probe import draws
from experiments.probe import fork
from learner.inference import unrolls as unrolls_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments

_CONFIG = config_lib.preset(
  'smoke', unroll_length=5, batch_size=4, meta_batch_size=4, optimizer='rmsprop'
)


class ProbeTest(absltest.TestCase):
  @classmethod
  def setUpClass(cls):
    super().setUpClass()
    cls.agent = agent_lib.make(_CONFIG, environments.spec('catch'))
    cls.state = cls.agent.init(1)
    cls.unrolls = draws.collect(
      _CONFIG, cls.agent, cls.state, num_unrolls=24, num_envs=8, seed=1
    )

  def _draw(self, config=_CONFIG, state=None, **fields):
    return draws.draw(
      config,
      state or self.state,
      self.unrolls,
      **dict(batch_size=4, meta_batch_size=8, num_draws=6, seed=3) | fields,
    )

  def test_collects_whole_unrolls_of_the_policy(self):
    self.assertLen(self.unrolls, 24)
    for unroll in self.unrolls:
      self.assertEqual(unroll.env_outputs.observation.shape, (6, 10, 5))

  def test_meta_gradients_are_those_of_the_update_and_of_differences(self):
    drawn = self._draw()
    for name in _CONFIG.learned:
      ours, theirs = drawn.meta_gradients[name], drawn.differences[name]
      np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-9)
    found = draws.statistics(drawn)
    self.assertGreater(found['discount'].cosine, 0.999)
    self.assertAlmostEqual(found['discount'].ratio, 1.0, places=2)

  def test_statistics_by_hand(self):
    # 1, 3: mean 2, deviation sqrt 2, standard error 1.
    drawn = draws.Draws(
      {'discount': np.array([1.0, 3.0])},
      {'discount': np.array([2.0, 6.0])},
      {'discount': np.array([-1.0, 3.0])},
      np.zeros(2),
    )
    found = draws.statistics(drawn)['discount']
    self.assertAlmostEqual(found.mean, 2.0)
    self.assertAlmostEqual(found.t, 2.0)
    self.assertAlmostEqual(found.signal_to_noise, 2.0**0.5)
    self.assertAlmostEqual(found.cosine, 1.0)
    self.assertAlmostEqual(found.ratio, 0.5)
    # -1, 3: mean 1, standard error 2. The rest, 2, 0: mean 1, standard error 1.
    self.assertAlmostEqual(found.direction_t, 0.5)
    self.assertAlmostEqual(found.length_t, 1.0)

  def test_a_cost_that_scales_the_gradient_is_length_alone(self):
    config = dataclasses.replace(
      _CONFIG,
      learned=('policy_cost',),
      policy_cost=0.5,
      baseline_cost=0.0,
      entropy_cost=0.0,
    )
    state = agent_lib.make(config, environments.spec('catch')).init(1)
    drawn = self._draw(config, state, num_draws=3)
    ours, direction = (
      found['policy_cost'] for found in (drawn.meta_gradients, drawn.directions)
    )
    self.assertTrue(np.all(abs(ours) > 0.0), ours)
    np.testing.assert_array_less(abs(direction), 1e-9 * abs(ours))

  def test_directions_are_those_of_gradients_of_one_length(self):
    # Where the clip binds there is no length: the two are the same.
    clipped = dataclasses.replace(_CONFIG, max_gradient_norm=1e-3)
    drawn = self._draw(clipped, num_draws=3)
    other = self._draw(num_draws=3)
    for name in _CONFIG.learned:
      np.testing.assert_allclose(
        drawn.directions[name], drawn.meta_gradients[name], rtol=1e-9
      )
      self.assertGreater(
        np.max(abs(other.directions[name] / other.meta_gradients[name] - 1.0)),
        1e-3,
      )

  def test_draws_share_no_unroll_where_there_are_enough(self):
    for num_draws, shares in ((2, False), (3, True)):  # Of 12 unrolls; 24.
      with mock.patch.object(
        draws.unrolls_lib, 'batch', side_effect=unrolls_lib.batch
      ) as batch:
        self._draw(num_draws=num_draws)
      seen = [
        id(unroll) for call in batch.call_args_list for unroll in call[0][0]
      ]
      self.assertEqual(len({*seen}) < len(seen), shares)

  def test_too_few_unrolls_are_refused(self):
    with self.assertRaisesRegex(ValueError, 'takes 36 unrolls, got 24'):
      self._draw(meta_batch_size=32)

  def test_fork_holds_the_logit_and_pairs_the_seeds(self):
    effect = fork.run(
      _CONFIG,
      self.agent,
      self.state,
      'discount',
      delta=0.0,
      num_updates=6,
      num_envs=8,
      seeds=range(1, 3),
    )
    self.assertEqual(effect.up.shape, (2,))
    np.testing.assert_array_equal(effect.up, effect.down)  # A delta of 0.
    self.assertNotEqual(effect.up[0], effect.up[1])
    self.assertEqual(effect.difference, 0.0)


if __name__ == '__main__':
  tf.config.experimental.enable_op_determinism()
  absltest.main()
