"""The meta-gradient against finite differences of the whole update."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad import config as config_lib
from seed_metagrad import networks
from seed_metagrad import optimizers
from seed_metagrad.meta_gradients import gauges as gauges_lib
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import meta
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import outer
from tests.support import reference
from tests.support import tiny

_RATE = 0.3
_FIXED = dict(
  discount=0.8,
  lambda_=0.7,
  policy_cost=1.0,
  baseline_cost=0.5,
  entropy_cost=0.2,
)

# (optimizer, clip, batch, inner updates, conditioning): every setting meets
# every other. A clip of .05 is active, one of 1e6 is not.
_CASES = (
  ('rmsprop', 1e6, 1, 1, False),
  ('rmsprop', 0.05, 5, 1, True),
  ('rmsprop', 1e6, 5, 2, True),
  ('rmsprop', 0.05, 1, 2, False),
  ('adam', 1e6, 5, 1, False),
  ('adam', 0.05, 1, 1, True),
  ('adam', 1e6, 1, 2, True),
  ('adam', 0.05, 5, 2, False),
)


def _meta_gradient(rules, state, unrolls, meta_unroll):
  new, metrics = meta.update(state, unrolls, meta_unroll, _RATE, rules=rules)
  return (
    {name: (state.eta[name] - new.eta[name]).numpy() for name in state.eta},
    new,
    metrics,
  )


def _cotangent(params, eta, meta_unrolls, *, rules):
  """dJ'/dtheta' as the meta-update takes it, where no update is needed."""
  conditioning = rules.conditioning(eta)
  learned = outer.Learned(params, ())
  step = outer.Step(
    learned,
    learned,
    lambda params, unroll: rules.forward(params, unroll, conditioning),
    learn=None,
    learn_plainly=None,
  )
  return rules.outer_objective(step, meta_unrolls).cotangent


def _flat(params):
  return tf.concat([tf.reshape(p, [-1]) for p in params], axis=0)


def _derivatives(function, params):
  """Finite differences of a function of a list, one for each entry."""
  return [
    reference.derivative(
      lambda p, i=i: function([*params[:i], tf.constant(p), *params[i + 1 :]]),
      params[i],
    )
    for i in range(len(params))
  ]


def _hold_conditioning(rules, eta):
  """The rules with the heads' input fixed at the one of `eta`."""
  fixed = rules.conditioning(eta)
  return rules._replace(
    forward=lambda params, unroll, conditioning: rules.forward(
      params, unroll, None if conditioning is None else fixed
    )
  )


def _directional_derivatives(rules, state, unrolls, u):
  """d<u, theta'(eta)>/d eta by finite differences of the whole update."""
  rules = _hold_conditioning(rules, state.eta)

  def projection(eta):
    updated = inner.k_updates(
      state.params, state.opt_state, eta, unrolls, _RATE, rules=rules
    )[-1]
    return tf.reduce_sum(u * (_flat(updated.params) - _flat(state.params)))

  return {
    name: reference.derivative(
      lambda x, name=name: projection({**state.eta, name: tf.constant(x)}),
      state.eta[name],
    )
    for name in state.eta
  }


class FiniteDifferencesTest(parameterized.TestCase):
  @parameterized.parameters(*_CASES)
  def test_meta_gradient(
    self, optimizer, max_gradient_norm, batch, steps, conditioning
  ):
    config = tiny.config(
      optimizer=optimizer,
      max_gradient_norm=max_gradient_norm,
      conditioning=conditioning,
      policy_target='vtrace' if batch == 1 else 'lambda',
    )
    metrics = self._assert_is_finite_difference(config, batch, steps)
    self.assertEqual(
      metrics['gradient_norm'] > max_gradient_norm, max_gradient_norm < 1.0
    )

  @parameterized.parameters(
    *((name,) for name in tiny.LEARNED), ('discount', 'lambda_')
  )
  def test_meta_gradient_of_a_few(self, *learned):
    self._assert_is_finite_difference(
      tiny.config(learned=learned, conditioning=True), batch=5, steps=1
    )

  def test_meta_gradient_of_the_mlp(self):
    config = tiny.config(conditioning=True)
    network = networks.make(
      'mlp', tiny.SPEC, dtype='float64', num_conditioning=len(tiny.LEARNED)
    )
    self._assert_is_finite_difference(config, batch=5, steps=2, network=network)

  @parameterized.parameters((0.0, False), (1e-6, True))
  def test_a_clip_that_binds_takes_out_the_length_of_a_step(
    self, max_gradient_norm, is_zero
  ):
    # A policy cost alone makes the step longer, and no other step.
    config = tiny.config(
      learned=('policy_cost',),
      optimizer='sgd',
      baseline_cost=0.0,
      entropy_cost=0.0,
      max_gradient_norm=max_gradient_norm,
    )
    rules, state = tiny.setup(config)
    gradient, *_ = _meta_gradient(rules, state, *tiny.unrolls(5))
    longer = abs(gradient['policy_cost'] / (max_gradient_norm or 1.0))
    if is_zero:
      self.assertLess(longer, 1e-9)
    else:
      self.assertGreater(longer, 1e-3)

  def _assert_is_finite_difference(self, config, batch, steps, network=None):
    rules, state = tiny.setup(config, network=network)
    unrolls, meta_unroll = tiny.unrolls(batch, steps)
    gradient, new, metrics = _meta_gradient(rules, state, unrolls, meta_unroll)
    u = _cotangent(new.params, state.eta, meta_unroll, rules=rules)
    expected = _directional_derivatives(rules, state, unrolls, _flat(u))
    for name in config.learned:
      if (name, batch) != ('leak', 1):  # There no ratio is above its clip.
        self.assertNotEqual(gradient[name], 0.0)
      np.testing.assert_allclose(
        gradient[name], expected[name], rtol=1e-6, err_msg=name
      )
    return metrics

  @parameterized.parameters(1, 5)
  def test_inner_gradient_with_targets_fixed(self, batch):
    config = tiny.config()
    rules, state = tiny.setup(config)
    rules = rules._replace(optimizer=optimizers.sgd(), max_gradient_norm=0.0)
    (unroll,), _ = tiny.unrolls(batch)
    updated = inner.update(
      state.params, (), state.eta, unroll, 1.0, rules=rules, live_targets=False
    )
    target = rules.forward(state.params, unroll, None)
    hypers = rules.hypers(state.eta, unroll)

    @tf.function
    def loss(params):
      return rules.loss(
        rules.forward(params, unroll, None), target, hypers, unroll
      )[0]

    for before, after, expected in zip(
      state.params,
      updated.params,
      _derivatives(loss, state.params),
      strict=True,
    ):
      np.testing.assert_allclose(before - after, expected, rtol=1e-6, atol=1e-9)

  @parameterized.parameters(1, 5)
  def test_meta_objective_with_advantages_fixed(self, batch):
    config = tiny.config()
    rules, state = tiny.setup(config)
    unroll = tiny.unroll(3, batch)
    tensors = tiny.tensors(unroll)
    u = _cotangent(state.params, state.eta, [tensors], rules=rules)
    _, advantages = reference.targets(
      *(x.numpy() for x in rules.forward(state.params, tensors, None)[:2]),
      config.reference_discount,
      config.reference_lambda,
      unroll,
      rho_bar=config.rho_bar,
      c_bar=config.c_bar,
    )

    def loss(params):
      logits = rules.forward(params, tensors, None).policy_logits.numpy()
      return -np.sum(
        advantages
        * reference.log_probs(logits[:-1], unroll.agent_outputs.action[:-1])
      )

    for actual, expected in zip(
      u, _derivatives(loss, state.params), strict=True
    ):
      np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-9)

  @parameterized.parameters((0.0, 2), (0.5, 1))
  def test_tables_per_state(self, trace_decay, steps):
    config = tiny.config(
      learned=('discount', 'lambda_', 'baseline_cost'), trace_decay=trace_decay
    )
    states = np.random.default_rng(4).integers(0, 2, [tiny.LENGTH, 5])
    rules, state = tiny.setup(config)
    bounds = config_lib.bounds(config)
    rules = rules._replace(
      hypers=lambda eta, unroll: meta_parameters.hypers(
        eta, _FIXED, bounds, states=states
      )
    )
    eta = meta_parameters.init(
      dict.fromkeys(config.learned, 0.6), bounds, num_states=3, dtype=tf.float64
    )
    state = meta.init(rules, state.params, eta)
    unrolls, meta_unroll = tiny.unrolls(5, steps)
    gradient, new, _ = _meta_gradient(rules, state, unrolls, meta_unroll)
    u = _cotangent(new.params, eta, meta_unroll, rules=rules)
    expected = _directional_derivatives(rules, state, unrolls, _flat(u))
    for name in config.learned:
      self.assertEqual(gradient[name][2], 0.0)  # A state never visited.
      np.testing.assert_allclose(
        gradient[name], expected[name], rtol=1e-6, atol=1e-14
      )


class ConditioningTest(parameterized.TestCase):
  @parameterized.parameters((0.0, 1), (0.0, 2), (0.5, 1))
  def test_no_gradient_through_the_embedding(self, trace_decay, steps):
    config = tiny.config(conditioning=True, trace_decay=trace_decay)
    rules, state = tiny.setup(config)
    rules = rules._replace(
      hypers=lambda eta, unroll: _FIXED, learning_rate=lambda eta, rate: rate
    )
    unrolls, meta_unroll = tiny.unrolls(5, steps)
    gradient, new, _ = _meta_gradient(rules, state, unrolls, meta_unroll)
    for name in config.learned:
      self.assertEqual(gradient[name], 0.0)
    # Yet the embedding is in use, and is learned.
    self.assertFalse(np.array_equal(new.params[3], state.params[3]))
    moved = {**state.eta, 'discount': state.eta['discount'] + 1.0}
    updated = inner.k_updates(
      state.params, state.opt_state, moved, unrolls, _RATE, rules=rules
    )[-1]
    self.assertFalse(np.array_equal(updated.params[1], new.params[1]))


class TraceTest(parameterized.TestCase):
  @parameterized.parameters(0.5, 1.0)
  def test_is_the_recursion_of_explicit_jacobians(self, trace_decay):
    config = tiny.config(
      learned=('discount', 'lambda_'), trace_decay=trace_decay
    )
    rules, state = tiny.setup(config, network=tiny.linear_network())

    def jacobians(state, unrolls):
      with tf.GradientTape(persistent=True) as tape:
        tape.watch(state.eta)
        updated = inner.k_updates(
          state.params, state.opt_state, state.eta, unrolls, _RATE, rules=rules
        )[-1]
        flat = _flat(updated.params)
      return tape.jacobian(flat, state.eta, experimental_use_pfor=False)

    z = dict.fromkeys(config.learned, 0.0)
    for k in range(3):
      unrolls, meta_unroll = tiny.unrolls(5, seed=10 * k)
      jacobian = jacobians(state, unrolls)
      new, _ = meta.update(state, unrolls, meta_unroll, _RATE, rules=rules)
      u = _cotangent(new.params, state.eta, meta_unroll, rules=rules)
      for name in config.learned:
        z[name] = trace_decay * z[name] + jacobian[name].numpy()
        np.testing.assert_allclose(
          _flat(new.trace[name]), z[name], rtol=1e-9, atol=1e-13
        )
        np.testing.assert_allclose(
          state.eta[name] - new.eta[name], np.sum(_flat(u) * z[name]), rtol=1e-9
        )
      state = new

  @parameterized.parameters((1, True), (2, False))
  def test_without_memory_is_the_nested_tapes(self, steps, conditioning):
    unrolls, meta_unroll = tiny.unrolls(5, steps)
    gradients = []
    for trace_decay in (0.0, 1e-300):
      rules, state = tiny.setup(
        tiny.config(trace_decay=trace_decay, conditioning=conditioning)
      )
      gradient, new, _ = _meta_gradient(rules, state, unrolls, meta_unroll)
      gradients.append((gradient, new.params, new.opt_state))
    for a, b in zip(*map(tf.nest.flatten, gradients), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-12)


class FreshTest(parameterized.TestCase):
  @parameterized.product(trace_decay=(0.0, 0.5), conditioning=(False, True))
  def test_makes_the_steps_of_later_one_call_after(
    self, trace_decay, conditioning
  ):
    settings = dict(trace_decay=trace_decay, conditioning=conditioning)
    rules, later = tiny.setup(tiny.config(**settings))
    fresh_rules, fresh = tiny.setup(
      tiny.config(meta_sample='fresh', **settings)
    )
    taus = [tiny.unrolls(5, seed=10 * k)[0][0] for k in range(4)]
    heads = [tf.nest.map_structure(lambda x: x[:, :2], tau) for tau in taus]
    for tau, head, next_head in zip(taus, heads, heads[1:]):
      judged = later.eta
      fresh, _ = meta.update(fresh, [tau], [head], _RATE, rules=fresh_rules)
      later, _ = meta.update(later, [tau], [next_head], _RATE, rules=rules)
      for a, b in zip(
        tf.nest.flatten((fresh.eta, fresh.params, fresh.opt_state)),
        tf.nest.flatten((judged, later.params, later.opt_state)),
        strict=True,
      ):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-13)
    for name in later.eta:
      self.assertNotEqual(fresh.eta[name], later.eta[name], name)

  def test_gauges_are_of_the_updates_that_are_made(self):
    rules, state = tiny.setup(tiny.config(meta_sample='fresh'))
    (tau,), _ = tiny.unrolls(5)
    new, metrics = meta.update(state, [tau], [tau], _RATE, rules=rules)
    moved = np.linalg.norm(_flat(new.params) - _flat(state.params))
    np.testing.assert_allclose(metrics['update_norm'], moved, rtol=1e-6)
    self.assertGreater(metrics['kl'], 0.0)


class GaugesTest(parameterized.TestCase):
  @parameterized.parameters(0.0, 0.9)
  def test_sign_agreement_is_of_the_halves_of_tau_prime(self, trace_decay):
    rules, state = tiny.setup(tiny.config(trace_decay=trace_decay))
    seen = set()
    for k in range(3):
      unrolls, (meta_unroll,) = tiny.unrolls(5, seed=10 * k)
      halves = [
        _meta_gradient(
          rules._replace(gauges=None),
          state,
          unrolls,
          [tf.nest.map_structure(lambda x, c=columns: x[:, c], meta_unroll)],
        )[0]
        for columns in (slice(0, 2), slice(2, 4))
      ]
      _, new, metrics = _meta_gradient(rules, state, unrolls, [meta_unroll])
      for name in state.eta:
        agrees = np.sign(halves[0][name]) == np.sign(halves[1][name])
        self.assertEqual(metrics[gauges_lib.SIGN + name], agrees, name)
        seen.add(bool(agrees))
      state = new
    self.assertLen(seen, 2)

  def test_others_are_not_looked_at(self):
    rules, state = tiny.setup(tiny.config(trace_decay=0.9))
    state = state._replace(num_updates=tf.constant(1, tf.int64))
    unrolls, meta_unroll = tiny.unrolls(5)
    _, _, metrics = _meta_gradient(rules, state, unrolls, meta_unroll)
    gauges = [x for name, x in metrics.items() if gauges_lib.is_gauge(name)]
    self.assertLen(gauges, len(outer.GAUGES) + len(state.eta))
    self.assertTrue(np.isnan(gauges).all())


class InnerUpdatesTest(parameterized.TestCase):
  @parameterized.product(
    optimizer=('rmsprop', 'adam'), conditioning=(False, True)
  )
  def test_saved_forward_pass_equals_the_explicit_copy(
    self, optimizer, conditioning
  ):
    config = tiny.config(optimizer=optimizer, conditioning=conditioning)
    rules, state = tiny.setup(config)
    (unroll,), _ = tiny.unrolls(5)
    results = []
    for live_targets in (False, True):
      with tf.GradientTape() as tape:
        tape.watch(state.eta)
        updated = inner.update(
          state.params,
          state.opt_state,
          state.eta,
          unroll,
          _RATE,
          rules=rules,
          live_targets=live_targets,
        )
        total = tf.reduce_sum(tf.sin(_flat(updated.params)))
      results.append((*updated, tape.gradient(total, state.eta)))
    for a, b in zip(*map(tf.nest.flatten, results), strict=True):
      np.testing.assert_array_equal(a, b)

  @parameterized.parameters(
    ('rmsprop', 0.0, 1, False),
    ('adam', 0.0, 2, False),
    ('rmsprop', 0.5, 2, False),
    ('rmsprop', 0.0, 1, True),
    ('adam', 0.5, 1, True),
  )
  def test_meta_rate_zero_is_plain_impala(
    self, optimizer, trace_decay, steps, conditioning
  ):
    # Conditioned, plain IMPALA is that of the same network, its input fixed.
    config = tiny.config(
      optimizer=optimizer,
      meta_learning_rate=0.0,
      conditioning=conditioning,
      trace_decay=trace_decay,
      learned=('discount', 'lambda_'),
    )
    rules, state = tiny.setup(config)
    fixed = rules.hypers(state.eta, None)
    vector = rules.conditioning(state.eta)
    impala = rules._replace(
      conditioning=lambda eta: None,
      hypers=lambda eta, unroll: fixed,
      forward=lambda params, unroll, _: rules.forward(params, unroll, vector),
    )
    plain = state._replace(eta={}, trace=(), meta_opt_state=())
    for k in range(3):
      unrolls, meta_unroll = tiny.unrolls(5, steps, seed=10 * k)
      state, _ = meta.update(state, unrolls, meta_unroll, _RATE, rules=rules)
      plain, _ = meta.update(plain, unrolls, meta_unroll, _RATE, rules=impala)
    for a, b in zip(
      tf.nest.flatten((state.params, state.opt_state)),
      tf.nest.flatten((plain.params, plain.opt_state)),
      strict=True,
    ):
      np.testing.assert_array_equal(a, b)


if __name__ == '__main__':
  absltest.main()
