"""What Gymnasium's spaces become, by environments that have them."""

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


if __name__ == '__main__':
  absltest.main()
