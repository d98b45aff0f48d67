"""Tests of learner/health.py, against NumPy."""

import math

from absl.testing import absltest
import numpy as np

from learner import health


def _metrics(gradient, agreed=math.nan):
  return {
    'meta_gradient_discount': gradient,
    'sign_agreement_discount': agreed,
    'kl': agreed,
  }


class HealthTest(absltest.TestCase):
  def test_signal_to_noise_is_mean_over_deviation_of_the_newest(self):
    gradients = np.random.default_rng(0).normal(0.5, 2.0, 400)
    follows = health.Health({'discount': 0.0}, 0.01)
    for gradient in gradients:
      follows.add(_metrics(gradient))
    weights = 0.999 ** np.arange(399, -1, -1)
    mean = np.average(gradients, weights=weights)
    deviation = math.sqrt(np.average((gradients - mean) ** 2, weights=weights))
    row = follows.row({'discount': 0.3})
    self.assertAlmostEqual(
      row['signal_to_noise_discount'], mean / deviation, places=9
    )
    self.assertEqual(
      (row['logit_discount'], row['travelled_discount']), (0.3,) * 2
    )

  def test_one_update_has_no_deviation(self):
    for gradient in np.random.default_rng(0).normal(size=50):
      follows = health.Health({'discount': 0.0}, 0.01)
      follows.add(_metrics(gradient))
      row = follows.row({'discount': 0.3})
      self.assertTrue(math.isnan(row['signal_to_noise_discount']), row)

  def test_looks_are_kept_between_and_agreements_averaged(self):
    follows = health.Health({'discount': 1.0}, 0.01)
    for agreed in (1.0, math.nan, 0.0, math.nan, 1.0, math.nan):
      follows.add(_metrics(1.0, agreed))
    row = follows.row({'discount': 1.0})
    self.assertAlmostEqual(row['sign_agreement_discount'], 2 / 3)
    self.assertEqual(row['kl'], 1.0)

  def test_resumed_is_as_if_never_stopped(self):
    whole, first = (health.Health({'discount': 1.0}, 0.01) for _ in range(2))
    for one in (whole, first):
      for gradient in (0.5, -0.25):
        one.add(_metrics(gradient, 1.0))
    second = health.Health({'discount': 9.0}, 0.01, first.save())
    for one in (whole, second):
      one.add(_metrics(2.0, 0.0))
    self.assertEqual(
      whole.row({'discount': 2.0}), second.row({'discount': 2.0})
    )

  def _report(self, updates, gradient=lambda k: 1.0 + k % 2):
    follows = health.Health({'discount': 2.0}, 0.01)
    for k in range(updates):
      follows.add(_metrics(gradient(k)))
    (line,) = follows.report({'discount': 1.5}, {'discount': 0.82})
    return line

  def test_report_says_how_far_and_how_far_it_could_be(self):
    line = self._report(200)
    self.assertIn(
      'discount is 0.82: its logit travelled -0.50 of at most 2', line
    )
    self.assertNotIn('too short', line)
    self.assertNotIn('noise:', line)

  def test_report_warns_of_a_run_in_which_nothing_could_be_learned(self):
    self.assertIn('too short', self._report(99))

  def test_report_of_one_update_does_not_know_its_noise(self):
    self.assertIn('meta-gradient not known.', self._report(1))
    self.assertNotIn('nan', self._report(0))

  def test_report_warns_where_all_is_noise(self):
    line = self._report(400, lambda k: (-1.0) ** k)
    self.assertIn('meta-gradient is noise', line)

  def test_nothing_learned_has_no_columns_and_no_lines(self):
    follows = health.Health({}, 0.01)
    follows.add({'loss': 1.0})
    self.assertEqual(follows.row({}), {})
    self.assertEqual(follows.report({}, {}), [])


if __name__ == '__main__':
  absltest.main()
