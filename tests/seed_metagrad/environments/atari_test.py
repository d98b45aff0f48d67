"""What ale-py must be told and not told."""

from absl.testing import absltest
import ale_py
from ale_py import roms
import numpy as np

from seed_metagrad import environments
from seed_metagrad.environments import atari

NOOP, FIRE = 0, 1


def _make(test, game, num_envs=1, sticky_actions=0.0):
  env = atari.Atari(
    game,
    num_envs,
    seed=1,
    num_threads=1,
    settings={'sticky_actions': sticky_actions},
  )
  test.addCleanup(env.close)
  return env


def _area_weights(size_in, size_out):
  """Returns [size_out, size_in]: what each output pixel averages."""
  edges = np.linspace(0, size_in, size_out + 1)
  pixels = np.arange(size_in)
  overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(
    edges[:-1, None], pixels
  )
  return np.maximum(overlap, 0) * size_out / size_in


def _played_by_ale(game, action, num_no_ops, num_steps):
  """Yields the frames [num_steps + 1, 84, 84] after each number of no-ops."""
  ale = ale_py.ALEInterface()
  ale.setFloat('repeat_action_probability', 0.0)
  ale.loadROM(roms.get_rom_path(game))
  repeated = [ale.getMinimalActionSet()[action]] * 4 * num_steps
  for no_ops in range(num_no_ops):
    ale.reset_game()
    screens = [ale.getScreenGrayscale()]
    for one in [ale_py.Action.NOOP] * no_ops + repeated:
      ale.act(one)
      screens.append(ale.getScreenGrayscale())
    pooled = [screens[no_ops]] + [
      np.maximum(screens[end - 1], screens[end])
      for end in range(no_ops + 4, len(screens), 4)
    ]
    yield _area_weights(210, 84) @ np.stack(pooled) @ _area_weights(160, 84).T


class AtariTest(absltest.TestCase):
  def test_spec_has_the_minimal_actions(self):
    spec = environments.spec('breakout')
    # No-op, fire, right, left.
    self.assertEqual(spec[:5], ((84, 84), 'uint8', 4, 4, 4))
    self.assertEqual((spec.observation_low, spec.observation_high), ((), ()))
    self.assertEqual(environments.spec('seaquest').num_actions, 18)

  def test_unknown_game_names_the_nearest(self):
    with self.assertRaisesRegex(ValueError, "'space_invader'.*space_invaders"):
      environments.spec('space_invader')

  def test_life_lost_while_the_game_goes_on(self):
    # Breakout has 5 lives; a served ball that nobody hits costs one of them.
    env = _make(self, 'breakout')
    env.reset()
    lives_lost = 0
    terminated = False
    while not terminated:
      output = env.step(np.array([FIRE]))
      lives_lost += int(output.life_lost[0])
      terminated = output.terminated[0]
      self.assertFalse(output.truncated[0])
      if terminated:
        self.assertFalse(output.life_lost[0])  # The game's end is no life.
    self.assertEqual(lives_lost, 4)
    for _ in range(3):  # The five new lives are not counted as lost.
      self.assertFalse(env.step(np.array([NOOP])).life_lost[0])

  def test_rewards_are_raw(self):
    # In Assault a steady stream of shots soon hits something worth 21.
    env = _make(self, 'assault')
    env.reset()
    rewards = {float(env.step(np.array([2])).reward[0]) for _ in range(60)}
    self.assertEqual(rewards, {0.0, 21.0})

  def test_truncated_at_the_cap_and_not_terminated(self):
    self.enter_context(
      absltest.mock.patch.object(atari, 'MAX_EPISODE_FRAMES', 120)
    )
    env = _make(self, 'breakout', num_envs=2)
    env.reset()
    truncated = []
    for step in range(65):
      if step == 59:
        env._lives[:] = 9  # As if extra lives had been won: more than at first.
      output = env.step(np.array([NOOP, NOOP]))
      truncated.append(output.truncated.tolist())
      self.assertFalse(output.terminated.any() or output.life_lost.any())
    ends = [n + 1 for n, flags in enumerate(truncated) if all(flags)]
    self.assertEqual(ends, [30, 60])  # 120 frames are 30 steps of 4.
    self.assertEqual(np.sum(truncated), 4)

  def test_frames_are_of_one_game_after_its_no_ops(self):
    env = _make(self, 'ms_pacman', num_envs=3)
    outputs = [env.reset()] + [env.step(np.full(3, 2)) for _ in range(3)]
    games = list(_played_by_ale('ms_pacman', 2, num_no_ops=30, num_steps=3))
    for e in range(3):
      frames = np.stack([output.observation[e] for output in outputs])
      same = [np.abs(frames - game).max() < 1 for game in games]  # Rounding.
      self.assertEqual(sum(same), 1)

  def test_sticky_actions_out_of_range_are_refused(self):
    with self.assertRaisesRegex(ValueError, r'in \[0, 1\], got 1.1'):
      _make(self, 'pong', sticky_actions=1.1)

  def test_sticky_actions_change_the_game(self):
    played = []
    for sticky_actions in (0.0, 0.25):
      env = _make(self, 'breakout', sticky_actions=sticky_actions)
      env.reset()
      actions = np.resize([FIRE, 2, 3, 2, 2, 3], 60)
      played.append(
        [env.step(actions[t : t + 1]).observation for t in range(60)]
      )
    self.assertFalse(np.array_equal(*played))


if __name__ == '__main__':
  absltest.main()
