"""The interface that every environment keeps."""

from importlib import util
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from seed_metagrad import environments
from seed_metagrad.environments import environment

# An extra; make test installs it.
_MINATAR = ('minatar:freeway',) if util.find_spec('minatar') else ()
_SAVABLE = ('catch', 'chain', 'recall', 'snake', *_MINATAR)
_ENVPOOL = ('envpool:Pong-v5',) if util.find_spec('envpool') else ()
_NAMES = (
  *_SAVABLE,
  'gym:CartPole-v1',
  'gym:Pendulum-v1',
  'vector:CartPole-v1',
  'pong',
  *_ENVPOOL,
)
_RANDOM = (
  'catch',
  'gym:CartPole-v1',
  'pong',
  'snake',
  *_MINATAR,
)  # The chain has no dice.


def _actions(name: str, num_steps: int, num_envs: int) -> np.ndarray:
  rng = np.random.default_rng(7)
  spec = environments.spec(name)
  if spec.action_dims:
    size = (num_steps, num_envs, spec.action_dims)
    return rng.normal(size=size).astype(np.float32)
  return rng.integers(
    spec.num_actions, size=(num_steps, num_envs), dtype=np.int32
  )


def _play(env, actions):
  """Returns the reset's output and one output per row of `actions`."""
  return [env.reset()] + [env.step(row) for row in actions]


class EnvironmentsTest(parameterized.TestCase):
  def make(self, name, num_envs=2, seed=1, **kwargs):
    env = environments.make(name, num_envs, seed=seed, **kwargs)
    self.addCleanup(env.close)
    return env

  def assert_outputs_equal(self, ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
      for field, mine, yours in zip(one._fields, one, other, strict=True):
        np.testing.assert_array_equal(mine, yours, err_msg=field)

  def test_every_family_is_tested_here(self):
    self.assertEqual(
      {environments.family_of(name) for name in _NAMES}
      | {'envpool', 'minatar'},  # Extras.
      {*environments.FAMILIES, 'atari'},
    )

  @parameterized.parameters(*_NAMES)
  def test_outputs_have_the_specs_shapes_and_dtypes(self, name):
    spec = environments.spec(name)
    env = self.make(name, num_envs=2)
    self.assertEqual(env.spec, spec)
    self.assertEqual(env.num_envs, 2)
    for output in _play(env, _actions(name, 3, 2)):
      self.assertEqual(output.observation.shape, (2, *spec.observation_shape))
      self.assertEqual(output.observation.dtype, spec.observation_dtype)
      self.assertEqual(
        (output.reward.shape, output.reward.dtype), ((2,), np.float32)
      )
      for flag in (output.terminated, output.truncated, output.life_lost):
        self.assertEqual((flag.shape, flag.dtype), ((2,), bool))

  @parameterized.parameters(*_NAMES)
  def test_reset_is_silent_in_the_middle_of_an_episode(self, name):
    env = self.make(name, num_envs=2)
    _play(env, _actions(name, 5, 2))
    output = env.reset()
    for what in output[:4]:  # Reward and flags.
      self.assertFalse(what.any())

  @parameterized.parameters(*_NAMES)
  def test_outputs_are_not_written_to_again(self, name):
    env = self.make(name, num_envs=2)
    first = env.reset()
    copies = [np.copy(what) for what in first]
    for actions in _actions(name, 12, 2):
      env.step(actions)
    self.assert_outputs_equal([first], [first._make(copies)])

  @parameterized.parameters(*_NAMES)
  def test_trajectory_is_the_same_for_the_same_seed(self, name):
    actions = _actions(name, 40, 2)
    self.assert_outputs_equal(
      _play(self.make(name, seed=5), actions),
      _play(self.make(name, seed=5), actions),
    )

  @parameterized.parameters(*_RANDOM)
  def test_trajectory_differs_between_envs_and_seeds(self, name):
    actions = np.zeros((20, 2), np.int32)
    played = [
      np.stack([o.observation for o in _play(env, actions)])
      for env in (self.make(name, seed=5), self.make(name, seed=6))
    ]
    lanes = [one[:, e] for one in played for e in range(2)]
    for i, lane in enumerate(lanes):
      for other in lanes[:i]:
        self.assertFalse(np.array_equal(lane, other))

  @parameterized.parameters(*_SAVABLE)
  def test_trajectory_goes_on_from_a_saved_state(self, name):
    before, after = np.split(_actions(name, 40, 3), [13])
    env = self.make(name, num_envs=3)
    _play(env, before)
    state = env.get_state()
    self.assertIsInstance(state, bytes)
    expected = [env.step(row) for row in after]
    other = self.make(name, num_envs=3, seed=99)
    other.set_state(state)
    self.assert_outputs_equal([other.step(row) for row in after], expected)

  @parameterized.parameters(*_NAMES)
  def test_it_is_savable_when_it_has_a_state(self, name):
    self.assertEqual(
      isinstance(self.make(name), environment.Savable), name in _SAVABLE
    )

  @parameterized.parameters(*_SAVABLE)
  def test_set_state_refuses_another_number_of_envs(self, name):
    state = self.make(name, num_envs=3).get_state()
    with self.assertRaisesRegex(ValueError, 'of 2 .*got .3'):
      self.make(name, num_envs=2).set_state(state)

  @parameterized.parameters(*sorted({*_NAMES} - {'gym:Pendulum-v1'}))
  def test_step_refuses_bad_actions(self, name):
    env = self.make(name, num_envs=2)
    env.reset()
    too_large = environments.spec(name).num_actions
    for actions, received in (
      (np.array([0, too_large]), str(too_large)),
      (np.array([-1, 0]), '-1'),
      (np.array([0]), r'array\(\[0\]\)'),
      (np.array([[0, 0]]), r'\[\[0, 0\]\]'),
      (np.array([0.0, 1.0]), '1.'),
      (np.array([False, True]), 'True'),
      ([0, 0], r'\[0, 0\]'),
    ):
      with self.assertRaisesRegex(ValueError, f'actions.*{received}'):
        env.step(actions)
    env.step(np.zeros(2, np.int64))  # Not hurt.

  @parameterized.parameters('', 'Pong', 'pongg', 'gym:', 'gym:Nope-v1')
  def test_spec_and_make_refuse_an_unknown_name(self, name):
    with self.assertRaisesRegex(ValueError, name):
      environments.spec(name)
    with self.assertRaisesRegex(ValueError, name):
      environments.make(name, 1, seed=1)

  @parameterized.parameters(
    ('PongNoFrameskip-v4', 'mean pong'),
    ('ALE/Pong-v5', 'mean pong'),
    ('Pong-v5', 'mean pong'),
    ('MsPacman-ramNoFrameskip-v4', 'mean ms_pacman'),
    ('SpaceInvaders', 'mean space_invaders'),
    ('ALE/spaceinvaders-v5', 'mean space_invaders'),
    ('joust', 'two players'),
    ('combat', 'two players'),
    ('maze_craze', 'two players'),
    ('warlords', 'two players'),
  )
  def test_spec_names_the_game_that_was_meant(self, name, message):
    with self.assertRaisesRegex(ValueError, f'{name}.*{message}'):
      environments.spec(name)

  def test_make_refuses_values_out_of_range(self):
    with self.assertRaisesRegex(ValueError, 'num_envs.*0'):
      environments.make('catch', 0, seed=1)

  @parameterized.parameters(*_NAMES)
  def test_make_refuses_an_unknown_setting(self, name):
    with self.assertRaisesRegex(ValueError, f'{name} .*stickiness.*0.25'):
      environments.make(name, 1, seed=1, settings={'stickiness': 0.25})

  def test_import_loads_no_engine(self):
    subprocess.run(
      [
        sys.executable,
        '-c',
        (
          'import sys; from seed_metagrad import environments\n'
          'environments.make("catch", 1, seed=1)\n'
          'assert not {"ale_py", "gymnasium", "tensorflow"} & set(sys.modules)'
        ),
      ],
      check=True,
    )


if __name__ == '__main__':
  absltest.main()
