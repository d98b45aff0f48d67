"""Seeds side by side, each unroll acted by what learns from it."""

import functools
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
import tensorflow as tf
import tqdm

from experiments.illustrative import colour_world
from experiments.illustrative import two_colours

_SHORT = two_colours.VARIANTS['bmg_context']._replace(num_meta_unrolls=2)
_VARIANTS = {**two_colours.VARIANTS, 'bmg_context': _SHORT}


@functools.cache  # Tracing is what takes time.
def _history(name):
  """Three trainings, and what was seen between them."""
  update = tf.function(
    functools.partial(two_colours.update, variant=_VARIANTS[name]),
    autograph=False,
  )
  trainings = [two_colours.init(_VARIANTS[name], seed=3, num_seeds=2)]
  seen = []
  for k in range(2):
    training, now = update(trainings[-1], tf.constant([4, k]))
    trainings.append(training)
    seen.append(now)
  return trainings, seen


class TwoColoursTest(parameterized.TestCase):
  @parameterized.parameters(*_VARIANTS)
  def test_what_is_learned_from_next_was_acted_by_the_new_parameters(
    self, name
  ):
    (_, training, _), (seen, _) = _history(name)
    unroll = training.unroll
    outputs = colour_world.apply_layers(
      training.states.params.policy, unroll.env_outputs.observation[:, :, 0]
    )
    np.testing.assert_allclose(
      unroll.agent_outputs.policy_logits[:, :-1, 0], outputs[:, :-1], atol=1e-5
    )
    steps = 16 * _VARIANTS[name].num_meta_unrolls
    self.assertEqual(training.world.num_steps, 16 + steps)
    if steps == 16:
      np.testing.assert_allclose(
        seen.rewards, np.sum(unroll.env_outputs.reward, axis=(1, 2))
      )

  def test_seeds_differ(self):
    kernel = _history('fixed')[0][1].states.params.policy[0].kernel
    self.assertGreater(np.max(np.abs(kernel[0] - kernel[1])), 0.1)

  def test_the_first_update_does_not_depend_on_what_is_learned(self):
    fixed, mg, context = (
      _history(name)[0][1].states.params
      for name in ('fixed', 'mg', 'mg_context')
    )
    for other in (mg, context):
      tf.nest.map_structure(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-6), fixed, other
      )

  def test_only_what_is_learned_moves(self):
    for name in ('fixed', 'mg', 'mg_context'):
      first, second = (seen.entropy_cost for seen in _history(name)[1])
      np.testing.assert_allclose(first, 2 * [0.1], rtol=1e-5)
      self.assertEqual(np.all(first == second), name == 'fixed')

  def test_contexts_hold_the_reward_of_each_seed(self):
    before, after, _ = _history('mg_context')[0]
    rewards = before.unroll.env_outputs.reward[:, 1:, 0]
    np.testing.assert_allclose(
      after.states.context[:, -1, 0],
      np.tanh(np.mean(rewards, axis=1)),
      atol=1e-6,
    )

  @pytest.mark.integration  # Compiles two programs.
  def test_a_plain_actor_critic_finds_the_good_object(self):
    with (
      tqdm.tqdm(disable=True) as bar,
      mock.patch.object(two_colours, 'ROW_STEPS', 1600),
    ):
      seen = two_colours.learn(_VARIANTS['fixed'], 1, 2, 40, bar)
    self.assertEqual(seen.rewards.shape, (40, 2))
    rates = np.mean(seen.rewards, axis=1) / 1600
    self.assertGreater(np.mean(rates[-10:]), 0.03)
    self.assertLess(np.mean(rates[:5]), 0.02)


if __name__ == '__main__':
  absltest.main()
