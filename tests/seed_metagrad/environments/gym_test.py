"""The Gymnasium adapter against Gymnasium itself."""

from absl.testing import absltest
from absl.testing import parameterized
import gymnasium
from gymnasium import spaces
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import gym


class _Counter(gymnasium.Env):
  """Counts its steps; pays the action; ends or is cut after three."""

  observation_space = spaces.Box(0, 9, (2,), np.uint8)
  action_space = spaces.Discrete(2, start=5)

  def __init__(self, ended, cut):
    self._flags = ended, cut

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    self._steps = 0
    return np.array([0, 7], np.uint8), {}

  def step(self, action):
    self._steps += 1
    flags = [flag and self._steps == 3 for flag in self._flags]
    return np.array([self._steps, 7], np.uint8), float(action), *flags, {}


class GymnasiumAdapterTest(parameterized.TestCase):
  def make(self, ended, cut):
    gymnasium.register('Counter-v0', lambda: _Counter(ended, cut))
    self.addCleanup(gymnasium.registry.pop, 'Counter-v0')
    env = gym.GymnasiumAdapter('Counter-v0', 2, seed=1)
    self.addCleanup(env.close)
    return env

  @parameterized.parameters(
    (True, False, True, False),
    (False, True, False, True),
    (True, True, True, False),
  )  # At the cap a real end is an end.
  def test_end_comes_with_the_next_first_observation(
    self, ended, cut, terminated, truncated
  ):
    env = self.make(ended, cut)
    env.reset()
    outputs = [env.step(np.array([0, 1])) for _ in range(4)]
    self.assertEqual([o.observation[0, 0] for o in outputs], [1, 2, 0, 1])
    self.assertEqual(
      [o.terminated[0] for o in outputs], [False, False, terminated, False]
    )
    self.assertEqual(
      [o.truncated[0] for o in outputs], [False, False, truncated, False]
    )

  def test_uint8_is_kept_and_actions_begin_where_gymnasiums_do(self):
    env = self.make(True, False)
    self.assertEqual(env.spec, types.EnvSpec((2,), 'uint8', 2))
    self.assertEqual(env.reset().observation.dtype, np.uint8)
    output = env.step(np.array([0, 1]))
    self.assertEqual(output.reward.tolist(), [5.0, 6.0])

  def test_cartpole_is_gymnasiums_own(self):
    env = gym.GymnasiumAdapter('CartPole-v1', 2, seed=4)
    self.addCleanup(env.close)
    other = gymnasium.make('CartPole-v1')
    self.addCleanup(other.close)
    seeds = np.random.SeedSequence(4).generate_state(2).tolist()
    expected, _ = other.reset(seed=seeds[1])
    output = env.reset()
    for t in range(60):
      np.testing.assert_array_equal(output.observation[1], expected)
      output = env.step(np.array([0, t % 2]))
      expected, _, terminated, _, _ = other.step(t % 2)
      self.assertEqual(output.terminated[1], terminated)
      if terminated:
        expected, _ = other.reset()

  @parameterized.parameters(
    ('FrozenLake-v1', r'Box observation.*Discrete\(16\)'),
    ('Pendulum-v1', 'Discrete action.*Box'),
    ('Nope-v1', 'Nope'),
    ('CartPole-v9', 'v9'),
    ('no_such_module:CartPole-v1', 'no_such_module'),
  )
  def test_spec_refuses(self, env_id, message):
    with self.assertRaisesRegex(ValueError, message):
      gym.spec(env_id, {})


if __name__ == '__main__':
  absltest.main()
