"""What Gymnasium's spaces become, and actions, by environments of them."""

import warnings

from absl.testing import absltest
from absl.testing import parameterized
import gymnasium
from gymnasium import spaces
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment
from seed_metagrad.environments import gym
from seed_metagrad.environments import gym_spaces
from tests.support import gym_cases

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


class SpacesTest(parameterized.TestCase):
  def make_showing(self, space, observation, settings=None):
    class Shows(gym_cases.Endless):
      observation_space = space

      def reset(self, *, seed=None, options=None):
        return observation, {}

    gymnasium.register('Shows-v0', Shows)
    self.addCleanup(gymnasium.registry.pop, 'Shows-v0')
    env = gym.GymnasiumAdapter('Shows-v0', 1, seed=1, settings=settings or {})
    self.addCleanup(env.close)
    return env

  @parameterized.parameters(
    (0, 1, 'uint8', 'uint8', (0.0,), (1.0,)),
    (-3, 4, 'int8', 'float32', (-3.0,), (4.0,)),
    (0, 700, 'int64', 'float32', (0.0,), (700.0,)),
    (-np.inf, 0.5, 'float64', 'float32', (-np.inf,), (0.5,)),
    (
      np.float32([0, 0, -1]),
      np.float32([0, 5, 1]),
      'float32',
      'float32',
      (0.0, 0.0, -1.0),
      (0.0, 5.0, 1.0),
    ),
  )
  def test_spec_has_the_spaces_bounds(self, low, high, dtype, ours, *bounds):
    gymnasium.register(
      'OwnBounds-v0', lambda: gym_cases.Bounded(low, high, dtype)
    )
    self.addCleanup(gymnasium.registry.pop, 'OwnBounds-v0')
    spec = gym.spec('OwnBounds-v0', {})
    self.assertEqual(spec, types.EnvSpec((3,), ours, 2, 1, 1, *bounds))

  @parameterized.parameters((np.float64, 1), (np.float32, 0), (np.uint8, 0))
  def test_float64_is_said_to_become_float32(self, dtype, times):
    space = spaces.Box(0, 1, (2,), dtype)
    with warnings.catch_warnings(record=True) as said:
      warnings.simplefilter('always')
      spec = gym_spaces.spec_of('gym:Own-v0', space, spaces.Discrete(2))
    self.assertLen(said, times)
    for warning in said:
      self.assertIn('Own-v0 shows float64', str(warning.message))
    self.assertNotEqual(spec.observation_dtype, 'float64')

  def test_a_box_of_no_numbers_is_refused(self):
    gymnasium.register(
      'Empty-v0', lambda: gym_cases.Bounded(0, 1, 'float32', (0,))
    )
    self.addCleanup(gymnasium.registry.pop, 'Empty-v0')
    with self.assertRaisesRegex(ValueError, 'at least one number'):
      gym.spec('Empty-v0', {})

  def test_a_discrete_observation_is_one_hot(self):
    env = gym.GymnasiumAdapter(
      'FrozenLake-v1', 1, seed=1, settings={'kwargs': {'is_slippery': False}}
    )
    self.addCleanup(env.close)
    self.assertEqual(
      (env.spec.observation_shape, env.spec.observation_dtype),
      ((16,), 'float32'),
    )
    first, step = env.reset(), env.step(np.array([2]))  # One to the right.
    self.assertEqual(
      [np.flatnonzero(x.observation[0]).tolist() for x in (first, step)],
      [[0], [1]],
    )
    self.assertEqual([x.observation.sum() for x in (first, step)], [1, 1])

  def test_vectors_and_numbers_in_a_dict_are_one_vector(self):
    space = spaces.Dict(  # In its own order.
      wind=spaces.Box(-2.0, 2.0, (2,), np.float64),
      at=spaces.Tuple([spaces.Discrete(3, start=1), spaces.MultiBinary(2)]),
    )
    env = self.make_showing(
      space, {'wind': np.array([0.5, -1.5]), 'at': (3, np.array([0, 1]))}
    )
    np.testing.assert_array_equal(
      env.reset().observation, np.float32([[0.5, -1.5, 0, 0, 1, 0, 1]])
    )
    self.assertEqual(env.spec.observation_low, (-2, -2, 0, 0, 0, 0, 0))

  def test_an_observation_that_no_flat_vector_has_room_for_is_told(self):
    env = self.make_showing(spaces.Dict(at=spaces.Discrete(3)), {'at': 7})
    with self.assertRaisesRegex(
      environment.Failed, 'gym:Shows-v0 failed at a reset'
    ):
      env.reset()

  @parameterized.parameters(
    (spaces.Dict(image=spaces.Box(0, 255, (8, 8, 3), np.uint8)),),
    (spaces.Tuple([spaces.Sequence(spaces.Discrete(2))]),),
    (spaces.Text(5),),
  )
  def test_other_observations_are_refused(self, space):
    with self.assertRaisesRegex(
      ValueError, 'gym:Shows-v0 must have a Box obs.*--env_wrapper'
    ):
      self.make_showing(space, None)

  def test_channels_first_are_turned_round(self):
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    high = np.full((2, 3, 4), 100, np.uint8)
    high[1] = 200
    space = spaces.Box(np.zeros_like(high), high, dtype=np.uint8)
    env = self.make_showing(space, image, {'channels_first': True})
    self.assertEqual(env.spec.observation_shape, (3, 4, 2))
    np.testing.assert_array_equal(env.reset().observation[0, :, :, 1], image[1])
    np.testing.assert_array_equal(
      np.reshape(env.spec.observation_high, (3, 4, 2))[0, 0], [100, 200]
    )

  @parameterized.parameters(
    (spaces.Box(0, 255, (8, 8), np.uint8),), (spaces.Discrete(3),)
  )
  def test_channels_first_of_what_has_none_are_refused(self, space):
    with self.assertRaisesRegex(
      ValueError, 'gym:Shows-v0 must show images .*--channels_first, got '
    ):
      self.make_showing(space, None, {'channels_first': True})


class ActionsTest(parameterized.TestCase):
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
