"""What the page's script draws."""

import json
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from experiments.comparison import external
from experiments.comparison import results as results_lib
from experiments.report import contenders
from experiments.report import curves
from tests.support import fake_study


class CurvesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.fake = fake_study.partial(pathlib.Path(folder) / 'study')

  def _charts(self, *others):
    results = results_lib.read(self.fake.study, self.fake.workdir)
    found = contenders.find(self.fake.study, results, list(others))
    made = curves.charts(self.fake.study, found)
    json.dumps(made, allow_nan=False)  # As the page has it.
    return made

  def test_the_same_curve_against_three_axes(self):
    made = self._charts()
    returns, *_ = made['quantities']
    self.assertEqual(returns['name'], 'mean_return_100')
    ends = {
      axis: (chart['x'][0], chart['x'][-1])
      for axis, chart in returns['games']['breakout'].items()
    }
    # The first row, at 1000 frames, 50 updates and 10 s, has no return yet.
    self.assertEqual(
      ends, {'frames': (0.002, 0.004), 'updates': (0.1, 0.2), 'time': (20, 40)}
    )
    for chart in returns['games']['breakout'].values():
      mean, low, high = chart['series']['0']
      self.assertEqual((mean[0], low[0], high[0]), (1.5, 1.0, 2.0))
      self.assertEqual((mean[-1], low[-1], high[-1]), (9.0, 9.0, 9.0))

  def test_one_seed_has_no_interval(self):
    chart = self._charts()['quantities'][0]['games']['pong']['frames']
    mean, low, _ = chart['series']['1']
    self.assertEqual((mean[0], low[0]), (1.0, None))

  def test_only_what_was_logged_is_there(self):
    names = [quantity['name'] for quantity in self._charts()['quantities']]
    self.assertEqual(names, ['mean_return_100', 'discount', 'lambda_'])

  def test_time_has_a_unit_that_fits(self):
    for seconds, unit in ((599, 'seconds'), (700, 'minutes'), (40000, 'hours')):
      *_, axis = curves.axes(seconds)
      self.assertEqual(axis.unit, unit)

  def test_another_system_has_frames_only(self):
    curve = external.Curve(np.array([0.0, 4000.0]), np.array([1.0, 3.0]))
    games = self._charts(('X', {('pong', 1): curve}))['quantities'][0]['games']
    self.assertIn('3', games['pong']['frames']['series'])
    self.assertNotIn('3', games['pong']['time']['series'])

  def test_band_is_empty_where_a_run_is(self):
    runs = [
      (np.array([0.0, 2.0]), np.array([0.0, 2.0])),
      (np.array([1.0, 3.0]), np.array([3.0, 3.0])),
    ]
    mean, low, high = curves.band(runs, np.array([0.5, 1.0, 1.5, 2.5]))
    np.testing.assert_allclose(mean, [np.nan, 2.0, 2.25, np.nan])
    np.testing.assert_allclose(low[1:3], [1.0, 1.5])
    np.testing.assert_allclose(high[1:3], [3.0, 3.0])

  def test_published_points_are_of_the_variant_that_is_alike(self):
    toml = """
title = "Snake"
preset = "snake"
games = ["snake"]
seeds = [1]
protocols = ["noop"]
[[variants]]
label = "ours"
learned = ["discount"]
outer_critic = "head"
"""
    folder = self.fake.workdir.parent / 'snake'
    study = fake_study.FakeStudy(folder, toml).study
    found = contenders.find(study, [], [])
    points = curves.charts(study, found)['published']['snake']
    numbers = {point['title']: point['number'] for point in points}
    self.assertEqual(numbers['MG + outer critic'], 0)
    self.assertIsNone(numbers['MG'])
    self.assertIn(
      {
        'title': 'MG + outer critic',
        'x': 15,
        'y': 14.9,
        'spread': 1.8,
        'number': 0,
      },
      points,
    )


if __name__ == '__main__':
  absltest.main()
