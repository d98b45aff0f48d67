"""The discounting chain against hand arithmetic and NumPy."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest
import tensorflow as tf
import tqdm

from experiments.illustrative import discounting_chain
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import meta
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import outer

_LOGITS = np.array([0.3, -0.2, 0.0, 0.5, -0.4], np.float32)
_LENGTH = 100


def _softmax(logits):
  return np.exp(logits) / np.sum(np.exp(logits))


def _backed_up(action, discount):
  """Values before and after the first of 100 steps, backed up one by one."""
  rewards = np.zeros(_LENGTH)
  rewards[[0, 2, 9, 29, 99][action]] = 1.1 if action == 3 else 1.0
  values = np.zeros(_LENGTH + 1)
  for t in reversed(range(_LENGTH)):
    values[t] = rewards[t] + discount * values[t + 1]
  return values[0], values[1]


def _gradient(logits, advantages):
  """Of -E[A] - .005 H, by the derivatives of the softmax."""
  policy = _softmax(logits)
  entropy = -np.sum(policy * np.log(policy))
  return -policy * (advantages - policy @ advantages) + 0.005 * policy * (
    np.log(policy) + entropy
  )


def _every_action():
  """One episode of each action, as a uniform policy would have it."""
  return discounting_chain.unroll(
    discounting_chain.Decisions(tf.range(5), tf.zeros([5]))
  )


def _updated(rules, eta):
  """An inner update at _LOGITS."""
  state = meta.init(rules, tf.constant(_LOGITS), eta)
  updated = inner.update(
    state.params,
    state.opt_state,
    eta,
    _every_action(),
    0.1,
    rules=rules,
    live_targets=False,
  )
  return updated.params.numpy()


class DiscountingChainTest(parameterized.TestCase):
  @parameterized.parameters(0.9, 0.95, 1.0)
  def test_true_values_are_those_of_backing_up(self, discount):
    values = discounting_chain.true_values(_LOGITS, tf.range(5), discount)
    before, after = np.transpose([_backed_up(a, discount) for a in range(5)])
    np.testing.assert_allclose(values[1], after, rtol=1e-5)
    np.testing.assert_allclose(
      values[0], np.full(5, _softmax(_LOGITS) @ before), rtol=1e-5
    )

  def test_values_by_hand(self):
    # A policy that takes action 1 or 3 with 1/2 each; gamma = .9.
    logits = tf.constant([-99.0, 0.0, -99.0, 0.0, -99.0])
    values = discounting_chain.true_values(logits, tf.constant([1, 0]), 0.9)
    np.testing.assert_allclose(
      values, [2 * [0.5 * 0.81 + 0.5 * 1.1 * 0.9**29], [0.9, 0.0]], rtol=1e-5
    )

  @parameterized.parameters('fixed', 'mg', 'mg_outer_critic', 'bmg')
  def test_an_update_is_the_expected_policy_gradient(self, variant):
    eta = {}
    if variant != 'fixed':
      eta = meta_parameters.init({'discount': 0.95}, discounting_chain.BOUNDS)
    params = _updated(discounting_chain.make_rules(variant), eta)
    returns = np.array([_backed_up(a, 0.95)[0] for a in range(5)])
    gradient = _gradient(_LOGITS, returns)
    # Five columns that a uniform policy draws with 1/5 each.
    np.testing.assert_allclose(params, _LOGITS - 0.1 * 5 * gradient, atol=1e-5)

  @parameterized.parameters(('mg', 0.95), ('mg_outer_critic', 1.0))
  def test_the_outer_gradient_bootstraps_from_its_critic(
    self, variant, discount
  ):
    rules = discounting_chain.make_rules(variant)
    eta = meta_parameters.init({'discount': 0.95}, discounting_chain.BOUNDS)
    learned = outer.Learned(tf.constant(_LOGITS), ())
    step = outer.Step(
      learned,
      learned,
      lambda params, unroll: rules.forward(
        params, unroll, rules.conditioning(eta)
      ),
      None,
      None,
    )
    outcome = rules.outer_objective(step, [_every_action()])
    # gamma' is 1: the reward at once, or the next state's value as it is.
    goals = np.array([1.0, *(_backed_up(a, discount)[1] for a in range(1, 5))])
    np.testing.assert_allclose(
      outcome.cotangent, 5 * _gradient(_LOGITS, goals), atol=1e-5
    )

  def test_actions_are_drawn_from_the_policy(self):
    logits = tf.constant(np.stack([_LOGITS, [0.0, 99.0, 0.0, 0.0, 0.0]]))
    logits = tf.cast(logits, tf.float32)
    drawn = np.concatenate(
      [
        discounting_chain.decide(logits, tf.constant([3, k])).actions
        for k in range(100)
      ],
      axis=1,
    )
    self.assertEqual(set(drawn[1]), {1})
    shares = np.bincount(drawn[0], minlength=5) / drawn.shape[1]
    # 12,800 draws: a standard deviation of at most .0045.
    np.testing.assert_allclose(shares, _softmax(_LOGITS), atol=0.02)

  @pytest.mark.integration  # Compiles three programs.
  def test_mg_becomes_myopic_and_the_outer_critic_does_not(self):
    with tqdm.tqdm(disable=True) as bar:
      mg, cured, fixed = (
        discounting_chain.learn(variant, 1, 2, 6000, bar)
        for variant in ('mg', 'mg_outer_critic', 'fixed')
      )
    np.testing.assert_array_less(mg.discount[-1], 0.901)
    np.testing.assert_array_less(0.999, cured.discount[-1])
    np.testing.assert_array_equal(fixed.discount, np.float32(0.95))
    np.testing.assert_array_less(np.diff(mg.returns[-4:], axis=0), 0.0)
    np.testing.assert_array_less(0.0, np.diff(cured.returns[-2:], axis=0))
    self.assertNotEqual(mg.returns[-1, 0], mg.returns[-1, 1])


if __name__ == '__main__':
  absltest.main()
