"""Games in other processes are the games of this one."""

import contextlib

from absl.testing import absltest
import numpy as np

from experiments.evaluation import atari_game
from experiments.evaluation import game_pool


def _pool(num_games, **kwargs):
  return contextlib.closing(
    game_pool.GamePool('breakout', num_games, **{'max_frames': 10**6} | kwargs)
  )


class GamePoolTest(absltest.TestCase):
  def test_games_are_played_by_number(self):
    games = [atari_game.Game('breakout') for _ in range(3)]
    starts = [bytes(2), bytes([1] * 9), bytes(7)]
    with _pool(3) as pool:
      outcomes = pool.step(
        {n: game_pool.Start(start, seed=n) for n, start in enumerate(starts)}
      )
      for n, start in enumerate(starts):
        np.testing.assert_array_equal(outcomes[n].frame, games[n].start(start))
      for actions in ({0: 1, 1: 2, 2: 3}, {1: 3}, {2: 0, 0: 2}):
        outcomes = pool.step(actions)
        self.assertEqual(outcomes.keys(), actions.keys())
        for n, action in actions.items():
          step = games[n].step(action)
          np.testing.assert_array_equal(outcomes[n].frame, step.frame)
          self.assertEqual(outcomes[n].frames, games[n].frames)
          self.assertEqual(outcomes[n].played, b'')

  def test_ended_when_it_has_had_its_frames(self):
    with _pool(1, max_frames=12) as pool:
      pool.step({0: game_pool.Start(bytes(5), seed=1)})
      outcomes = [pool.step({0: 1})[0] for _ in range(3)]
    self.assertEqual(
      [outcome.ended for outcome in outcomes], [False, False, True]
    )
    self.assertEqual(outcomes[-1].played, bytes(5) + bytes([1] * 12))

  def test_seed_decides_which_actions_stick(self):
    played = []
    with _pool(1, sticky_actions=0.5, max_frames=80) as pool:
      for seed in (1, 1, 2):
        pool.step({0: game_pool.Start(b'\0', seed)})
        for action in [2, 3] * 10:
          outcome = pool.step({0: action})[0]
        played.append(outcome.played)
    self.assertEqual(played[0], played[1])
    self.assertNotEqual(played[0], played[2])

  def test_impossible_start_is_said_here(self):
    with _pool(1) as pool:
      with self.assertRaisesRegex(ValueError, 'ALE action'):
        pool.step({0: game_pool.Start(b'\x20', seed=1)})
      pool.step({0: game_pool.Start(b'\0', seed=1)})  # And it goes on.

  def test_unknown_game_starts_nothing(self):
    with self.assertRaisesRegex(ValueError, 'Did you mean pong'):
      game_pool.GamePool('pnog', 1, max_frames=1)


if __name__ == '__main__':
  absltest.main()
