"""The chain's known discounts, from its own transitions and by simulation."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from seed_metagrad.environments import chain


def _rewards(decision):
  """Returns the rewards of one episode; later actions alternate."""
  env = chain.Chain(1, seed=1)
  env.reset()
  rewards = []
  terminated = False
  while not terminated:
    action = decision if not rewards else len(rewards) % 2
    output = env.step(np.array([action]))
    rewards.append(float(output.reward[0]))
    terminated = output.terminated[0]
  return rewards


def _transitions():
  """Returns {(cell, action): (reward, next cell or None)}, by trying all."""
  env = chain.Chain(1, seed=1)
  model, open_states = {}, [(env.reset().observation, env.get_state())]
  while open_states:
    observation, state = open_states.pop()
    cell = int(observation.argmax())
    for action in range(2):
      env.set_state(state)
      output = env.step(np.array([action]))
      after = None
      if not output.terminated[0]:
        after = int(output.observation.argmax())
        if (after, 0) not in model:
          open_states.append((output.observation, env.get_state()))
      model[cell, action] = (float(output.reward[0]), after)
  return model


def _optimal_decision(discount):
  """Value iteration over the chain's transitions."""
  model = _transitions()
  values = {cell: 0.0 for cell, _ in model}
  for _ in range(chain.LENGTH):
    worth = {
      key: reward + (0 if after is None else discount * values[after])
      for key, (reward, after) in model.items()
    }
    values = {
      c: max(worth[c, chain.TAKE], worth[c, chain.WAIT]) for c in values
    }
  return int(worth[0, chain.WAIT] > worth[0, chain.TAKE])


def _settled_probability(discount, entropy_cost=0.1):
  """Gradient ascent on p gap(g) + c H(p), with p = sigmoid(logit)."""
  gains, logit = _discounted_gap(discount), 0.0
  for _ in range(3000):
    p = 1 / (1 + np.exp(-logit))
    logit += 5 * p * (1 - p) * (gains - entropy_cost * logit)
  return p


def _discounted_gap(discount):
  steps = discount ** np.arange(10)
  return np.dot(_rewards(chain.WAIT), steps) - np.dot(
    _rewards(chain.TAKE), steps
  )


class ChainTest(parameterized.TestCase):
  def test_rewards_depend_on_the_decision_alone(self):
    # By hand: penalty = 3/9 * .9^-6 = .627225,
    # small reward = .65^3 - .627225 * .65^9 = .274625 - .012991.
    np.testing.assert_allclose(
      _rewards(chain.TAKE), [0.261634] + 9 * [0], atol=1e-6
    )
    np.testing.assert_allclose(
      _rewards(chain.WAIT), [0, 0, 0, 1, 0, 0, 0, 0, 0, -0.627225], atol=1e-6
    )

  @parameterized.parameters(
    (0.0, chain.TAKE),
    (0.5, chain.TAKE),
    (0.6, chain.TAKE),
    (0.64, chain.TAKE),
    (0.66, chain.WAIT),
    (0.9, chain.WAIT),
    (0.99, chain.WAIT),
    (1.0, chain.WAIT),
  )
  def test_optimal_decision_changes_at_the_threshold(self, discount, decision):
    self.assertEqual(_optimal_decision(discount), decision)

  def test_gap_is_largest_at_the_best_discount(self):
    grid = np.linspace(0, 1, 1001)
    gaps = [_discounted_gap(discount) for discount in grid]
    self.assertAlmostEqual(grid[np.argmax(gaps)], chain.BEST_DISCOUNT)
    np.testing.assert_allclose(
      [chain.gap(discount) for discount in grid], gaps, atol=1e-6
    )

  def test_softmax_policy_settles_where_the_docstring_says(self):
    settled = [_settled_probability(g) for g in (0.5, 0.85, 0.9, 0.95, 0.99)]
    self.assertEqual(np.argmax(settled), 2)
    np.testing.assert_allclose(
      settled[2], 1 / (1 + np.exp(-chain.gap(0.9) / 0.1)), atol=1e-5
    )
    self.assertLess(settled[0], 0.25)

  @parameterized.parameters(0.5, 0.6, 0.99)
  def test_expected_meta_gradient_leads_to_the_best_discount(self, start):
    # MGRL in expectation on the one logit, by finite differences: step the
    # policy along p' gap(g) + c H', measure p' gap(.99) after that step.
    def stepped(logit, discount):
      p = 1 / (1 + np.exp(-logit))
      return logit + p * (1 - p) * (chain.gap(discount) - 0.1 * logit)

    def objective(logit, discount):
      return chain.gap(0.99) / (1 + np.exp(-stepped(logit, discount)))

    policy, meta = 0.0, np.log(start / (1 - start))
    for _ in range(3000):
      low, high = (1 / (1 + np.exp(-meta - d)) for d in (-1e-4, 1e-4))
      slope = (objective(policy, high) - objective(policy, low)) / 2e-4
      policy = stepped(policy, 1 / (1 + np.exp(-meta)))
      meta += 100 * slope
    learned = 1 / (1 + np.exp(-meta))
    self.assertAlmostEqual(learned, chain.BEST_DISCOUNT, delta=0.002)


if __name__ == '__main__':
  absltest.main()
