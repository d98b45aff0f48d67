"""Return estimators against NumPy, hand arithmetic and their relations."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad import returns
from tests.support import reference

_CLIPS = dict(rho_bar=1.2, c_bar=0.9, rho_pg=1.1)


def _inputs(batch, length=6, seed=0):
  """rewards, discounts, values, log_rhos, lambda_; ends in the middle."""
  rng = np.random.default_rng(seed)
  discounts = rng.uniform(0.5, 1.0, [length, batch])
  discounts[2, 0] = 0.0
  log_rhos = rng.normal(0.0, 1.0, [length, batch])
  log_rhos[:2, 0] = [-0.5, 0.5]  # Below and above every clip.
  return (
    rng.normal(size=[length, batch]),
    discounts,
    rng.normal(size=[length + 1, batch]),
    log_rhos,
    rng.uniform(0.0, 1.0, [length, batch]),
  )


def _column(*numbers):
  return tf.constant(numbers, tf.float64)[:, tf.newaxis]


def _eager(estimator):
  return estimator


def _graph(estimator):
  return tf.function(estimator, autograph=False)


class ReturnsTest(parameterized.TestCase):
  def test_n_step_by_hand(self):
    # Two of three steps: g_0 = 1 + .5 * (2 + .5 * 8) = 4,
    # g_1 = 2 + .5 * (4 + .5 * 16) = 8, g_2 = 4 + .5 * 16 = 12.
    g = returns.n_step(
      _column(1.0, 2.0, 4.0),
      _column(0.5, 0.5, 0.5),
      _column(9.0, 9.0, 8.0, 16.0),
      n=2,
    )
    np.testing.assert_array_equal(g[:, 0], [4.0, 8.0, 12.0])

  def test_lambda_returns_by_hand(self):
    # g_1 = 2 + .5 * 8 = 6;  g_0 = 1 + .5 * (.75 * 4 + .25 * 6) = 3.25.
    g = returns.lambda_returns(
      _column(1.0, 2.0), _column(0.5, 0.5), _column(9.0, 4.0, 8.0), 0.25
    )
    np.testing.assert_array_equal(g[:, 0], [3.25, 6.0])

  @parameterized.parameters('lambda', 'vtrace')
  def test_vtrace_by_hand(self, policy_target):
    # Ratios 2 and 1/2, both clips 1, lambda 1/2, discounts 1/2.
    # delta_1 = .5 (2 + .5 * 8 - 4) = 1;     v_1 = 4 + 1 = 5
    # delta_0 = 1 (2 + .5 * 4 - 1) = 3;      v_0 = 1 + 3 + .5 * .5 * 1 = 4.25
    # q_1 = 2 + .5 * 8 = 6;                  A_1 = .5 (6 - 4) = 1
    # q_0 = 2 + .5 * (.5 * 5 + .5 * 4) = 4.25,   A_0 = 4.25 - 1 = 3.25
    # or 2 + .5 * 5 = 4.5,                       A_0 = 4.5 - 1 = 3.5
    targets = returns.vtrace(
      _column(2.0, 2.0),
      _column(0.5, 0.5),
      _column(1.0, 4.0, 8.0),
      tf.math.log(_column(2.0, 0.5)),
      0.5,
      policy_target=policy_target,
    )
    np.testing.assert_allclose(targets.values[:, 0], [4.25, 5.0], rtol=1e-15)
    expected = {'lambda': [3.25, 1.0], 'vtrace': [3.5, 1.0]}[policy_target]
    np.testing.assert_allclose(targets.advantages[:, 0], expected, rtol=1e-15)

  @parameterized.product(batch=(1, 5), n=(1, 2, 4, 9), run=(_eager, _graph))
  def test_n_step_as_in_numpy(self, batch, n, run):
    rewards, discounts, values, _, _ = _inputs(batch)
    g = run(returns.n_step)(
      *map(tf.constant, (rewards, discounts, values)), n=n
    )
    np.testing.assert_allclose(
      g, reference.n_step(rewards, discounts, values, n)[:-1], rtol=1e-12
    )

  @parameterized.product(batch=(1, 5), run=(_eager, _graph))
  def test_lambda_returns_as_in_numpy(self, batch, run):
    rewards, discounts, values, _, lambda_ = _inputs(batch)
    g = run(returns.lambda_returns)(
      *map(tf.constant, (rewards, discounts, values, lambda_))
    )
    np.testing.assert_allclose(
      g,
      reference.lambda_returns(rewards, discounts, values, lambda_),
      rtol=1e-12,
    )

  @parameterized.product(
    batch=(1, 5),
    policy_target=('lambda', 'vtrace'),
    clips=({}, _CLIPS),
    run=(_eager, _graph),
  )
  def test_vtrace_as_in_numpy(self, batch, policy_target, clips, run):
    inputs = _inputs(batch)
    targets = run(returns.vtrace)(
      *map(tf.constant, inputs), **clips, policy_target=policy_target
    )
    values, advantages = reference.vtrace(
      *inputs, **clips, policy_target=policy_target
    )
    np.testing.assert_allclose(targets.values, values, rtol=1e-12)
    np.testing.assert_allclose(targets.advantages, advantages, rtol=1e-12)

  def test_lambda_zero_is_one_step(self):
    rewards, discounts, values, log_rhos, _ = _inputs(5)
    one_step = returns.n_step(rewards, discounts, values, n=1)
    np.testing.assert_array_equal(
      returns.lambda_returns(rewards, discounts, values, 0.0), one_step
    )
    targets = returns.vtrace(
      rewards, discounts, values, tf.zeros_like(log_rhos), 0.0
    )
    np.testing.assert_allclose(targets.values, one_step, rtol=1e-12)

  def test_discount_zero_is_the_reward(self):
    rewards, discounts, values, log_rhos, lambda_ = _inputs(5)
    none = np.zeros_like(discounts)
    np.testing.assert_array_equal(
      returns.n_step(rewards, none, values, n=3), rewards
    )
    np.testing.assert_array_equal(
      returns.lambda_returns(rewards, none, values, lambda_), rewards
    )
    targets = returns.vtrace(
      rewards, none, values, tf.zeros_like(log_rhos), lambda_
    )
    np.testing.assert_allclose(targets.values, rewards, rtol=1e-12)

  def test_vtrace_on_policy_is_lambda_returns(self):
    rewards, discounts, values, log_rhos, lambda_ = _inputs(5)
    targets = returns.vtrace(
      rewards, discounts, values, tf.zeros_like(log_rhos), lambda_
    )
    g = returns.lambda_returns(rewards, discounts, values, lambda_)
    np.testing.assert_allclose(targets.values, g, rtol=1e-12)
    np.testing.assert_allclose(targets.advantages, g - values[:-1], rtol=1e-11)

  @parameterized.parameters(6, 60)
  def test_n_step_past_the_end_is_lambda_one(self, n):
    rewards, discounts, values, _, _ = _inputs(5)
    np.testing.assert_allclose(
      returns.n_step(rewards, discounts, values, n=n),
      returns.lambda_returns(rewards, discounts, values, 1.0),
      rtol=1e-12,
    )

  def test_policy_targets_agree_at_lambda_one(self):
    *inputs, _ = _inputs(5)
    np.testing.assert_allclose(
      returns.vtrace(*inputs, 1.0, policy_target='lambda').advantages,
      returns.vtrace(*inputs, 1.0, policy_target='vtrace').advantages,
      rtol=1e-12,
    )

  @parameterized.parameters(0, -1)
  def test_n_step_refuses_n_below_one(self, n):
    rewards, discounts, values, _, _ = _inputs(1)
    with self.assertRaisesRegex(ValueError, f'at least 1, got {n}'):
      returns.n_step(rewards, discounts, values, n=n)


def _square_sum(returns_or_targets):
  return sum((x**2).sum() for x in returns_or_targets)


# Pairs of the same function: of tensors, and of arrays.
_ESTIMATORS = {
  'n_step': (
    lambda r, d, v, rho, lam: [returns.n_step(r, d, v, n=3)],
    lambda r, d, v, rho, lam: [reference.n_step(r, d, v, 3)[:-1]],
  ),
  'lambda_returns': (
    lambda r, d, v, rho, lam: [returns.lambda_returns(r, d, v, lam)],
    lambda r, d, v, rho, lam: [reference.lambda_returns(r, d, v, lam)],
  ),
  **{
    f'vtrace_{target}': (
      lambda *x, target=target: returns.vtrace(
        *x, policy_target=target, **_CLIPS
      ),
      lambda *x, target=target: reference.vtrace(
        *x, policy_target=target, **_CLIPS
      ),
    )
    for target in ('lambda', 'vtrace')
  },
}
_UNUSED = {'n_step': (3, 4), 'lambda_returns': (3,)}


class GradientsTest(parameterized.TestCase):
  @parameterized.product(name=sorted(_ESTIMATORS), batch=(1, 5))
  def test_every_argument_has_its_derivative(self, name, batch):
    function, twin = _ESTIMATORS[name]
    inputs = _inputs(batch)
    tensors = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
      tape.watch(tensors)
      total = tf.add_n([tf.reduce_sum(x**2) for x in function(*tensors)])
    gradients = tape.gradient(total, tensors)
    for i, gradient in enumerate(gradients):
      if i in _UNUSED.get(name, ()):
        self.assertIsNone(gradient)
        continue
      expected = reference.derivative(
        lambda x, i=i: _square_sum(twin(*inputs[:i], x, *inputs[i + 1 :])),
        inputs[i],
      )
      np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)

  @parameterized.parameters('lambda_returns', 'vtrace_lambda', 'vtrace_vtrace')
  def test_scalar_lambda_has_its_derivative(self, name):
    function, twin = _ESTIMATORS[name]
    *inputs, per_step = _inputs(5)
    lambda_ = tf.constant(0.7, tf.float64)
    with tf.GradientTape() as tape:
      tape.watch(lambda_)
      total = tf.add_n(
        [tf.reduce_sum(x**2) for x in function(*inputs, lambda_)]
      )
    expected = reference.derivative(
      lambda x: _square_sum(twin(*inputs, x * np.ones_like(per_step))), 0.7
    )
    np.testing.assert_allclose(
      tape.gradient(total, lambda_), expected, rtol=1e-6
    )

  def test_masked_transition_has_no_advantage_and_keeps_its_value(self):
    rewards, discounts, values, log_rhos, lambda_ = _inputs(5)
    log_rhos[3, 1] = -np.inf
    targets = returns.vtrace(rewards, discounts, values, log_rhos, lambda_)
    self.assertEqual(targets.advantages[3, 1], 0.0)
    self.assertEqual(targets.values[3, 1], values[3, 1])
    # The step before bootstraps there, and sees nothing later.
    later = rewards.copy()
    later[3:, 1] += 100.0
    moved = returns.vtrace(later, discounts, values, log_rhos, lambda_)
    np.testing.assert_array_equal(moved.values[:3], targets.values[:3])
    np.testing.assert_array_equal(moved.advantages[:3], targets.advantages[:3])

  def test_masked_transition_leaves_both_derivatives_finite(self):
    inputs = [tf.constant(x) for x in _inputs(5)]
    mask = np.zeros([6, 5], bool)
    mask[3, 1] = mask[5, 2] = True
    rewards, discounts, values, log_rhos, lambda_ = inputs
    with tf.GradientTape() as outer:
      outer.watch(inputs)
      with tf.GradientTape() as inner:
        inner.watch(inputs)
        targets = returns.vtrace(
          rewards, discounts, values, tf.where(mask, -np.inf, log_rhos), lambda_
        )
        total = tf.add_n([tf.reduce_sum(x**2) for x in targets])
      first = inner.gradient(total, inputs)
      norm = tf.add_n([tf.reduce_sum(g**2) for g in first])
    for gradient in (*first, *outer.gradient(norm, inputs)):
      self.assertTrue(np.all(np.isfinite(gradient)))
    np.testing.assert_array_equal(first[3][mask], 0.0)


class ShapesTest(parameterized.TestCase):
  @parameterized.product(
    wrong=('rewards', 'discounts', 'values', 'log_rhos', 'lambda_'),
    run=(_eager, _graph),
  )
  def test_what_would_broadcast_is_refused_with_both_shapes(self, wrong, run):
    names = ('rewards', 'discounts', 'values', 'log_rhos', 'lambda_')
    inputs = dict(zip(names, map(tf.constant, _inputs(5)), strict=True))
    inputs[wrong] = inputs[wrong][:, :1]  # B = 1 broadcasts to 5.
    with self.assertRaisesRegex(ValueError, r'must be \(\d, [15]\).*, got \('):
      run(returns.vtrace)(**inputs)

  def test_rank_is_checked(self):
    rewards, discounts, values, _, _ = _inputs(5)
    with self.assertRaisesRegex(ValueError, r'\[T, B\], got \(6,\)'):
      returns.n_step(rewards[:, 0], discounts, values, n=1)
    with self.assertRaisesRegex(ValueError, r'lambda_ must be .*got \(6,\)'):
      returns.lambda_returns(rewards, discounts, values, np.ones(6))

  def test_unknown_time_and_batch_are_taken(self):
    dynamic = tf.TensorSpec([None, None], tf.float64)
    rewards, discounts, values, _, _ = _inputs(5)
    check = tf.function(
      lambda r, d, v: returns._check_shapes(r, v, discounts=d),
      input_signature=[dynamic] * 3,
    )
    check(rewards, discounts, values)


if __name__ == '__main__':
  absltest.main()
