"""Published medians come out of the published scores."""

import statistics

from absl.testing import absltest
from absl.testing import parameterized
from ale_py import roms

from experiments.scores import atari57


class Atari57Test(parameterized.TestCase):
  def test_games_are_57_that_ale_py_has(self):
    self.assertLen(atari57.games(), 57)
    self.assertContainsSubset(atari57.games(), roms.get_all_rom_ids())

  @parameterized.parameters(('shallow', 93.2), ('deep', 191.8))
  def test_median_of_impala_is_the_published_one(self, network, median):
    scores = [
      atari57.human_normalised(
        game, atari57.published_impala(game, network), 'noop'
      )
      for game in atari57.games()
    ]
    self.assertAlmostEqual(statistics.median(scores), median, delta=0.05)

  @parameterized.parameters(
    # Pong: random -20.7 and human 14.6 from no-ops; -18.0 and 15.5 else.
    ('noop', -20.7, 0.0),
    ('noop', 14.6, 100.0),
    ('noop', 21.0, 118.13),
    ('start_states', -18.0, 0.0),
    ('start_states', 15.5, 100.0),
  )
  def test_normalised_by_the_constants_of_the_protocol(
    self, protocol, score, expected
  ):
    self.assertAlmostEqual(
      atari57.human_normalised('pong', score, protocol), expected, places=2
    )

  def test_a_better_score_is_higher_in_every_game(self):
    for game in atari57.games():
      for protocol in atari57.PROTOCOLS:
        low, high = (
          atari57.human_normalised(game, score, protocol)
          for score in (0.0, 1.0)
        )
        self.assertLess(low, high, game)

  @parameterized.parameters(
    ('catch', 'noop', "got 'catch'"), ('pong', 'human', "got 'human'")
  )
  def test_unknown_game_or_protocol_is_named(self, game, protocol, text):
    with self.assertRaisesRegex(ValueError, text):
      atari57.human_normalised(game, 0.0, protocol)

  def test_table_has_16_cells(self):
    self.assertLen(atari57.PUBLISHED_MEDIANS, 16)
    self.assertEqual(
      atari57.PUBLISHED_MEDIANS[
        atari57.Cell(('discount', 'lambda_'), 'start_states', 0.995)
      ],
      292.9,
    )

  def test_no_score_is_published_outside_the_set(self):
    self.assertIsNone(atari57.published_impala('catch', 'deep'))


if __name__ == '__main__':
  absltest.main()
