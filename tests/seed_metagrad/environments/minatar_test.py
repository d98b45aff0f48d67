"""MinAtar's games against the package's own environment."""

import sys
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from seed_metagrad.environments import minatar as minatar_lib

try:
  import minatar
except ImportError:
  minatar = None

_LEFT = 1
# Planes by the games' descriptions.
_PLANES = {
  'asterix': 4,
  'breakout': 4,
  'freeway': 7,
  'seaquest': 10,
  'space_invaders': 6,
}


def _make(game, num_envs=1, seed=1, **settings):
  return minatar_lib.make(
    game, num_envs, seed=seed, num_threads=1, settings=settings
  )


def _actions(num_steps, num_envs, seed=0):
  return np.random.default_rng(seed).integers(6, size=(num_steps, num_envs))


class MissingTest(parameterized.TestCase):
  def test_extra_is_named_where_it_is_missing(self):
    with mock.patch.dict(sys.modules, {'minatar': None}):
      with self.assertRaisesRegex(ValueError, r"'seed-metagrad\[minatar\]'"):
        minatar_lib.spec('breakout', {})

  @parameterized.parameters('', 'pong', 'Breakout')
  def test_unknown_game_is_refused(self, game):
    with self.assertRaisesRegex(ValueError, f'seaquest.*got minatar:{game}'):
      minatar_lib.spec(game, {})


@absltest.skipIf(minatar is None, "needs pip install 'seed-metagrad[minatar]'")
class MinAtarTest(parameterized.TestCase):
  @parameterized.parameters(*_PLANES.items())
  def test_spec_has_the_planes_and_the_full_set_of_actions(self, game, planes):
    spec = minatar_lib.spec(game, {})
    self.assertEqual(spec.observation_shape, (10, 10, planes))
    self.assertEqual(spec.num_actions, 6)

  @parameterized.parameters(*_PLANES)
  def test_one_game_is_the_packages(self, game):
    ours, theirs = _make(game, seed=3), minatar.Environment(game)
    theirs.random = theirs.env.random = np.random.RandomState(
      np.random.MT19937(np.random.SeedSequence(3))
    )
    theirs.reset()
    np.testing.assert_array_equal(ours.reset().observation[0], theirs.state())
    total, ends = 0, 0
    for actions in _actions(6000, 1):
      output = ours.step(actions)
      reward, ended = theirs.act(actions[0])
      if ended:
        theirs.reset()
      self.assertEqual(output.reward[0], reward)
      self.assertEqual(output.terminated[0], ended)
      self.assertFalse(output.truncated[0])
      np.testing.assert_array_equal(output.observation[0], theirs.state())
      total, ends = total + reward, ends + ended
    self.assertGreater(ends, 1)
    if game != 'freeway':  # A random chicken does not cross the road.
      self.assertGreater(total, 0)

  @parameterized.parameters(*_PLANES)
  def test_every_game_goes_on_from_a_saved_state(self, game):
    env, other = _make(game, num_envs=5), _make(game, num_envs=5, seed=9)
    env.reset()
    actions = _actions(2000, 5)
    for row in actions[:1000]:
      env.step(row)
    other.set_state(env.get_state())
    self.assertEqual(other.get_state(), env.get_state())
    for row in actions[1000:]:
      for mine, yours in zip(other.step(row), env.step(row), strict=True):
        np.testing.assert_array_equal(mine, yours)
    self.assertEqual(other.get_state(), env.get_state())

  @parameterized.parameters(
    # The paddle, pressed left 3 times from column 4.
    ({'sticky_actions': 0.0}, 3, 3),
    ({'sticky_actions': 1.0}, 0, 0),  # Repeats the no move before the first.
    ({}, 1, 3),  # Only the first press can stick: then left repeats left.
  )
  def test_actions_stick(self, settings, fewest, most):
    env = _make('breakout', num_envs=200, **settings)
    env.reset()
    for _ in range(3):
      observation = env.step(np.full(200, _LEFT)).observation
    paddles = observation[:, 9, :, 0].argmax(axis=1)
    moves = 4 - paddles
    self.assertBetween(moves.min(), fewest, most)
    self.assertBetween(moves.max(), fewest, most)

  def test_actions_stick_once_in_ten_steps_by_default(self):
    env = _make('breakout', num_envs=10_000)
    env.reset()
    paddles = env.step(np.full(10_000, _LEFT)).observation[:, 9, :, 0]
    # Binomial(10,000, .1): mean 1,000, standard deviation 30.
    self.assertAlmostEqual((paddles[:, 4] == 1).sum(), 1000, delta=5 * 30)

  @parameterized.parameters(-0.1, 1.1)
  def test_sticky_actions_out_of_range_are_refused(self, sticky_actions):
    with self.assertRaisesRegex(
      ValueError, f'sticky_actions .*{sticky_actions}'
    ):
      _make('breakout', sticky_actions=sticky_actions)


if __name__ == '__main__':
  absltest.main()
