"""Environments that step many at once, with a scripted one."""

from absl.testing import absltest
from absl.testing import parameterized
import gymnasium
from gymnasium import spaces
from gymnasium import vector as gymnasium_vector
import numpy as np
import pytest

from seed_metagrad import environments
from seed_metagrad.environments import environment

_MODE = gymnasium_vector.AutoresetMode
_ID = 'Countdown-v0'


class _Countdown(gymnasium_vector.VectorEnv):
  """Environment e ends, or is cut for odd e, after 2 + e steps; pays 1 each.

  An observation is the number of steps.
  """

  single_observation_space = spaces.Box(0, 100, (1,), np.float32)
  single_action_space = spaces.Discrete(2, start=3)

  def __init__(self, num_envs, mode, wrong=None):
    self.num_envs, self._mode, self._wrong = num_envs, mode, wrong or {}
    self.metadata = {'autoreset_mode': mode}
    self.actions = []

  def reset(self, *, seed=None, options=None):
    self.seed = seed
    self._steps = np.zeros(self.num_envs, np.int64)
    self._done = np.zeros(self.num_envs, bool)
    return self._steps[:, np.newaxis].astype(np.float32), {}

  def step(self, actions):
    self.actions.append(actions)
    rows = np.arange(self.num_envs)
    again = self._done if self._mode == _MODE.NEXT_STEP else rows < 0
    self._steps = np.where(again, 0, self._steps + 1)
    self._done = self._steps == 2 + rows
    done, odd = self._done, rows % 2 == 1
    if self._mode == _MODE.SAME_STEP:
      self._steps[done] = 0
    result = dict(
      observation=self._steps[:, np.newaxis].astype(np.float32),
      reward=np.where(again, 0.0, 1.0),
      terminated=done & ~odd,
      truncated=done & odd,
    )
    return *(result | self._wrong).values(), {}


class VectorTest(parameterized.TestCase):
  def make(self, num_envs=2, mode=_MODE.NEXT_STEP, **wrong):
    gymnasium.register(
      _ID, vector_entry_point=lambda num_envs: _Countdown(num_envs, mode, wrong)
    )
    self.addCleanup(gymnasium.registry.pop, _ID)
    env = environments.make(f'vector:{_ID}', num_envs, seed=7)
    self.addCleanup(env.close)
    return env

  def test_an_end_comes_with_the_next_first_observation(self):
    env = self.make()
    first = env.reset()
    np.testing.assert_array_equal(first.observation, [[0], [0]])
    seen = [env.step(np.array([0, 1])) for _ in range(8)]
    # One step longer than it was: the last is that of the restart.
    np.testing.assert_array_equal(
      [out.terminated[0] for out in seen], [0, 0, 1, 0, 0, 1, 0, 0]
    )
    np.testing.assert_array_equal(
      [out.truncated[1] for out in seen], [0, 0, 0, 1, 0, 0, 0, 1]
    )
    for out in seen:
      ended = out.terminated | out.truncated
      np.testing.assert_array_equal(out.observation[:, 0] == 0, ended)
      np.testing.assert_array_equal(out.reward, ~ended)
    self.assertFalse(any(out.terminated[1] for out in seen))
    np.testing.assert_array_equal(env._env.actions[0], [3, 4])

  def test_one_that_restarts_at_once_is_taken_as_it_is(self):
    env = self.make(mode=_MODE.SAME_STEP)
    env.reset()
    seen = [env.step(np.array([0, 1])) for _ in range(4)]
    np.testing.assert_array_equal(
      [out.terminated[0] for out in seen], [0, 1, 0, 1]
    )
    np.testing.assert_array_equal([out.reward[0] for out in seen], [1] * 4)
    np.testing.assert_array_equal(seen[1].observation, [[0], [2]])

  def test_one_that_does_not_restart_is_refused(self):
    with self.assertRaisesRegex(ValueError, f'{_ID} must restart by itself'):
      self.make(mode=_MODE.DISABLED)

  def test_the_first_reset_seeds(self):
    env = self.make()
    env.reset()
    self.assertEqual(env._env.seed, 7)
    env.reset()
    self.assertIsNone(env._env.seed)

  def test_what_was_handed_out_is_not_written_to(self):
    env = self.make(observation=(shared := np.zeros((2, 1), np.float32)))
    env.reset()
    out = env.step(np.array([0, 1]))
    shared[:] = 5.0
    np.testing.assert_array_equal(out.observation, [[0], [0]])

  @parameterized.parameters(
    (dict(observation=np.zeros((2, 2), np.float32)), 'observation .*shape'),
    (
      dict(observation=np.float32([[0], [np.nan]])),
      'step 1: observation of environment 1 .*got nan',
    ),
    (dict(reward=np.array([0, np.inf])), 'step 1: rewards .*got .*inf'),
    (dict(reward=1.0), r'reward must be of shape \(2,\), got float64'),
    (dict(terminated=np.array([0.0, 1.0])), 'terminated .*got float64'),
  )
  def test_what_is_unlike_its_space_is_refused(self, wrong, message):
    env = self.make(**wrong)
    env.reset()
    with self.assertRaisesRegex(environment.Failed, message):
      env.step(np.array([0, 1]))

  @parameterized.parameters(
    ('Pendulum-v1', 'Cannot make vector:Pendulum-v1'),
    ('Nope-v1', 'Cannot make vector:Nope-v1'),
  )
  def test_ids_that_are_none(self, env_id, message):
    with self.assertRaisesRegex(ValueError, message):
      environments.spec(f'vector:{env_id}')

  def test_cart_pole_is_that_of_gym(self):
    self.assertEqual(
      environments.spec('vector:CartPole-v1'),
      environments.spec('gym:CartPole-v1'),
    )


class EnvPoolTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    pytest.importorskip('envpool')

  @parameterized.parameters(('Pong-v5', 'pong'), ('Breakout-v5', 'breakout'))
  def test_atari_has_the_spec_of_ale_py(self, env_id, game):
    ours, theirs = (environments.spec(x) for x in (game, f'envpool:{env_id}'))
    bounds = dict(observation_low=(), observation_high=())
    self.assertEqual(ours._replace(**bounds), theirs._replace(**bounds))

  def test_a_lost_life_is_no_end(self):
    env = environments.make('envpool:Breakout-v5', 4, seed=1, num_threads=2)
    self.addCleanup(env.close)
    env.reset()
    rng = np.random.default_rng(0)
    seen = [
      env.step(rng.integers(0, 4, 4).astype(np.int32)) for _ in range(500)
    ]
    lost = sum(out.life_lost.sum() for out in seen)
    ends = sum(out.terminated.sum() for out in seen)
    self.assertGreater(ends, 1)
    self.assertBetween(lost, 4 * ends, 4 * (ends + 4))
    for out in seen:
      self.assertFalse((out.life_lost & out.terminated).any())

  def test_equal_seeds_are_equal(self):
    episodes = []
    for seed in (1, 1, 2):
      env = environments.make('envpool:CartPole-v1', 3, seed=seed)
      self.addCleanup(env.close)
      env.reset()
      episodes.append([env.step(np.array([0, 1, 0])) for _ in range(30)])
    a, b, other = (np.stack([o.observation for o in e]) for e in episodes)
    np.testing.assert_array_equal(a, b)
    self.assertFalse(np.array_equal(a, other))

  def test_an_unknown_id(self):
    with self.assertRaisesRegex(ValueError, 'Cannot make envpool:Nope-v1'):
      environments.spec('envpool:Nope-v1')


if __name__ == '__main__':
  absltest.main()
