"""Prediction's meta-gradients per state, and where they lead."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf
import tqdm

from experiments.illustrative import markov_processes
from experiments.illustrative import prediction
from seed_metagrad.meta_gradients import meta
from tests.support import reference

_SIZE = 4  # States of the small processes.
_RATE = 0.3
_QUIET = tqdm.tqdm(disable=True)


def _process(learned):
  """A small process, whose rewards the tests draw themselves."""
  return markov_processes.Process(
    learned, np.zeros(_SIZE, bool), 'high', 'low', np.zeros(_SIZE), None
  )


def _sigmoid(x):
  return 1.0 / (1.0 + np.exp(-x))


def _returns(process, settings, rewards, values, logits):
  """g by the papers' definitions; of a state's own values, on entering it."""
  table = np.append(_sigmoid(logits)[1:], 1.0)
  discounts = np.append(np.ones(_SIZE - 1), 0.0)
  if process.learned == 'discount':
    discounts, table = discounts * table, np.ones(_SIZE)
  columns = (
    rewards[:, np.newaxis],
    discounts[:, np.newaxis],
    np.append(values, 0.0)[:, np.newaxis],
  )
  if settings.n_step:
    return reference.n_step(*columns, settings.n_step)[:-1, 0]
  return reference.lambda_returns(*columns, table)[:, 0]


def _learn_values(process, settings, episodes, values, logits):
  """TD on one episode after the other."""
  for rewards in episodes:
    g = _returns(process, settings, rewards, values, logits)
    values = values + settings.learning_rate * (g - values)
  return values


def _setup(process, settings, trace_decay, seed=0):
  """(rules, state, rewards) in float64, in the middle of training."""
  rng = np.random.default_rng(seed)
  rules = prediction.make_rules(process, settings, trace_decay, fixed=1.0)
  state = meta.init(
    rules,
    tf.constant(rng.normal(size=_SIZE)),
    {process.learned: tf.constant(rng.normal(size=_SIZE))},
  )
  return rules, state, rng.normal(size=[6, _SIZE])


def _update(rules, state, settings, rewards):
  *inner, later = (prediction.episode(tf.constant(r)) for r in rewards)
  return meta.update(
    state, inner, [later], settings.learning_rate, rules=rules
  )[0]


class MetaGradientTest(parameterized.TestCase):
  @parameterized.product(
    learned=('discount', 'lambda_'),
    trace_decay=(0.0, 0.5),
    inner_updates=(1, 2),
  )
  def test_is_finite_difference(self, learned, trace_decay, inner_updates):
    self._assert_is_finite_difference(
      learned, trace_decay, n_step=0, inner_updates=inner_updates
    )

  @parameterized.parameters(1, 2, _SIZE)
  def test_of_n_step_returns_is_finite_difference(self, n):
    self._assert_is_finite_difference(
      'discount', 0.0, n_step=n, inner_updates=1
    )

  def _assert_is_finite_difference(self, learned, trace_decay, **fields):
    process = _process(learned)
    settings = prediction.Settings(_RATE, 1.0, 'sgd', **fields)
    rules, state, rewards = _setup(process, settings, trace_decay)
    rewards = rewards[: settings.inner_updates + 1]
    new = _update(rules, state, settings, rewards)

    def objective(logits):
      values = _learn_values(
        process, settings, rewards[:-1], state.params.numpy(), logits
      )
      undiscounted = np.cumsum(rewards[-1][::-1])[::-1]
      return 0.5 * np.sum(np.square(undiscounted - values))

    if settings.n_step:  # The judge bootstraps too: hold its returns.
      values = _learn_values(
        process,
        settings,
        rewards[:-1],
        state.params.numpy(),
        state.eta[learned].numpy(),
      )
      judge = reference.n_step(
        rewards[-1][:, np.newaxis],
        np.append(np.ones(_SIZE - 1), 0.0)[:, np.newaxis],
        np.append(values, 0.0)[:, np.newaxis],
        settings.n_step,
      )[:-1, 0]

      def objective(logits):
        values = _learn_values(
          process, settings, rewards[:-1], state.params.numpy(), logits
        )
        return 0.5 * np.sum(np.square(judge - values))

    logits = state.eta[learned].numpy()
    expected = reference.derivative(objective, logits)
    self.assertEqual(expected[0], 0.0)  # No transition enters the first state.
    np.testing.assert_allclose(
      logits - new.eta[learned], expected, rtol=1e-6, atol=1e-12
    )

  def test_trace_is_exact_when_it_decays_as_the_values_do(self):
    # With lambda 1, d theta'/d theta is 1 - alpha.
    process = _process('discount')
    settings = prediction.Settings(_RATE, 0.0, 'sgd')
    rules, state, rewards = _setup(process, settings, 1.0 - _RATE)
    start, logits = state.params.numpy(), state.eta['discount'].numpy()
    for k in range(4):
      state = _update(rules, state, settings, rewards[k : k + 2])
    expected = reference.derivative(
      lambda x: _learn_values(process, settings, rewards[:4], start, x), logits
    )
    np.testing.assert_allclose(
      state.trace['discount'], expected, rtol=1e-6, atol=1e-12
    )


class LearnTest(parameterized.TestCase):
  @parameterized.parameters('A', 'B')
  def test_learned_values_part_as_in_the_paper(self, name):
    episodes = 1500
    process = markov_processes.PROCESSES[name]
    rewards = process.rewards(np.random.default_rng(1), episodes + 1)
    history = prediction.learn(
      process,
      rewards[np.newaxis],
      np.array([0.5]),
      prediction.Settings(0.5, 0.03),
      _QUIET,
    )
    self.assertEqual(history.learned.shape, (episodes, 1, len(process.high)))
    final = history.learned[-1, 0]
    self.assertEqual(final[0], 0.5)  # Never used.
    low = final[1:][~process.high[1:]]
    self.assertGreater(final[1:][process.high[1:]].min(), low.max() + 0.1)

  def test_members_do_not_mix(self):
    process = _process('discount')
    rewards = np.random.default_rng(1).normal(size=[2, 5, _SIZE])
    mus = np.array([0.0, 0.9])
    settings = prediction.Settings(0.5, 0.1)
    together = prediction.learn(process, rewards, mus, settings, _QUIET)
    alone = prediction.learn(process, rewards[1:], mus[1:], settings, _QUIET)
    for a, b in zip(together, alone):
      np.testing.assert_allclose(a[:, 1:], b, rtol=1e-5)

  def test_fixed_values_by_hand(self):
    # Discount 0: each value follows its own reward; 1: the sum to the end.
    rewards = np.tile(np.arange(1.0, 1.0 + _SIZE), [2, 3, 1])
    history = prediction.learn_values(
      _process('discount'),
      rewards,
      np.array([0.0, 1.0]),
      prediction.Settings(0.5, 0.1),
      _QUIET,
    )
    self.assertIsNone(history.learned)
    np.testing.assert_allclose(
      history.values[:, 0], [[0.5, 1.0, 1.5, 2.0], [0.75, 1.5, 2.25, 3.0]]
    )
    np.testing.assert_allclose(history.values[0, 1], [5.0, 4.5, 3.5, 2.0])

  def test_several_inner_updates_learn_from_each_episode_once(self):
    rewards = np.ones([1, 7, _SIZE])
    history = prediction.learn_values(
      _process('discount'),
      rewards,
      np.zeros(1),
      prediction.Settings(0.5, 0.1, inner_updates=2),
      _QUIET,
    )
    np.testing.assert_allclose(  # After 2, 4 and 6 episodes.
      history.values[:, 0, 0], 1.0 - 0.5 ** np.array([2.0, 4.0, 6.0])
    )


if __name__ == '__main__':
  absltest.main()
