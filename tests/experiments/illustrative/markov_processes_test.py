"""The rewards of the two processes, and their true values."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.illustrative import markov_processes

_A, _B = markov_processes.PROCESSES['A'], markov_processes.PROCESSES['B']


def _rewards(process, episodes=20_000):
  return process.rewards(np.random.default_rng(1), episodes)


class MarkovProcessesTest(parameterized.TestCase):
  def test_signal_is_certain_and_noise_is_standard_normal(self):
    rewards = _rewards(_A)
    self.assertEqual(rewards.shape[1], 10)
    np.testing.assert_array_equal(rewards[:, ::2], 0.1)
    noise = rewards[:, 1::2]
    np.testing.assert_allclose(noise.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(noise.T), np.eye(5), atol=0.04)

  def test_a_random_reward_is_answered_by_its_negation_but_the_last(self):
    rewards = _rewards(_B)
    self.assertEqual(rewards.shape[1], 9)
    np.testing.assert_array_equal(rewards[:, 1::2], -rewards[:, :-1:2])
    random = rewards[:, ::2]
    np.testing.assert_allclose(random.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(random.T), np.eye(5), atol=0.04)

  def test_true_values_by_hand(self):
    np.testing.assert_allclose(
      _A.true_values,
      [0.5, 0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.0],
      atol=1e-12,
    )
    np.testing.assert_array_equal(_B.true_values, np.zeros(9))

  @parameterized.parameters('A', 'B')
  def test_true_values_are_mean_returns(self, name):
    process = markov_processes.PROCESSES[name]
    returns = np.cumsum(_rewards(process)[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(
      returns.mean(axis=0), process.true_values, atol=0.05
    )

  def test_kinds_are_numbered_from_one(self):
    self.assertEqual(_A.kinds(), 5 * ['signal', 'noise'])
    self.assertEqual(_B.kinds(), 4 * ['known', 'noisy'] + ['known'])
    self.assertEqual((_A.learned, _B.learned), ('discount', 'lambda_'))


if __name__ == '__main__':
  absltest.main()
