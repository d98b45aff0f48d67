"""Which episodes are counted, with fakes for games and policies."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.evaluation import episodes
from experiments.evaluation import game_pool
from seed_metagrad import types

_FRAME = np.zeros((2, 2), np.uint8)


class FakePolicy:
  """The same logits everywhere; the value is a number that counts the acts."""

  def __init__(self, logits):
    self.logits, self.resets = np.array(logits), []

  def reset(self, num_envs):
    self.acts = 0

  def act(self, observations, reset):
    self.acts += 1
    self.resets.append(reset.copy())
    return (
      np.tile(self.logits, (len(reset), 1)),
      np.full(len(reset), self.acts),
    )


class FakePool:
  """An episode lasts as many steps as its start has actions; reward 1 each."""

  def __init__(self):
    self.left, self.taken, self.most = {}, {}, 0

  def step(self, commands):
    return {
      game: self._answer(game, command) for game, command in commands.items()
    }

  def _answer(self, game, command):
    if isinstance(command, game_pool.Start):
      self.left[game] = len(command.ale_actions)
      self.taken[game] = bytearray()
      self.most = max(self.most, len(self.left))
      return game_pool.Answer(0.0, False, _FRAME, 0, b'')
    self.left[game] -= 1
    self.taken[game].append(command)
    taken = bytes(self.taken[game])
    ended = not self.left[game]
    if ended:
      del self.left[game]
    return game_pool.Answer(
      1.0, ended, _FRAME, 4 * len(taken), taken if ended else b''
    )


class FakeEnv:
  """Environment e has episodes of e + 1 steps; the n-th gives n a step."""

  spec = types.EnvSpec((1,), 'float32', 2, action_repeat=2)

  def __init__(self, num_envs):
    self.num_envs, self.steps = num_envs, 0

  def reset(self):
    return self._output(np.zeros(self.num_envs, bool))

  def step(self, actions):
    self.steps += 1
    return self._output(self.steps % (np.arange(self.num_envs) + 1) == 0)

  def _output(self, ended):
    numbers = 1 + (self.steps - 1) // (np.arange(self.num_envs) + 1)
    return types.EnvOutput(
      reward=numbers.astype(np.float32),
      terminated=ended & False,
      truncated=ended,
      life_lost=ended & False,
      observation=np.zeros((self.num_envs, 1), np.float32),
    )


class PlayGamesTest(parameterized.TestCase):
  @parameterized.parameters(1, 3, 8)
  def test_every_episode_that_begins_is_counted(self, num_games):
    starts = [bytes(n) for n in (5, 1, 1, 9, 2, 1, 3)]
    pool, ended = FakePool(), []
    played = episodes.play_games(
      FakePolicy([0.0, 0.0]),
      pool,
      num_games,
      starts,
      seed=1,
      ended=lambda: ended.append(1),
    )
    self.assertEqual(
      [episode.score for episode in played], [5, 1, 1, 9, 2, 1, 3]
    )
    self.assertEqual(
      [episode.start_frames for episode in played], [5, 1, 1, 9, 2, 1, 3]
    )
    self.assertEqual(
      [episode.frames for episode in played], [20, 4, 4, 36, 8, 4, 12]
    )
    self.assertEqual(pool.most, min(num_games, 7))
    self.assertLen(ended, 7)

  def test_an_episode_depends_on_its_number_alone(self):
    starts = [bytes(n) for n in (30, 10, 20, 40, 15)]
    taken = [
      [
        episode.played
        for episode in episodes.play_games(
          FakePolicy([0.0, 0.5]), FakePool(), num_games, starts, seed=1
        )
      ]
      for num_games in (1, 2, 5)
    ]
    self.assertEqual(taken[0], taken[1])
    self.assertEqual(taken[0], taken[2])
    self.assertLen({actions[:10] for actions in taken[0]}, 5)

  def test_actions_are_sampled_or_the_likeliest(self):
    logits = np.log([0.2, 0.7, 0.1])
    for greedy, expected in ((True, [0.0, 1.0, 0.0]), (False, [0.2, 0.7, 0.1])):
      (episode,) = episodes.play_games(
        FakePolicy(logits), FakePool(), 1, [bytes(4000)], seed=1, greedy=greedy
      )
      counts = np.bincount(list(episode.played), minlength=3)
      np.testing.assert_allclose(counts / 4000, expected, atol=0.025)

  def test_reset_is_where_an_episode_begins(self):
    policy = FakePolicy([0.0])
    played = episodes.play_games(
      policy, FakePool(), 2, [bytes(2), bytes(3), bytes(1)], seed=1
    )
    self.assertEqual(
      np.stack(policy.resets).T.tolist(),
      [[True, False, False, True, False], [True, False, False, False, False]],
    )
    self.assertEqual(
      [episode.values for episode in played],
      [[1.0, 2.0], [1.0, 2.0, 3.0], [4.0]],
    )


class PlayEnvironmentsTest(parameterized.TestCase):
  def test_the_first_of_each_environment_are_counted(self):
    played = episodes.play_environments(
      FakePolicy([0.0, 0.0]), FakeEnv(3), 7, seed=1
    )
    # Short episodes of the first environment do not crowd out the others.
    self.assertEqual(
      [episode.score for episode in played], [1, 2, 3, 2, 4, 6, 3]
    )
    self.assertEqual(
      [episode.frames for episode in played], [2, 4, 6, 2, 4, 6, 2]
    )

  def test_fewer_episodes_than_environments(self):
    played = episodes.play_environments(
      FakePolicy([0.0, 0.0]), FakeEnv(4), 2, seed=1
    )
    self.assertEqual([episode.score for episode in played], [1, 2])


if __name__ == '__main__':
  absltest.main()
