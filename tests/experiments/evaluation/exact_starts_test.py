"""Every game of ale-py starts exactly, whatever was played before."""

import contextlib

from absl.testing import absltest
from absl.testing import parameterized
from ale_py import roms
import numpy as np
import pytest

from experiments.evaluation import atari_game
from experiments.evaluation import episodes
from experiments.evaluation import game_pool
from experiments.evaluation import record_starts
from experiments.evaluation import start_states
from seed_metagrad import environments

pytestmark = pytest.mark.integration

_TWO_PLAYERS = ('combat', 'joust', 'maze_craze', 'warlords')
_GAMES = sorted(set(roms.get_all_rom_ids()) - set(_TWO_PLAYERS))
_NUM_FRAMES = 19


def _seen(game: atari_game.Game, start: bytes) -> list[np.ndarray]:
  """What a game shows and holds after a start, and some steps later."""
  seen = [game.start(start), game.ram()]
  for action in (0, 1, 2):
    seen += [game.step(action).frame, game.ram()]
  return seen


class ExactStartsTest(parameterized.TestCase):
  def test_all_games_are_there(self):
    self.assertGreaterEqual(len(_GAMES), 100)

  @parameterized.parameters(_GAMES)
  def test_a_restarted_game_is_a_fresh_one(self, name):
    rng = np.random.default_rng(1)
    before = bytes(rng.integers(0, 18, 3 * _NUM_FRAMES).tolist())
    start = bytes(rng.integers(0, 18, _NUM_FRAMES).tolist())
    used = atari_game.Game(name)
    used.start(before)
    for actions in (start, bytes(_NUM_FRAMES), b''):
      fresh = _seen(atari_game.Game(name), actions)
      for expected, found in zip(fresh, _seen(used, actions), strict=True):
        np.testing.assert_array_equal(found, expected)

  def test_scores_do_not_depend_on_how_many_games_are_played_at_a_time(self):
    starts = start_states.no_ops(6, seed=1)
    played = []
    for num_games in (1, 4):
      pool = game_pool.GamePool('qbert', num_games, max_frames=400)
      with contextlib.closing(pool):
        played.append(
          episodes.play_games(
            record_starts.RandomPolicy(environments.spec('qbert')),
            pool,
            num_games,
            starts,
            seed=1,
          )
        )
    self.assertEqual(played[0], played[1])
    self.assertGreater(sum(episode.score for episode in played[0]), 0.0)


if __name__ == '__main__':
  absltest.main()
