"""Every kind of action that a Gymnasium environment may take."""

from absl.testing import absltest
from absl.testing import parameterized
import gymnasium
from gymnasium import spaces
import numpy as np

from seed_metagrad.environments import gym

_INF = np.inf


class _Taker(gymnasium.Env):
  """Refuses what is not in its space, and keeps the rest."""

  observation_space = spaces.Box(0, 1, (2,), np.float32)
  taken: list = []

  def __init__(self, space):
    self.action_space = space

  def reset(self, *, seed=None, options=None):
    super().reset(seed=seed)
    return np.zeros(2, np.float32), {}

  def step(self, action):
    assert self.action_space.contains(action), action
    self.taken.append(action)
    return np.zeros(2, np.float32), 0.0, False, False, {}


class GymActionsTest(parameterized.TestCase):
  def make(self, space):
    gymnasium.register('Taker-v0', lambda: _Taker(space))
    self.addCleanup(gymnasium.registry.pop, 'Taker-v0')
    _Taker.taken.clear()
    env = gym.GymnasiumAdapter('Taker-v0', 1, seed=1)
    self.addCleanup(env.close)
    env.reset()
    return env

  @parameterized.parameters(
    (spaces.Discrete(3, start=-1), (3, (), 0), 2, 1),
    (spaces.MultiDiscrete([2, 3]), (0, (2, 3), 0), [1, 2], [1, 2]),
    (
      spaces.MultiDiscrete([2, 3], start=[4, -1]),
      (0, (2, 3), 0),
      [1, 2],
      [5, 1],
    ),
    (
      spaces.MultiDiscrete([[2, 3], [4, 5]]),
      (0, (2, 3, 4, 5), 0),
      [1, 2, 3, 4],
      [[1, 2], [3, 4]],
    ),
    (spaces.MultiBinary(3), (0, (2, 2, 2), 0), [1, 0, 1], [1, 0, 1]),
    (spaces.Box(-2, 2, (1,)), (0, (), 1), [0.5], [1.0]),
    (spaces.Box(-2, 2, (1,)), (0, (), 1), [7.0], [2.0]),
    (spaces.Box(0, 1, (2,), np.float64), (0, (), 2), [-1.0, 0.0], [0.0, 0.5]),
    (spaces.Box(-_INF, _INF, (1,)), (0, (), 1), [7.0], [7.0]),
    (spaces.Box(0, _INF, (2,)), (0, (), 2), [7.0, -3.0], [7.0, 0.0]),
    (spaces.Box(-1, 3, (1, 2)), (0, (), 2), [1.0, -1.0], [[3.0, -1.0]]),
  )
  def test_what_an_environment_is_given(self, space, kind, ours, theirs):
    env = self.make(space)
    spec = env.spec
    self.assertEqual(
      (spec.num_actions, spec.action_sizes, spec.action_dims), kind
    )
    env.step(np.array([ours], spec.action_dtype))
    np.testing.assert_array_equal(_Taker.taken, [theirs])

  @parameterized.parameters(
    (spaces.MultiDiscrete([2, 3]), [[1, 3]], 'in .0, .2, 3.*got .*3'),
    (spaces.MultiDiscrete([2, 3]), [1], r'int32 of shape \(1, 2\), got'),
    (spaces.Box(-1, 1, (2,)), [[0.0, np.nan]], 'finite, got'),
    (spaces.Box(-1, 1, (2,)), [[0.0]], r'float32 of shape \(1, 2\), got'),
  )
  def test_impossible_actions_are_refused(self, space, actions, message):
    env = self.make(space)
    with self.assertRaisesRegex(ValueError, message):
      env.step(np.array(actions, env.spec.action_dtype))

  @parameterized.parameters(
    (spaces.Dict(a=spaces.Discrete(2)),),
    (spaces.Tuple([spaces.Discrete(2)]),),
    (spaces.Box(0, 9, (2,), np.int32),),
    (spaces.Box(0, 9, (0,)),),
    (spaces.Text(3),),
  )
  def test_other_kinds_are_refused(self, space):
    with self.assertRaisesRegex(
      ValueError, 'Taker-v0 must have an action.*got'
    ):
      self.make(space)

  def test_an_own_error_names_the_action(self):
    env = self.make(spaces.Box(-1, 1, (2,)))
    env._envs[0].env.unwrapped.action_space = spaces.Discrete(2)
    with self.assertRaisesRegex(Exception, r'action \[0\.5 +1\. *\]'):
      env.step(np.float32([[0.5, 3.0]]))


if __name__ == '__main__':
  absltest.main()
