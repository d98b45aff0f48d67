"""Optimizers against NumPy, hand arithmetic, Keras and closed derivatives."""

from absl.testing import absltest
from absl.testing import parameterized
import keras
import numpy as np
import tensorflow as tf

from seed_metagrad import optimizers
from tests.support import reference


def _gradients(num_steps=3):
  rng = np.random.default_rng(0)
  return [
    [rng.normal(size=[2, 3]), rng.normal(size=[4])] for _ in range(num_steps)
  ]


def _run(optimizer, params, gradients, learning_rate):
  """The parameters after every step."""
  opt_state, history = optimizer.init(params), []
  for g in gradients:
    updates, opt_state = optimizer.update(
      [tf.constant(x) for x in g], opt_state, learning_rate
    )
    params = optimizers.apply_updates(params, updates)
    history.append([p.numpy() for p in params])
  return history


def _run_keras(optimizer, params, gradients):
  variables = [tf.Variable(p) for p in params]
  history = []
  for g in gradients:
    optimizer.apply_gradients(zip(map(tf.constant, g), variables))
    history.append([v.numpy() for v in variables])
  return history


def _ones():
  return [tf.ones([2, 3], tf.float64), tf.ones([4], tf.float64)]


class OptimizersTest(parameterized.TestCase):
  def test_sgd_by_hand(self):
    updates, _ = optimizers.sgd().update([tf.constant(3.0)], (), 0.5)
    self.assertEqual(updates[0], -1.5)

  def test_rmsprop_by_hand(self):
    # ms = 1 -> 3/4 * 1 + 1/4 * 4 = 7/4; step = -.1 * 2 / sqrt(7/4 + 1/2) =
    # -.2 / 1.5. Then g = 0: ms = 21/16 and no step. The slot starts at one
    # and epsilon is inside the root: else the first step would be another.
    optimizer = optimizers.rmsprop(decay=0.75, epsilon=0.5)
    params = [tf.constant(0.0, tf.float64)]
    updates, ms = optimizer.update(
      [tf.constant(2.0, tf.float64)], optimizer.init(params), 0.1
    )
    np.testing.assert_allclose(updates, [-0.2 / 1.5], rtol=1e-14)
    np.testing.assert_allclose(ms, [1.75], rtol=1e-14)
    updates, ms = optimizer.update([tf.constant(0.0, tf.float64)], ms, 0.1)
    np.testing.assert_allclose(ms, [1.3125], rtol=1e-14)
    np.testing.assert_array_equal(updates, [0.0])

  def test_rmsprop_as_in_numpy(self):
    gradients = _gradients()
    history = _run(
      optimizers.rmsprop(decay=0.9, epsilon=0.1), _ones(), gradients, 0.3
    )
    for i in range(2):
      p = ms = np.ones_like(gradients[0][i])
      for g, params in zip(gradients, history, strict=True):
        step, ms = reference.rmsprop(g[i], ms, 0.3, decay=0.9, epsilon=0.1)
        p = p + step
        np.testing.assert_allclose(params[i], p, rtol=1e-12)

  def test_rmsprop_is_keras_from_slots_at_zero(self):
    # Keras starts its slots at zero and has epsilon outside the root: the same
    # numbers where epsilon is too small to matter.
    ours = optimizers.rmsprop(decay=0.9, epsilon=1e-30)
    ours = ours._replace(init=lambda params: [tf.zeros_like(p) for p in params])
    theirs = keras.optimizers.RMSprop(0.3, rho=0.9, epsilon=1e-30)
    for a, b in zip(
      _run(ours, _ones(), _gradients(), 0.3),
      _run_keras(theirs, _ones(), _gradients()),
      strict=True,
    ):
      for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-6)

  def test_adam_as_in_numpy(self):
    gradients = _gradients()
    history = _run(optimizers.adam(), _ones(), gradients, 0.3)
    for i in range(2):
      p = np.ones_like(gradients[0][i])
      slots = 0, np.zeros_like(p), np.zeros_like(p)
      for g, params in zip(gradients, history, strict=True):
        step, slots = reference.adam(g[i], *slots, 0.3)
        p = p + step
        np.testing.assert_allclose(params[i], p, rtol=1e-12)

  def test_adam_is_keras(self):
    theirs = keras.optimizers.Adam(0.3, epsilon=1e-8)
    for a, b in zip(
      _run(optimizers.adam(), _ones(), _gradients(), 0.3),
      _run_keras(theirs, _ones(), _gradients()),
      strict=True,
    ):
      for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5)  # Theirs has float32 lr.

  def test_rmsprop_step_has_its_closed_derivative(self):
    # d step/d g = -lr (decay ms + eps) / (ms' + eps)^1.5.
    g, ms = tf.constant([-2.0, 0.0, 0.5], tf.float64), np.array([0.3, 1.0, 2.0])
    with tf.GradientTape() as tape:
      tape.watch(g)
      updates, _ = optimizers.rmsprop(decay=0.9, epsilon=0.1).update(
        [g], [tf.constant(ms)], 0.3
      )
    after = 0.9 * ms + 0.1 * g.numpy() ** 2
    np.testing.assert_allclose(
      tape.gradient(updates[0], g),
      -0.3 * (0.9 * ms + 0.1) / (after + 0.1) ** 1.5,
      rtol=1e-12,
    )

  def test_adam_step_has_its_derivative(self):
    g, m, v = np.array([-2.0, 0.1, 0.5]), np.array([0.3, 0.0, 2.0]), np.ones(3)
    state = optimizers.AdamState(
      tf.constant(3.0, tf.float64), [tf.constant(m)], [tf.constant(v)]
    )
    tensor = tf.constant(g)
    with tf.GradientTape() as tape:
      tape.watch(tensor)
      updates, _ = optimizers.adam().update([tensor], state, 0.3)
    expected = reference.derivative(
      lambda g: reference.adam(g, 3, m, v, 0.3)[0], g
    )
    np.testing.assert_allclose(
      tape.gradient(updates[0], tensor), np.diag(expected), rtol=1e-6
    )

  def test_adam_has_finite_derivatives_where_gradients_are_zero(self):
    optimizer, g = optimizers.adam(), tf.zeros([2])
    with tf.GradientTape() as outer:
      outer.watch(g)
      with tf.GradientTape() as inner:
        inner.watch(g)
        updates, _ = optimizer.update([g], optimizer.init([g]), 0.3)
      first = inner.gradient(updates, g)
    np.testing.assert_array_equal(updates[0], 0.0)
    self.assertTrue(np.all(np.isfinite(first)))
    self.assertTrue(np.all(np.isfinite(outer.gradient(first, g))))


class ClipTest(parameterized.TestCase):
  @parameterized.parameters(0.1, 1.0, 3.0, 100.0)
  def test_as_in_numpy_and_tensorflow(self, max_norm):
    gradients = [tf.constant(g) for g in _gradients(1)[0]]
    clipped, norm = optimizers.clip_by_global_norm(gradients, max_norm)
    expected, expected_norm = reference.clip_by_global_norm(
      _gradients(1)[0], max_norm
    )
    theirs, _ = tf.clip_by_global_norm(gradients, max_norm)
    np.testing.assert_allclose(norm, expected_norm, rtol=1e-12)
    for x, y, z in zip(clipped, expected, theirs, strict=True):
      np.testing.assert_allclose(x, y, rtol=1e-12)
      np.testing.assert_allclose(x, z, rtol=1e-6)

  def test_by_hand(self):
    # The norm of (3, 4) is 5: clipped to 1, (.6, .8).
    gradients = [tf.constant([3.0]), tf.constant([4.0])]
    clipped, norm = optimizers.clip_by_global_norm(gradients, 1.0)
    self.assertEqual(norm, 5.0)
    np.testing.assert_allclose(clipped, [[0.6], [0.8]], rtol=1e-6)

  @parameterized.parameters(0.0, 3.0, 40.0)
  def test_changes_no_bit_below_the_limit(self, max_norm):
    gradients = [tf.constant(g, tf.float32) for g in _gradients(1)[0]]
    scale = 2.9 / tf.linalg.global_norm(gradients)
    gradients = [g * scale for g in gradients]
    clipped, _ = optimizers.clip_by_global_norm(gradients, max_norm)
    for before, after in zip(gradients, clipped, strict=True):
      np.testing.assert_array_equal(before, after)

  @parameterized.parameters(0.0, 40.0)
  def test_zero_gradients_stay_zero_and_differentiable(self, max_norm):
    g = [tf.zeros([2]), tf.zeros([3])]
    with tf.GradientTape() as outer:
      outer.watch(g)
      with tf.GradientTape() as inner:
        inner.watch(g)
        clipped, norm = optimizers.clip_by_global_norm(g, max_norm)
        total = norm + tf.add_n([tf.reduce_sum(x) for x in clipped])
      first = inner.gradient(total, g)
    for x in (*clipped, norm):
      np.testing.assert_array_equal(x, tf.zeros_like(x))
    for x in (*first, *outer.gradient(first, g)):
      if x is not None:
        self.assertTrue(np.all(np.isfinite(x)))

  @parameterized.parameters(1.0, 100.0)
  def test_has_its_derivative(self, max_norm):
    gradients = _gradients(1)[0]
    tensors = [tf.constant(g) for g in gradients]
    with tf.GradientTape() as tape:
      tape.watch(tensors)
      clipped, _ = optimizers.clip_by_global_norm(tensors, max_norm)
      total = tf.add_n([tf.reduce_sum(tf.sin(x)) for x in clipped])
    expected = reference.derivative(
      lambda x: sum(
        np.sin(y).sum()
        for y in reference.clip_by_global_norm([x, gradients[1]], max_norm)[0]
      ),
      gradients[0],
    )
    np.testing.assert_allclose(
      tape.gradient(total, tensors)[0], expected, rtol=1e-6
    )


if __name__ == '__main__':
  absltest.main()
