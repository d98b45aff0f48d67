"""Logits, values and tables of learned hypers."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad import config as config_lib
from seed_metagrad.meta_gradients import meta_parameters
from tests.support import reference

_BOUNDS = config_lib.bounds(config_lib.Config())
_FIXED = dict(discount=0.9, lambda_=0.8, baseline_cost=0.5)


class MetaParametersTest(parameterized.TestCase):
  def test_logit_by_hand(self):
    # sigmoid(ln 3) = 3/4.
    eta = meta_parameters.init({'discount': 0.75}, dtype=tf.float64)
    np.testing.assert_allclose(eta['discount'], np.log(3.0), rtol=1e-14)

  @parameterized.product(name=sorted(_BOUNDS), num_states=(None, 4))
  def test_values_start_as_given(self, name, num_states):
    low, high = _BOUNDS[name]
    start = low + 0.3 * (high - low)
    eta = meta_parameters.init(
      {name: start}, _BOUNDS, num_states=num_states, dtype=tf.float64
    )
    value = meta_parameters.values(eta, _BOUNDS)[name]
    self.assertEqual(value.shape, [] if num_states is None else [4])
    np.testing.assert_allclose(value, np.full(value.shape, start), rtol=1e-14)

  @parameterized.parameters(sorted(_BOUNDS))
  def test_values_stay_inside_their_bounds(self, name):
    low, high = _BOUNDS[name]
    for logit in (-1e30, -50.0, 50.0, 1e30):
      value = meta_parameters.values({name: tf.constant(logit)}, _BOUNDS)[name]
      self.assertBetween(float(value), low, np.float32(high))

  def test_hypers_replace_only_what_is_learned(self):
    self.assertEqual(meta_parameters.hypers({}, _FIXED), _FIXED)
    eta = {'lambda_': tf.constant(0.0)}
    self.assertEqual(
      meta_parameters.hypers(eta, _FIXED), {**_FIXED, 'lambda_': 0.5}
    )

  def test_table_is_looked_up_and_differentiated_by_state(self):
    table, states = np.array([-1.0, 0.0, 2.0]), np.array([[0, 2], [2, 2]])
    weights = np.array([[1.0, 2.0], [3.0, 4.0]])
    eta = {'discount': tf.constant(table)}
    with tf.GradientTape() as tape:
      tape.watch(eta)
      hypers = meta_parameters.hypers(eta, _FIXED, states=states)
      total = tf.reduce_sum(weights * hypers['discount'])
    values = 1.0 / (1.0 + np.exp(-table))
    np.testing.assert_allclose(hypers['discount'], values[states], rtol=1e-14)
    expected = reference.derivative(
      lambda x: np.sum(weights / (1.0 + np.exp(-x[states]))), table
    )
    self.assertEqual(expected[1], 0.0)  # A state that was not visited.
    np.testing.assert_allclose(
      tf.convert_to_tensor(tape.gradient(total, eta)['discount']),
      expected,
      rtol=1e-6,
      atol=1e-15,
    )

  def test_conditioning_is_sorted_by_name_and_has_no_gradient(self):
    eta = {'lambda_': tf.constant(0.0), 'discount': tf.constant([1e3, -1e3])}
    with tf.GradientTape() as tape:
      tape.watch(eta)
      vector = meta_parameters.conditioning(eta).values
    np.testing.assert_array_equal(vector, [1.0, 0.0, 0.5])
    self.assertEqual(
      tape.gradient(vector, eta), {'lambda_': None, 'discount': None}
    )

  def test_a_reference_is_far_from_what_is_near_it(self):
    eta = meta_parameters.init(
      {'discount': 0.998, 'lambda_': 0.5}, dtype=tf.float64
    )
    seen = meta_parameters.conditioning(eta, reference={'discount': 1.0})
    # ln(.998 / .002) over ln(.99999 / .00001), which stands for 1.
    np.testing.assert_allclose(
      seen.values, [6.21260610 / 11.51291546, 0.0], rtol=1e-8
    )
    np.testing.assert_allclose(seen.reference, [1.0, 0.0], rtol=1e-12)

  @parameterized.parameters((0.0, 1.0), (0.5, 0.9))
  def test_a_reference_of_what_is_learned_is_what_is_seen(self, low, high):
    bounds = {'lambda_': config_lib.Bounds(low, high)}
    eta = meta_parameters.init({'lambda_': 0.7}, bounds, dtype=tf.float64)
    seen = meta_parameters.conditioning(eta, bounds, {'lambda_': 0.7})
    np.testing.assert_allclose(seen.values, seen.reference, atol=1e-12)

  def test_nothing_learned_is_nothing_to_condition_on(self):
    self.assertIsNone(meta_parameters.conditioning({}))

  def test_unknown_name_is_refused(self):
    with self.assertRaisesRegex(ValueError, "out of .*'discount'.*got 'gamma'"):
      meta_parameters.init({'gamma': 0.5})

  def test_start_at_the_high_bound_is_at_99_percent(self):
    # sigmoid(ln 99) = .99.
    eta = meta_parameters.init({'lambda_': 1.0}, dtype=tf.float64)
    np.testing.assert_allclose(eta['lambda_'], np.log(99.0), rtol=1e-12)

  @parameterized.parameters(0.0, 1.5, -1.0, float('nan'))
  def test_start_outside_the_bounds_is_refused(self, value):
    with self.assertRaisesRegex(ValueError, f'inside .* got {value}'):
      meta_parameters.init({'discount': value})


if __name__ == '__main__':
  absltest.main()
