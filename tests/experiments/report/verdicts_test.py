"""What is said of two variants is what their seeds can say."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from experiments.comparison import results as results_lib
from experiments.report import contenders
from experiments.report import verdicts
from tests.support import fake_study

# Three seeds, and runs that are told apart, or not.
_TOML = fake_study.TOML.replace('[1, 2]', '[1, 2, 3]')


def _find(fake):
  found = contenders.find(
    fake.study, results_lib.read(fake.study, fake.workdir), []
  )
  return found, verdicts.find(fake.study, found)


class VerdictsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.folder = pathlib.Path(folder)

  def _three_seeds(self):
    fake = fake_study.FakeStudy(self.folder / 'three', _TOML)
    fake.do('breakout', fake_study.IMPALA, 10.0, 11.0, 12.0)
    fake.do('breakout', fake_study.BOTH, 40.0, 41.0, 42.0)
    fake.do('pong', fake_study.IMPALA, 0.0, 10.0, -10.0)
    fake.do('pong', fake_study.BOTH, 1.0, 11.0, -9.0)
    fake.do('seaquest', fake_study.IMPALA, 900.0, 910.0, 920.0)
    fake.do('seaquest', fake_study.BOTH, 300.0, 310.0, 320.0)
    return fake

  def test_relative_improvement(self):
    fake = fake_study.partial(self.folder / 'study')
    _, found = _find(fake)
    # Breakout (300 - 150) / 150, Pong (100 - 50) / 100, the human's.
    percents = {verdict.game: verdict.percent.value for verdict in found}
    self.assertAlmostEqual(percents['breakout'], 100.0)
    self.assertAlmostEqual(percents['pong'], 50.0)
    self.assertAlmostEqual(percents[''], 75.0)  # Their mean.

  def test_improvement_without_a_human_score(self):
    self.assertEqual(verdicts.scale('snake', np.array([2.0, 4.0]), 'noop'), 3.0)
    self.assertIsNone(verdicts.scale('snake', np.array([-1.0]), 'noop'))

  def test_two_seeds_are_not_enough(self):
    fake = fake_study.partial(self.folder / 'study')
    _, found = _find(fake)
    self.assertEqual({verdict.says for verdict in found}, {verdicts.NOT_ENOUGH})
    self.assertEqual(
      verdicts.findings(fake.study, found),
      [
        '{discount, lambda}, 0.99 against {}, 0.99: +75.0% on 2 of 3 games,'
        ' probability of improvement 0.88: not enough seeds to say (1 a game;'
        ' at least 3 are needed).'
      ],
    )

  def test_three_seeds_say_what_they_can(self):
    _, found = _find(self._three_seeds())
    says = {verdict.game: verdict.says for verdict in found}
    self.assertEqual(says['breakout'], verdicts.BETTER)
    self.assertEqual(says['pong'], verdicts.NO_DIFFERENCE)
    self.assertEqual(says['seaquest'], verdicts.WORSE)
    self.assertEqual(says[''], verdicts.BETTER)  # +76% and -1%.

  def test_p_values_are_corrected_for_their_number(self):
    _, found = _find(self._three_seeds())
    games = {verdict.game: verdict for verdict in found if verdict.game}
    self.assertLen(games, 3)
    # The largest of three is what it was, the smallest at most three times.
    self.assertAlmostEqual(games['pong'].corrected, games['pong'].p_value)
    for name in ('breakout', 'seaquest'):
      one = games[name]
      self.assertGreater(one.corrected, one.p_value)
      self.assertLessEqual(one.corrected, 3 * one.p_value)
    (whole,) = [verdict for verdict in found if not verdict.game]
    self.assertEqual(whole.corrected, whole.p_value)  # Just one of its kind.

  def test_perhaps_where_only_the_correction_takes_it_away(self):
    _, found = _find(self._three_seeds())
    one = found[1]._replace(corrected=0.06)
    self.assertLess(one.p_value, 0.05)
    self.assertEqual(one.says, 'perhaps better')
    self.assertEqual(
      one._replace(raw=None, percent=None).says, 'not enough seeds to say'
    )

  def test_pairs_beside_those_with_a_baseline(self):
    fake = self._three_seeds()
    fake.do('pong', fake_study.UNCONDITIONED, 1.0, 2.0, 3.0)  # No {} at .995.
    found, pairs = _find(fake)
    self.assertEqual(
      {(pair.ours, pair.theirs) for pair in pairs if not pair.is_baseline},
      {(found[2].title, found[0].title), (found[2].title, found[1].title)},
    )
    self.assertLen(verdicts.main(pairs), 4)

  def test_one_game_has_a_verdict_of_its_own(self):
    toml = _TOML.replace('["breakout", "pong", "seaquest"]', '["pong"]')
    fake = fake_study.FakeStudy(self.folder / 'one', toml)
    fake.do('pong', fake_study.IMPALA, 0.0, 1.0, 2.0)
    fake.do('pong', fake_study.BOTH, 17.65, 18.65, 19.65)
    _, found = _find(fake)
    (sentence,) = verdicts.findings(fake.study, found)
    # 17.65 of the 35.3 from random to human.
    self.assertStartsWith(
      sentence, '{discount, lambda}, 0.99 against {}, 0.99: +50.0% [+43.6, '
    )
    self.assertIn(
      'on pong, probability of improvement 1.00: better (p', sentence
    )

  def test_rows(self):
    _, found = _find(self._three_seeds())
    row = verdicts.rows(found)[2]
    self.assertEqual(row['game'], 'pong')
    self.assertEqual((row['difference'], row['seeds']), ('1.00', '3'))
    self.assertEqual(row['says'], 'no difference to be seen')
    self.assertEqual(verdicts.p_text(0.0004), '<0.001')


if __name__ == '__main__':
  absltest.main()
