"""The Gymnasium adapter against Gymnasium itself."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import gymnasium
from gymnasium import spaces
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment
from seed_metagrad.environments import gym
from tests.support import gym_cases


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
    self.assertEqual(
      env.spec,
      types.EnvSpec(
        (2,), 'uint8', 2, observation_low=(0.0,), observation_high=(9.0,)
      ),
    )
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

  def make_answers(self, num_envs=2, **kwargs):
    self.closed = []
    gymnasium.register(
      'Answers-v0', lambda: gym_cases.Answers(close=self.closed, **kwargs)
    )
    self.addCleanup(gymnasium.registry.pop, 'Answers-v0')
    env = gym.GymnasiumAdapter('Answers-v0', num_envs, seed=1)
    self.addCleanup(env.close)
    return env

  @parameterized.parameters(
    (ValueError('bad\nlevel'), 'ValueError: bad level'),
    (OSError('gone'), 'OSError: gone'),
    (RuntimeError('no GPU'), 'RuntimeError: no GPU'),
    (KeyError('x'), "KeyError: 'x'"),
    (TypeError('t'), 'TypeError: t'),
    (AttributeError('a'), 'AttributeError: a'),
    (AssertionError(), 'AssertionError'),
    (ZeroDivisionError('z'), 'ZeroDivisionError: z'),
    (SystemExit(3), 'SystemExit: 3'),
  )
  def test_what_it_raises_is_told_in_a_line(self, error, text):
    env = self.make_answers(step=error, at=3)
    env.reset()
    for _ in range(2):
      env.step(np.array([0, 1]))
    with self.assertRaises(environment.Failed) as raised:
      env.step(np.array([1, 0]))
    self.assertEqual(
      str(raised.exception),
      'gym:Answers-v0 failed at step 3 of an episode (environment 0, action 1):'
      f' {text}',
    )
    self.assertIs(raised.exception.__cause__, error)

  _ZEROS = np.zeros(3, np.float32)

  @parameterized.named_parameters(
    (
      'reward_array',
      dict(step=(_ZEROS, np.array([1.0]), 0, 0, {})),
      r'step 1 .*reward must be one finite number .*, got array\(\[1.\]\) of '
      r'shape \(1,\)',
    ),
    ('reward_none', dict(step=(_ZEROS, None, 0, 0, {})), 'got None'),
    ('reward_text', dict(step=(_ZEROS, '1', 0, 0, {})), "got '1'"),
    ('reward_nan', dict(step=(_ZEROS, np.nan, 0, 0, {})), 'got nan'),
    ('reward_huge', dict(step=(_ZEROS, 1e39, 0, 0, {})), r'got 1e\+39'),
    (
      'reward_large',
      dict(step=(_ZEROS, -2e12, 0, 0, {})),
      r'at step 1 .*finite .* at most 1e\+12 in size, got -2',
    ),
    (
      'observation_nan',
      dict(step=(np.float32([0, np.nan, 0]), 1, 0, 0, {})),
      r'at step 1 of an episode \(environment 0, action .\): '
      r'observation must be finite and within, or near, Box\(.* got nan.',
    ),
    (
      'observation_beyond',
      dict(step=(np.float32([0, 0, 3.5]), 1, 0, 0, {})),
      'got 3.5',
    ),
    (
      'first_observation_beyond',
      dict(reset=(np.float32([0, -3.5, 0]), {})),
      'at a reset .*got -3.5',
    ),
    ('float64', dict(step=(np.array([0, 0, 1e39]), 1, 0, 0, {})), 'got inf'),
    (
      'terminated',
      dict(step=(_ZEROS, 1, None, 0, {})),
      'terminated must be a bool, got None',
    ),
    (
      'truncated',
      dict(step=(_ZEROS, 1, 0, [True], {})),
      r'truncated must be a bool, got \[True\]',
    ),
    (
      'shape',
      dict(step=(np.zeros(4), 1, 0, 0, {})),
      r'observation must be in Box.*got array.*of shape \(4,\)',
    ),
    ('list', dict(step=([0.0, 0.0], 1, 0, 0, {})), r'got \[0.0, 0.0\]'),
    ('ragged', dict(step=([0.0, [0.0]], 1, 0, 0, {})), r'got \[0.0, \[0.0\]\]'),
    ('dict', dict(step=({}, 1, 0, 0, {})), 'observation .*got {}'),
    ('old_step', dict(step=(_ZEROS, 1.0, False, {})), 'step 1 .*an old API'),
    ('old_reset', dict(reset=_ZEROS), 'at a reset .*an old API'),
    ('no_tuple', dict(reset=7), 'at a reset .*an old API'),
  )
  def test_what_is_unlike_its_space_is_told_in_a_line(self, answers, message):
    env = self.make_answers(**answers)
    with self.assertRaisesRegex(
      environment.Failed, f'gym:Answers-v0 .*{message}'
    ):
      env.reset()
      env.step(np.array([0, 0]))

  def test_an_old_reset_without_a_seed_is_told(self):
    class Old(gym_cases.Endless):
      def reset(self):
        return np.zeros(3)

    gymnasium.register('OldReset-v0', Old)
    self.addCleanup(gymnasium.registry.pop, 'OldReset-v0')
    env = gym.GymnasiumAdapter('OldReset-v0', 1, seed=1)
    with self.assertRaisesRegex(environment.Failed, "reset .*'seed'"):
      env.reset()

  @parameterized.parameters('list', 'int64', 'bool')
  def test_whole_numbers_within_uint8_are_taken(self, kind):
    numbers = {
      'list': [0, 1, 9],
      'int64': np.array([0, 1, 9]),
      'bool': np.array([False, True, True]),
    }[kind]

    class Whole(gym_cases.Bounded):
      def reset(self, *, seed=None, options=None):
        return numbers, {}

    gymnasium.register('Whole-v0', lambda: Whole(0, 9, 'uint8'))
    self.addCleanup(gymnasium.registry.pop, 'Whole-v0')
    observation = (
      gym.GymnasiumAdapter('Whole-v0', 1, seed=1).reset().observation
    )
    self.assertEqual(observation.dtype, np.uint8)
    self.assertEqual(observation[0].tolist(), [int(n) for n in numbers])

  def test_settings_make_it_and_wrap_it(self):
    settings = {
      'import': 'tests.support.gym_cases',
      'kwargs': {'low': -1, 'high': 3, 'dtype': 'float32'},
      'wrapper': 'tests.support.gym_cases:doubled',
    }
    env = gym.make(
      'BoundedTest-v0', 1, seed=1, num_threads=1, settings=settings
    )
    self.addCleanup(env.close)
    self.assertEqual(env.spec.observation_high, (6.0,))
    # Bounded shows its own high bound: 3, and twice that.
    np.testing.assert_array_equal(env.reset().observation, [[6, 6, 6]])
    self.assertEqual(env.spec, gym.spec('BoundedTest-v0', settings))

  @parameterized.parameters(
    ({'kwargs': {'height': 3}}, "constructor: TypeError: .*'height'"),
    ({'import': 'no_such.module'}, 'import of no_such.module: ModuleNotFound'),
    ({'wrapper': 'math:sin'}, 'wrapper math:sin: TypeError'),
    ({'wrapper': 'math:sinus'}, 'wrapper math:sinus: AttributeError'),
    ({'wrapper': 'gymnasium'}, 'wrapper gymnasium: AttributeError'),
    ({'wrapper': 'builtins:repr'}, 'must return an environment, got'),
  )
  def test_settings_that_fail_are_told(self, settings, message):
    with self.assertRaisesRegex(
      environment.Failed, f'gym:CartPole-v1 failed in the {message}|{message}'
    ):
      gym.spec('CartPole-v1', settings)

  def test_infos_are_not_looked_at(self):
    env = gym.GymnasiumAdapter(
      'tests.support.gym_cases:InfosTest-v0', 3, seed=1
    )
    env.reset()
    for t in range(30):
      env.step(np.array([0, 1, t % 2]))

  def test_those_that_were_made_are_closed_where_a_later_one_fails(self):
    closed, made = [], []

    def make():
      if len(made) == 2:
        raise RuntimeError('no licence left')
      made.append(gym_cases.Answers(close=closed))
      return made[-1]

    gymnasium.register('Third-v0', make)
    self.addCleanup(gymnasium.registry.pop, 'Third-v0')
    with self.assertRaisesRegex(
      environment.Failed, 'in its constructor: RuntimeError: no licence left'
    ):
      gym.GymnasiumAdapter('Third-v0', 3, seed=1)
    self.assertCountEqual(closed, made)

  def test_all_are_closed_where_one_fails_to(self):
    env = self.make_answers(num_envs=3)
    env.reset()
    one = env._envs[1].env.unwrapped
    one.close = mock.Mock(side_effect=OSError('pipe'))
    with self.assertRaisesRegex(environment.Failed, 'close .*1.*OSError: pipe'):
      env.close()
    self.assertLen(self.closed, 2)

  def test_unequal_spaces_are_refused(self):
    highs = iter([1, 2])
    gymnasium.register(
      'Unequal-v0', lambda: gym_cases.Bounded(0, next(highs), 'uint8')
    )
    self.addCleanup(gymnasium.registry.pop, 'Unequal-v0')
    with self.assertRaisesRegex(environment.Failed, 'equal spaces'):
      gym.GymnasiumAdapter('Unequal-v0', 2, seed=1)

  @parameterized.parameters(
    ('Nope-v1', 'Nope'),
    ('CartPole-v9', 'v9'),
    ('no_such_module:CartPole-v1', 'no_such_module'),
    ('ALE/Pong-v5', 'Take --env=pong'),
    ('ale_py:ALE/MsPacman-v5', 'Take --env=ms_pacman'),
    ('PongNoFrameskip-v4', 'Take --env=pong'),
  )
  def test_spec_refuses(self, env_id, message):
    with self.assertRaisesRegex(ValueError, message):
      gym.spec(env_id, {})

  def test_atari_under_an_own_name_is_refused(self):
    gymnasium.register(
      'Own-v0', 'ale_py.env:AtariEnv', kwargs=dict(game='space_invaders')
    )
    self.addCleanup(gymnasium.registry.pop, 'Own-v0')
    with self.assertRaisesRegex(ValueError, 'miscounted.*=space_invaders'):
      gym.spec('Own-v0', {})

  def test_an_own_game_with_an_atari_name_is_taken(self):
    gymnasium.register('Tetris-v0', gym_cases.Endless)
    self.addCleanup(gymnasium.registry.pop, 'Tetris-v0')
    self.assertEqual(gym.spec('Tetris-v0', {}).num_actions, 2)


if __name__ == '__main__':
  absltest.main()
