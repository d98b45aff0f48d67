"""Which episodes are counted, with fakes for games and policies."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.evaluation import episodes
from experiments.evaluation import game_pool
from seed_metagrad import types

_FRAME = np.zeros((84, 84), np.uint8)


class FakePolicy:
  """The same logits everywhere; the value is a number that counts the acts."""

  def __init__(self, logits):
    self.logits, self.resets, self.told = np.array(logits), [], []

  def reset(self, num_envs):
    self.acts = 0

  def act(self, observations, reset, actions, rewards):
    self.acts += 1
    self.resets.append(reset.copy())
    self.told.append((actions.copy(), rewards.copy()))
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
      return game_pool.Outcome(0.0, False, False, _FRAME, 0, b'')
    self.left[game] -= 1
    self.taken[game].append(command)
    taken = bytes(self.taken[game])
    ended = not self.left[game]
    if ended:
      del self.left[game]
    return game_pool.Outcome(
      reward=1.0,
      ended=ended,
      capped=ended and len(taken) > 100,
      frame=_FRAME,
      frames=4 * len(taken),
      played=taken if ended else b'',
    )


class FakeEnv:
  """Has episodes of so many steps; the n-th gives n a step."""

  spec = types.EnvSpec((1,), 'float32', 2, action_repeat=2)
  num_envs = 1

  def __init__(self, length):
    self.length, self.steps, self.resets = length, 0, 0

  def reset(self):
    self.resets += 1
    return self._output(ended=False)

  def step(self, actions):
    assert actions.shape == (1,)
    self.steps += 1
    return self._output(ended=self.steps % self.length == 0)

  def _output(self, ended):
    nothing = np.zeros(1, bool)
    return types.EnvOutput(
      reward=np.array([1 + (self.steps - 1) // self.length], np.float32),
      terminated=nothing,
      truncated=np.array([ended]),
      life_lost=nothing,
      observation=np.full((1, 1), self.steps, np.float32),
    )


class NanEnv(FakeEnv):
  """Its third step gives no number, as a reward or an observation."""

  def __init__(self, field):
    super().__init__(length=2)
    self.field = field

  def step(self, actions):
    output = super().step(actions)
    if self.steps < 3:
      return output
    value = getattr(output, self.field) * np.float32('nan')
    return output._replace(**{self.field: value})


class FakeWatch(episodes.Watch):
  """Stops after so many steps."""

  def __init__(self, most=10**9):
    self.most, self.steps, self.episodes = most, 0, 0

  def stepped(self, num_envs):
    self.steps += 1
    return self.steps <= self.most

  def ended(self):
    self.episodes += 1


class ChooseTest(absltest.TestCase):
  def choose(self, logits, greedy=False, num=1, **fields):
    spec = types.EnvSpec((1,), 'float32', 0, **fields)
    running = episodes._Running(0, 1, greedy, spec=spec)
    return np.array([running.choose(np.array(logits), 0.0) for _ in range(num)])

  def test_several_choices(self):
    logits = [0.0, np.log(3.0), 5.0, 0.0, 9.0]
    self.assertSequenceEqual(
      self.choose(logits, greedy=True, action_sizes=(2, 3)).tolist(), [[1, 2]]
    )
    drawn = self.choose(logits, num=4000, action_sizes=(2, 3))
    # Four standard deviations of a mean of 4000.
    self.assertAlmostEqual((drawn[:, 0] == 1).mean(), 0.75, delta=0.028)
    self.assertGreater((drawn[:, 1] == 2).mean(), 0.95)

  def test_continuous(self):
    outputs = [2.0, -1.0, 0.0, 1.0]  # Means, and what deviations come from.
    np.testing.assert_array_equal(
      self.choose(outputs, greedy=True, action_dims=2), [[2.0, -1.0]]
    )
    drawn = self.choose(outputs, num=4000, action_dims=2)
    deviations = np.log1p(np.exp([0.0, 1.0])) + 1e-3
    np.testing.assert_allclose(drawn.mean(0), [2.0, -1.0], atol=0.09)
    np.testing.assert_allclose(drawn.std(0), deviations, rtol=0.05)


class PlayGamesTest(parameterized.TestCase):
  def test_policy_is_told_what_led_to_a_frame(self):
    policy = FakePolicy([-100.0, 0.0])
    episodes.play_games(policy, FakePool(), 2, [bytes(3), bytes(3)], seed=1)
    self.assertLen(policy.told, 4)  # The last frames are of no use.
    for actions, rewards in policy.told[1:]:
      np.testing.assert_array_equal(actions, [1, 1])
      np.testing.assert_array_equal(rewards, [1.0, 1.0])

  @parameterized.parameters(1, 3, 8)
  def test_every_episode_that_begins_is_counted(self, num_games):
    starts = [bytes(n) for n in (5, 1, 1, 9, 2, 1, 3)]
    pool, watch = FakePool(), FakeWatch()
    played = episodes.play_games(
      FakePolicy([0.0, 0.0]), pool, num_games, starts, seed=1, watch=watch
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
    self.assertEqual([episode.number for episode in played], [*range(7)])
    self.assertEqual(watch.episodes, 7)
    self.assertFalse(any(episode.capped for episode in played))

  def test_what_had_ended_comes_back_when_it_is_stopped(self):
    starts = [bytes(n) for n in (5, 1, 200, 9)]
    played = episodes.play_games(
      FakePolicy([0.0]), FakePool(), 2, starts, seed=1, watch=FakeWatch(7)
    )
    self.assertEqual([episode.number for episode in played], [0, 1])
    self.assertEqual([episode.score for episode in played], [5, 1])

  def test_capped_episodes_are_marked(self):
    played = episodes.play_games(
      FakePolicy([0.0]), FakePool(), 2, [bytes(200), bytes(3)], seed=1
    )
    self.assertEqual([episode.capped for episode in played], [True, False])

  def test_a_policy_that_is_not_finite_is_refused(self):
    policy = FakePolicy([0.0, np.nan])
    with self.assertRaisesRegex(
      ValueError, r'policy is not finite: logits \[0.0, nan\] at step 0 of epi'
    ):
      episodes.play_games(policy, FakePool(), 1, [bytes(3)], seed=1)

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
    played = self._play([FakeEnv(n) for n in (1, 2, 3)], 7)
    # Short episodes of the first environment do not crowd out the others.
    self.assertEqual(
      [episode.score for episode in played], [1, 2, 3, 2, 4, 6, 3]
    )
    self.assertEqual(
      [episode.frames for episode in played], [2, 4, 6, 2, 4, 6, 2]
    )

  def test_fewer_episodes_than_environments(self):
    played = self._play([FakeEnv(n) for n in (1, 2, 3, 4)], 2)
    self.assertEqual([episode.score for episode in played], [1, 2])

  def test_an_episode_without_an_end_is_cut_and_its_environment_reset(self):
    endless = FakeEnv(10**9)
    played = self._play([endless, FakeEnv(5), FakeEnv(2)], 6, max_frames=10)
    self.assertEqual(
      [episode.capped for episode in played], [True, False, False] * 2
    )
    # Action repeat 2: five steps of reward 1.
    self.assertEqual(
      (played[0].score, played[0].frames, played[3].score), (5, 10, 5)
    )
    self.assertEqual(endless.resets, 3)  # Before each of two, and at the end.

  @parameterized.parameters('reward', 'observation')
  def test_what_is_not_finite_is_refused(self, field):
    with self.assertRaisesRegex(
      ValueError, f'a {field} that is not finite, .*nan.*step 1 of episode 1'
    ):
      self._play([NanEnv(field)], 2)

  def test_what_had_ended_comes_back_when_it_is_stopped(self):
    played = self._play([FakeEnv(100), FakeEnv(2)], 8, watch=FakeWatch(5))
    self.assertEqual([episode.number for episode in played], [1, 3])

  def _play(self, envs, num_episodes, max_frames=10**6, **watched):
    return episodes.play_environments(
      FakePolicy([0.0, 0.0]),
      envs,
      num_episodes,
      seed=1,
      max_frames=max_frames,
      **watched,
    )


if __name__ == '__main__':
  absltest.main()
