"""Estimates are those of rliable 1.2.0 on the same scores."""

from absl.testing import absltest
import numpy as np

from experiments.scores import estimates

# Games by seeds.
_RUNS = np.array(
  [
    [10.0, 20.0, 40.0, 25.0],
    [55.0, 45.0, 70.0, 80.0],
    [130.0, 160.0, 90.0, 120.0],
  ]
)
_BASELINE = np.array(
  [
    [12.0, 18.0, 22.0, 20.0],
    [50.0, 60.0, 40.0, 30.0],
    [100.0, 110.0, 140.0, 105.0],
  ]
)


class EstimatesTest(absltest.TestCase):
  def _assert_estimate(self, estimate, value, low, high):
    self.assertAlmostEqual(estimate.value, value)
    # The ends differ by the resamples that were drawn.
    self.assertAlmostEqual(estimate.low, low, delta=0.03 * value)
    self.assertAlmostEqual(estimate.high, high, delta=0.03 * value)

  def test_median(self):
    self._assert_estimate(estimates.median(_RUNS), 62.5, 50.0, 75.0)

  def test_interquartile_mean(self):
    self._assert_estimate(
      estimates.interquartile_mean(_RUNS), 63.33333333, 54.16666667, 75.0
    )

  def test_probability_of_improvement(self):
    self._assert_estimate(
      estimates.probability_of_improvement(_RUNS, _BASELINE),
      0.69791667,
      0.45833333,
      0.91666667,
    )

  def test_games_may_have_different_numbers_of_seeds(self):
    runs = [_RUNS[0, :2], _RUNS[1], _RUNS[2, :3]]
    # Means over seeds: 15, 62.5 and 126.67.
    self.assertEqual(estimates.median(runs).value, 62.5)
    self.assertIsNotNone(estimates.median(runs).low)

  def test_one_seed_of_a_game_gives_no_interval(self):
    estimate = estimates.median([_RUNS[0], _RUNS[1, :1]])
    self.assertEqual(estimate, (39.375, None, None))  # (23.75 + 55) / 2.

  def test_mean_is_inside_its_interval(self):
    scores = np.random.default_rng(1).normal(10.0, 2.0, 400)
    estimate = estimates.mean(scores)
    self.assertAlmostEqual(estimate.value, scores.mean())
    # 1.96 standard errors of .1 on each side.
    self.assertAlmostEqual(estimate.high - estimate.low, 0.392, delta=0.04)

  def test_equal_scores_have_an_interval_of_no_width(self):
    self.assertEqual(estimates.mean(np.ones(5)), (1.0, 1.0, 1.0))

  def test_band_is_the_interval_of_the_mean_at_each_point(self):
    low, high = estimates.band(_RUNS.T)
    for game, scores in enumerate(_RUNS):
      estimate = estimates.mean(scores)
      self.assertAlmostEqual(low[game], estimate.low, delta=3.0)
      self.assertAlmostEqual(high[game], estimate.high, delta=3.0)


if __name__ == '__main__':
  absltest.main()
