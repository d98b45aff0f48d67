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

  def test_difference_is_welchs(self):
    # Means 4 and 1; variances of the means 4/3 and 1/3; their root 1.2910;
    # degrees of freedom (5/3)^2 / ((4/3)^2 / 2 + (1/3)^2 / 2) = 2.9412.
    found = estimates.difference(np.array([2, 4, 6]), np.array([0, 1, 2]))
    self.assertAlmostEqual(found.value, 3.0)
    # Student's t: 3.2276 at .975, and 2.3238 leaves .1044 on both sides.
    self.assertAlmostEqual(found.low, 3 - 3.2188 * 1.29099, delta=0.02)
    self.assertAlmostEqual(found.high, 3 + 3.2188 * 1.29099, delta=0.02)
    self.assertAlmostEqual(found.p_value, 0.1044, delta=0.002)

  def test_difference_of_one_seed_or_of_equal_ones_has_no_interval(self):
    for ours, theirs in (([2.0], [1.0, 3.0]), ([2.0, 2.0], [1.0, 1.0])):
      found = estimates.difference(np.array(ours), np.array(theirs))
      self.assertEqual(found[1:], (None, None, None))
      self.assertEqual(
        estimates.mean_difference([np.array(ours)], [np.array(theirs)], [1.0]),
        found,
      )

  def test_mean_difference_of_a_game_is_that_of_the_library(self):
    found = estimates.mean_difference(_RUNS[:1], _BASELINE[:1], [0.5])
    welch = estimates.difference(_RUNS[0], _BASELINE[0])
    np.testing.assert_allclose(found[:3], np.array(welch[:3]) / 0.5)
    self.assertAlmostEqual(found.p_value, welch.p_value)

  def test_mean_difference_holds_the_true_one_as_often_as_it_says(self):
    rng = np.random.default_rng(0)
    spreads, inside = np.array([[1.0], [5.0], [0.2]]), 0
    for _ in range(600):
      ours, theirs = (rng.normal(0, spreads, (3, 4)) for _ in range(2))
      found = estimates.mean_difference(ours, theirs, [1.0, 2.0, 0.5])
      inside += found.low <= 0 <= found.high
    self.assertBetween(inside / 600, 0.93, 0.98)

  def test_correction_for_many_tests(self):
    # .01 x 3/1; .03 x 3/2, but no more than the next; .04 x 3/3.
    found = estimates.corrected([0.01, None, 0.04, 0.03])
    self.assertIsNone(found[1])
    np.testing.assert_allclose([found[0], *found[2:]], [0.03, 0.04, 0.04])
    self.assertEqual(estimates.corrected([None]), [None])

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
