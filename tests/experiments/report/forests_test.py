"""Where the dots and intervals of forest plots are."""

import pathlib
import tempfile

from absl.testing import absltest

from experiments.comparison import results as results_lib
from experiments.report import contenders
from experiments.report import facts
from experiments.report import forests
from experiments.report import starts
from experiments.report import tables
from experiments.report import verdicts
from tests.support import fake_study


def _strip(value, low=None, high=None, published=()):
  return forests.Strip(value, low, high, '', published)


class ForestsTest(absltest.TestCase):
  def _read(self, fake):
    results = results_lib.read(fake.study, fake.workdir)
    return results, contenders.find(fake.study, results, [])

  def _folder(self):
    return pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def test_scale_holds_what_is_on_it(self):
    made = forests.scale(
      [_strip(3.0, 1.0, 5.0), None, _strip(2.0, published=(('x', 9.0),))]
    )
    self.assertLessEqual(made.low, 1.0)
    self.assertGreaterEqual(made.high, 9.0)
    self.assertEqual((made.at(made.low), made.at(made.high)), (0.0, 100.0))
    middle = (made.low + made.high) / 2
    self.assertEqual(made.at(middle), 50.0)
    self.assertEqual(made.width(made.low, middle), 50.0)
    self.assertFalse(made.has_zero and made.low > 0)

  def test_wide_intervals_are_cut_and_values_are_not(self):
    made = forests.scale([_strip(4.0, -900.0, 908.0)], most=100.0)
    self.assertEqual((made.low, made.high), (-100.0, 100.0))
    self.assertEqual(made.at(908.0), 100.0)
    made = forests.scale([_strip(400.0, -900.0, 908.0)], most=100.0)
    self.assertGreater(made.high, 400.0)

  def test_equal_values_have_a_scale(self):
    made = forests.scale([_strip(2.0), _strip(2.0)])
    self.assertLess(made.low, 2.0)
    self.assertGreater(made.high, 2.0)

  def test_verdicts_of_all_games_come_first_with_their_cost(self):
    fake = fake_study.partial(self._folder() / 'study')
    for seed in (1, 2):
      run = fake_study.study_lib.Run('seaquest', fake_study.BOTH, seed)
      fake.train(run, seconds=90, frames_per_s=1500.0)
    _, found = self._read(fake)
    plot = forests.of_verdicts(
      verdicts.main(verdicts.find(fake.study, found)), facts.costs(found)
    )
    self.assertEqual(
      [line.verdict.game for line in plot.lines], ['', 'breakout', 'pong']
    )
    first = plot.lines[0]
    self.assertEqual((first.speed, first.minutes), ('1500', '1.5'))
    self.assertEqual((first.kind, first.strip.text), ('unsure', '+75.0%'))

  def test_scores_have_published_ones_beside_them(self):
    toml = """
title = "Snake"
preset = "snake"
games = ["snake"]
seeds = [1, 2]
protocols = ["noop"]
[settings]
total_env_frames = 4000
[[variants]]
label = "A2C"
learned = []
[[variants]]
learned = ["discount"]
outer_critic = "conditioned"
conditioning = true
"""
    fake = fake_study.FakeStudy(self._folder() / 'study', toml)
    fake.do('snake', fake.study.variants[0], 3.0, 5.0)
    results, found = self._read(fake)
    (plot,) = forests.of_scores(
      fake.study, found, tables.scores(fake.study, results, found)
    )
    plain, learned = plot.lines
    self.assertEqual(plain.strip[:4], (4.0, 3.0, 5.0, '4.00 [3.00, 5.00]'))
    self.assertEqual(
      plain.strip.published, (('published: 9.5 at 15,000,000 frames', 9.5),)
    )
    self.assertFalse(plain.learns)
    self.assertIsNone(learned.strip)
    self.assertTrue(learned.learns)

  def test_starts_have_the_interval_of_the_best_fixed_one(self):
    toml = (
      fake_study.TOML.partition('[[variants]]')[0]
      + """
[[variants]]
learned = []
discount = [0.9, 0.99]
[[variants]]
learned = ["discount"]
discount = 0.9
"""
    )
    fake = fake_study.FakeStudy(self._folder() / 'study', toml)
    low, high, learned = fake.study.variants
    fake.do('pong', low, 1.0, 2.0)
    fake.do('pong', high, 3.0, 4.0)
    fake.do('pong', learned, 2.0, 4.0)
    _, found = self._read(fake)
    (plot,) = forests.of_starts(starts.find(fake.study, found))
    self.assertEqual((plot.name, plot.game), ('discount', 'pong'))
    self.assertEqual({line.strip.within for line in plot.lines}, {(3.0, 4.0)})
    self.assertEqual(
      [line.start.title for line in plot.lines],
      [low.title, learned.title, high.title],
    )


if __name__ == '__main__':
  absltest.main()
