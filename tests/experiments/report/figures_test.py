"""What the figures of a report draw."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from experiments.comparison import results as results_lib
from experiments.report import contenders
from experiments.report import figures
from tests.support import fake_study


class ReportFiguresTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    fake = fake_study.partial(pathlib.Path(folder) / 'study')
    self.games = fake.study.games
    self.found = contenders.find(
      fake.study, results_lib.read(fake.study, fake.workdir), []
    )

  def test_bars_of_improvement_in_order(self):
    (axes,) = figures.improvements(self.found, 'noop').axes
    np.testing.assert_allclose(
      [bar.get_width() for bar in axes.patches], [50.0, 100.0]
    )
    self.assertEqual(
      [label.get_text() for label in axes.get_yticklabels()],
      ['pong', 'breakout'],
    )

  def test_relative_improvement(self):
    impala, both, _ = self.found
    # Breakout (300 - 150) / 150, Pong (100 - 50) / 100, the human's.
    percents = dict(figures.relative_improvements(both, impala, 'noop'))
    self.assertSameElements(percents, ['breakout', 'pong'])
    self.assertAlmostEqual(percents['breakout'], 100.0)
    self.assertAlmostEqual(percents['pong'], 50.0)

  def test_curves_are_the_mean_of_the_seeds(self):
    axes = figures.returns(self.games, self.found).axes
    self.assertEqual(
      [part.get_title() for part in axes], ['breakout', 'pong', 'seaquest']
    )
    self.assertEqual([len(part.lines) for part in axes], [2, 2, 1])
    frames, returns = axes[0].lines[0].get_data()
    # From 2000 frames on, 1 and 2; all 9 at 4000; in millions.
    self.assertAlmostEqual(frames[0], 0.002)
    self.assertAlmostEqual(frames[-1], 0.004)
    np.testing.assert_allclose(returns[[0, -1]], [1.5, 9.0])
    self.assertLen(axes[0].collections, 2)  # Bands of two seeds each.
    self.assertLen(axes[1].collections, 1)  # None with one seed of {d, l}.

  def test_only_meta_parameters_are_drawn(self):
    axes = figures.learned_values(self.games, self.found, 'discount').axes
    self.assertEqual([part.get_title() for part in axes], ['breakout', 'pong'])
    np.testing.assert_allclose(
      axes[0].lines[0].get_ydata()[[0, -1]], [0.98, 0.95]
    )
    self.assertLen(axes[0].lines, 1)

  def test_every_meta_parameter_is_drawn(self):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    toml = fake_study.TOML.replace('["discount"]', '["entropy_cost"]')
    fake = fake_study.FakeStudy(pathlib.Path(folder) / 'study', toml)
    fake.do('pong', fake.study.variants[2], 1.0)
    found = contenders.find(
      fake.study, results_lib.read(fake.study, fake.workdir), []
    )
    drawn = figures.all_figures(fake.study.games, found)
    title, made = drawn['entropy_cost']
    self.assertEqual(title, 'Learned entropy cost')
    np.testing.assert_allclose(made.axes[0].lines[0].get_ydata()[[0, -1]], 0.5)

  def test_nothing_is_drawn_of_nothing(self):
    empty = [
      contender._replace(scores={'noop': {}}, curves={}, learned={})
      for contender in self.found
    ]
    self.assertEmpty(figures.all_figures(self.games, empty))
    self.assertSameElements(
      figures.all_figures(self.games, self.found),
      ['improvement_noop', 'returns', 'discount', 'lambda'],
    )


if __name__ == '__main__':
  absltest.main()
