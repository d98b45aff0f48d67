"""What the figures of a report draw."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from experiments.comparison import results as results_lib
from experiments.report import contenders
from experiments.report import figures
from experiments.report import verdicts
from tests.support import fake_study


class FiguresTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self._read(fake_study.partial(pathlib.Path(folder) / 'study'))

  def _read(self, fake):
    self.study, self.games = fake.study, fake.study.games
    self.found = contenders.find(
      fake.study, results_lib.read(fake.study, fake.workdir), []
    )
    self.verdicts = verdicts.find(self.study, self.found)

  def test_improvements_in_order_with_intervals(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    fake = fake_study.partial(folder / 'study')
    run = fake_study.study_lib.Run('pong', fake_study.BOTH, 2)
    for path in results_lib.run_folder(fake.workdir, run).iterdir():
      path.unlink()
    results_lib.run_folder(fake.workdir, run).rmdir()
    fake.train(run)
    fake.evaluate(run, 14.6)
    self._read(fake)
    (axes,) = figures.improvements(verdicts.main(self.verdicts)).axes
    dots = [line for line in axes.lines if line.get_marker() == 'o']
    np.testing.assert_allclose(
      [dot.get_xdata()[0] for dot in dots], [50.0, 100.0, 75.0]
    )
    self.assertEqual(
      [label.get_text() for label in axes.get_yticklabels()],
      ['pong', 'breakout', 'all games'],
    )
    self.assertLen(axes.collections, 3)  # Intervals: two seeds everywhere.

  def test_one_seed_has_a_dot_alone(self):
    (axes,) = figures.improvements(verdicts.main(self.verdicts)).axes
    self.assertLen(axes.collections, 1)  # Breakout's; Pong has one seed.

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
    self._read(fake)
    made = figures.all_figures(self.study, self.found, [])['entropy_cost']
    np.testing.assert_allclose(made.axes[0].lines[0].get_ydata()[[0, -1]], 0.5)

  def test_nothing_is_drawn_of_nothing(self):
    empty = [
      contender._replace(scores={'noop': {}}, curves={}, learned={})
      for contender in self.found
    ]
    self.assertEmpty(figures.all_figures(self.study, empty, []))
    images = figures.pngs(self.study, self.found, self.verdicts)
    self.assertSameElements(
      images, ['improvement_noop', 'returns', 'discount', 'lambda']
    )
    for image in images.values():
      self.assertStartsWith(image, b'\x89PNG')


if __name__ == '__main__':
  absltest.main()
