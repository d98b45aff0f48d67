"""The evaluator's game is the training environment's, to the pixel."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.evaluation import atari_game
from seed_metagrad import environments
from seed_metagrad.environments import atari

_NUM_STEPS = 25


def _trained_on(name, actions):
  """Frames [steps + 1, 84, 84] and rewards of the training environment."""
  env = atari.Atari(name, 1, seed=1, num_threads=1, settings={})
  frames, rewards = [env.reset().observation[0]], []
  for action in actions:
    output = env.step(np.array([action]))
    frames.append(output.observation[0])
    rewards.append(float(output.reward[0]))
  env.close()
  return np.stack(frames), rewards


def _played(game, start, actions):
  frames, rewards = [game.start(start)], []
  for action in actions:
    step = game.step(action)
    frames.append(step.frame)
    rewards.append(step.reward)
  return np.stack(frames), rewards


class GameTest(parameterized.TestCase):
  # Screens of 210 and 230 rows; assault goes on differently when it is reset.
  @parameterized.parameters('breakout', 'assault', 'journey_escape')
  def test_frames_and_rewards_are_those_of_training(self, name):
    game = atari_game.Game(name)
    actions = np.random.default_rng(1).integers(
      0, environments.spec(name).num_actions, _NUM_STEPS
    )
    frames, rewards = _trained_on(name, actions)
    for no_ops in range(30):  # Training begins with some number of them.
      own_frames, own_rewards = _played(game, bytes(no_ops), actions)
      if np.array_equal(own_frames, frames):
        self.assertEqual(own_rewards, rewards)
        return
    self.fail('no number of no-ops gives the frames of training')

  def test_same_actions_give_the_same_game_whatever_was_before(self):
    game = atari_game.Game('yars_revenge')  # Differs when it is only reset.
    actions = np.random.default_rng(1).integers(0, 18, 100)
    first, _ = _played(game, bytes(5), actions)
    _played(game, bytes(20), actions)
    again, _ = _played(game, bytes(5), actions)
    np.testing.assert_array_equal(again, first)

  def test_played_is_replayed(self):
    game = atari_game.Game('assault')
    _, rewards = _played(game, bytes(7), [2] * 60)  # Up, which fires.
    played = bytes(game.played)
    self.assertEqual(played, bytes(7) + bytes([2]) * 240)
    self.assertEqual(game.frames, 240)
    replayed, screens = zip(*atari_game.Game('assault').replay(played))
    self.assertEqual(sum(replayed), sum(rewards))
    self.assertGreater(sum(rewards), 0)
    self.assertEqual(screens[0].shape, (210, 160, 3))

  def test_over_ends_the_step_early(self):
    game = atari_game.Game('breakout')
    game.start(())
    step = game.step(0)
    while not step.over:
      step = game.step(1)  # Nobody moves: five balls are soon gone.
    self.assertGreater(game.frames % 4, 0)

  def test_sticky_actions_repeat_the_frame_before(self):
    game = atari_game.Game('pong')
    rng = np.random.default_rng(1)
    game.start(())
    for action in [2, 3] * 200:
      game.step(action, rng, sticky_actions=0.25)
    played = np.frombuffer(game.played, np.uint8).reshape(-1, 4)
    changes = played[1:, 0] != played[:-1, 3]
    self.assertBetween(changes.mean(), 0.65, 0.85)  # Three in four.

  @parameterized.parameters(
    ([18], 'is in 0..17, got 18'), ([1] * 10_000, 'over after .* frames')
  )
  def test_impossible_start_is_refused(self, start, text):
    with self.assertRaisesRegex(ValueError, text):
      atari_game.Game('breakout').start(start)

  def test_unknown_game_names_the_nearest(self):
    with self.assertRaisesRegex(ValueError, "'pnog'.*Did you mean pong"):
      atari_game.Game('pnog')
    with self.assertRaisesRegex(ValueError, "'pnog'.*Did you mean pong"):
      atari_game.rom_md5('pnog')

  def test_md5_is_the_one_that_ale_py_lists(self):
    self.assertEqual(
      atari_game.rom_md5('breakout'), 'f34f08e5eb96e500e851a80be3277a56'
    )


if __name__ == '__main__':
  absltest.main()
