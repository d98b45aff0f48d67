"""What can be on beside MGRL: finite differences, and equal where it is off."""

from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
from keras import layers
import numpy as np
import tensorflow as tf

from seed_metagrad import agent as agent_lib
from seed_metagrad import agent_rules
from seed_metagrad import losses
from seed_metagrad import networks
from seed_metagrad import returns
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import judge
from seed_metagrad.meta_gradients import meta
from seed_metagrad.networks import policies
from seed_metagrad.networks import torsos
from tests.support import reference
from tests.support import tiny

_RATE = 0.3


def _hold_conditioning(rules, eta):
  """The rules with the heads' input fixed at the one of `eta`."""
  fixed = rules.conditioning(eta)
  return rules._replace(
    forward=lambda params, unroll, conditioning: rules.forward(
      params, unroll, None if conditioning is None else fixed
    )
  )


# Everything that can be on beside MGRL, each alone and some together.
_VARIANTS = {
  'critic head': dict(outer_critic='head'),
  'critic network': dict(outer_critic='network'),
  'critic conditioned': dict(outer_critic='conditioned', conditioning=True),
  'two auxiliary heads': dict(auxiliary_heads=2),
  'actor-critic': dict(outer='actor_critic', outer_kl_cost=0.7),
  'bootstrap, L = 1': dict(outer='bootstrap'),
  'bootstrap, L = 3': dict(
    outer='bootstrap', bootstrap_updates=3, bootstrap_value_cost=0.3
  ),
  'mixture': dict(inner_updates=3, mixed_meta_gradients=True),
  'STACX with a critic': dict(
    outer='actor_critic',
    outer_critic='head',
    auxiliary_heads=2,
    conditioning=True,
  ),
  'BMG with a critic, Adam': dict(
    outer='bootstrap', outer_critic='head', optimizer='adam'
  ),
  'LSTM': dict(core='lstm'),
  'LSTM with a critic, conditioned': dict(
    core='lstm', outer_critic='head', conditioning=True
  ),
}
_CORE_UNITS = 3
_OBJECTIVES = ('policy_gradient', 'actor_critic', 'bootstrap')
# Actions that are no single choice.
_SPECS = {
  'continuous': tiny.SPEC._replace(num_actions=0, action_dims=2),
  'several choices': tiny.SPEC._replace(num_actions=0, action_sizes=(3, 2)),
}


def _smooth(x, dtype):
  """A torso without kinks."""
  x = layers.Flatten(dtype=dtype)(x)
  return layers.Dense(4, 'tanh', dtype=dtype)(x)


def _setup(config, spec=tiny.SPEC):
  """(rules, state) of a real network in float64, no slot at its start."""
  agent = agent_lib.make(config, spec, dtype='float64')
  seen = config.conditioning and len(agent.init(1).eta)
  network = networks.make(
    config.network,
    spec,
    dtype='float64',
    num_conditioning=seen or 0,
    outer_critic=config.outer_critic,
    auxiliary_heads=config.auxiliary_heads,
    core_units=_CORE_UNITS if config.core == 'lstm' else 0,
  )
  rules = agent_rules.make(config, network, policies.make(spec))
  state = agent.init(1)
  rng = np.random.default_rng(1)
  opt_state = tf.nest.map_structure(
    lambda slot: tf.constant(rng.uniform(0.1, 2.0, slot.shape)), state.opt_state
  )
  return rules, state._replace(opt_state=opt_state)


def _samples(config, batch, spec=tiny.SPEC):
  """(unrolls, meta_unrolls) as a learner cuts them."""
  sizes = agent_lib.samples(config)
  unrolls, last = tiny.unrolls(batch, sizes.updates + sizes.further)
  if not spec.num_actions:
    unrolls, last = (
      [_with_actions_of(spec, unroll) for unroll in group]
      for group in (unrolls, last)
    )
  if config.core == 'lstm':
    core_state = tiny.core_state(batch, _CORE_UNITS)
    action = unrolls[0].agent_outputs.action[0]
    core_state = tf.nest.map_structure(
      lambda x: tf.constant(x[np.newaxis]),
      core_state._replace(action=action.numpy()),
    )
    unrolls, last = (
      [unroll._replace(core_state=core_state) for unroll in group]
      for group in (unrolls, last)
    )
  return unrolls[: sizes.updates], [*unrolls[sizes.updates :], *last]


def _with_actions_of(spec, unroll):
  shape = unroll.agent_outputs.action.shape
  rng = np.random.default_rng(7)
  logits = rng.normal(size=[*shape, policies.num_outputs(spec)])
  actions = policies.make(spec)(logits).sample(seed=[1, 2])
  agent_outputs = unroll.agent_outputs._replace(
    action=tf.cast(actions, spec.action_dtype),
    policy_logits=tf.constant(logits, tf.float32),
  )
  return unroll._replace(agent_outputs=agent_outputs)


class VariantsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.enterContext(mock.patch.dict(torsos.TORSOS, {'mlp': (_smooth,)}))

  @parameterized.parameters(sorted(_VARIANTS))
  def test_meta_gradient_by_finite_differences(self, name):
    self.check_meta_gradient(tiny.SPEC, _VARIANTS[name])

  @parameterized.product(kind=sorted(_SPECS), outer=_OBJECTIVES)
  def test_meta_gradient_with_other_actions(self, kind, outer):
    fields = dict(outer=outer, outer_kl_cost=0.7, core='lstm')
    self.check_meta_gradient(_SPECS[kind], fields)

  def check_meta_gradient(self, spec, fields):
    config = tiny.config(
      **{
        'network': 'mlp',
        'meta_batch_size': 2,
        'max_gradient_norm': 0.05,
        'core_units': _CORE_UNITS,
        **fields,
      }
    )
    rules, state = _setup(config, spec)
    unrolls, meta_unrolls = _samples(config, 5, spec)
    new, metrics = meta.update(state, unrolls, meta_unrolls, _RATE, rules=rules)
    # J' by its cotangent, held fixed: d<u, theta_k(eta)> / d eta.
    held = _hold_conditioning(rules, state.eta)

    def updates(eta):
      return inner.k_updates(
        state.params, state.opt_state, eta, unrolls, _RATE, rules=held
      )

    first = 0 if config.mixed_meta_gradients else config.inner_updates - 1
    steps = [
      judge.step_of(state, updated, state.eta, _RATE, rules)
      for updated in updates(state.eta)[first:]
    ]
    cotangents = [
      _flat_nest(rules.outer_objective(step, meta_unrolls).cotangent)
      for step in steps
    ]

    @tf.function(autograph=False)
    def projection(eta):
      return sum(
        tf.reduce_sum(
          u * (_flat_nest(updated.params) - _flat_nest(state.params))
        )
        for u, updated in zip(cotangents, updates(eta)[first:], strict=True)
      ) / len(cotangents)

    self.assertGreater(metrics['gradient_norm'], 0.05)  # It is clipped.
    for key in state.eta:
      expected = reference.derivative(
        lambda x, key=key: projection({**state.eta, key: tf.constant(x)}),
        state.eta[key],
      )
      np.testing.assert_allclose(
        state.eta[key] - new.eta[key],
        expected,
        rtol=1e-6,
        atol=1e-10,
        err_msg=key,
      )

  @parameterized.parameters(*_OBJECTIVES)
  def test_cotangent_by_finite_differences(self, objective):
    # Of the objective's own loss, its goal, advantages and targets held fixed.
    config = tiny.config(
      network='mlp',
      outer=objective,
      outer_kl_cost=0.7,
      meta_batch_size=5,
      bootstrap_value_cost=0.3,
      outer_critic='head',
      optimizer='sgd',
      learned=('discount',),
    )
    rules, state = _setup(config)
    unrolls, meta_unrolls = _samples(config, 5)
    updated = inner.k_updates(
      state.params, state.opt_state, state.eta, unrolls, _RATE, rules=rules
    )[-1]
    step = judge.step_of(state, updated, state.eta, _RATE, rules)
    cotangent = rules.outer_objective(step, meta_unrolls).cotangent
    loss = _LOSSES[objective](config, rules, step, meta_unrolls[-1])
    for group in ('agent', 'outer_critic'):
      for k, u in enumerate(cotangent[group]):
        if u.shape.rank != 1:
          continue  # Biases: of every layer, and quick.
        expected = reference.derivative(
          lambda x, group=group, k=k: loss(
            _with(step.after.params, group, k, tf.constant(x))
          ),
          step.after.params[group][k],
        )
        np.testing.assert_allclose(u, expected, rtol=1e-6, atol=1e-9)


class EqualTest(parameterized.TestCase):
  def _after(self, unrolls, meta_unrolls, **fields):
    config = tiny.config(network='mlp', **fields)
    agent = agent_lib.make(config, tiny.SPEC, dtype='float64')
    state = agent.init(1)
    for _ in range(3):
      state, _ = agent.update(state, unrolls, meta_unrolls)
    return state

  def assert_same(self, a, b):
    for x, y in zip(tf.nest.flatten(a), tf.nest.flatten(b), strict=True):
      np.testing.assert_array_equal(x, y)

  def test_actor_critic_of_no_other_weights_is_the_policy_gradient(self):
    unrolls = tiny.unrolls(5)
    zero = dict(
      outer_baseline_cost=0.0, outer_entropy_cost=0.0, outer_kl_cost=0.0
    )
    learned = dict(learned=('discount', 'lambda_'))
    self.assert_same(
      self._after(*unrolls, outer='actor_critic', **zero, **learned),
      self._after(*unrolls, **zero, **learned),
    )

  @parameterized.parameters('head', 'network')
  def test_outer_critic_moves_no_bit_of_the_agent(self, outer_critic):
    # With no meta learning rate: the critic is used in J' alone.
    unrolls, fixed = tiny.unrolls(5), dict(meta_learning_rate=0.0)
    plain = self._after(*unrolls, **fixed)
    ours = self._after(*unrolls, outer_critic=outer_critic, **fixed)
    self.assert_same(ours.params['agent'], plain.params)
    self.assert_same(ours.opt_state['agent'], plain.opt_state)

  def test_bootstrap_of_one_update_goes_on_from_the_inner_updates(self):
    unrolls, fixed = tiny.unrolls(5), dict(meta_learning_rate=0.0)
    ours = self._after(*unrolls, outer='bootstrap', meta_batch_size=2, **fixed)
    plain = self._after(*unrolls, **fixed)
    self.assert_same(
      (ours.params, ours.opt_state), (plain.params, plain.opt_state)
    )

  def test_bootstrap_of_more_goes_on_from_all_but_the_plain_step(self):
    first, *others = tiny.unrolls(5, steps=2)[0], tiny.unrolls(5, seed=9)[1][0]
    fixed = dict(meta_learning_rate=0.0)
    ours = self._after(
      first[:1],
      [first[1], *others],
      outer='bootstrap',
      bootstrap_updates=2,
      meta_batch_size=2,
      **fixed,
    )
    plain = self._after(first, others, inner_updates=2, **fixed)
    self.assert_same(ours.params, plain.params)
    self.assertEqual(ours.env_frames, plain.env_frames)

  def test_mixture_of_one_is_the_last(self):
    unrolls = tiny.unrolls(5)
    self.assert_same(
      self._after(*unrolls, mixed_meta_gradients=True), self._after(*unrolls)
    )

  def test_leak_of_one_is_vtrace(self):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=[t, 5]) for t in (4, 4, 5, 4)]
    self.assert_same(
      returns.vtrace(*map(tf.constant, inputs), 0.7, leak=1.0),
      returns.vtrace(*map(tf.constant, inputs), 0.7),
    )

  def test_auxiliary_heads_neither_act_nor_stand_in_the_objective(self):
    config = tiny.config(network='mlp', auxiliary_heads=2)
    rules, state = _setup(config)
    unrolls, meta_unrolls = _samples(config, 5)
    updated = inner.k_updates(
      state.params, state.opt_state, state.eta, unrolls, _RATE, rules=rules
    )[-1]
    step = judge.step_of(state, updated, state.eta, _RATE, rules)
    u = rules.outer_objective(step, meta_unrolls).cotangent
    for gradient in u[-8:]:  # Kernels and biases of 2 x (pi, v).
      np.testing.assert_array_equal(gradient, 0.0)
    self.assertLen(state.eta, 3 * len(config.learned))

  @parameterized.parameters('head', 'network', 'conditioned')
  def test_outer_critic_has_no_gradient_to_the_torso_or_eta(self, critic):
    config = tiny.config(network='mlp', outer_critic=critic, conditioning=True)
    rules, state = _setup(config)
    (unroll,), _ = _samples(config, 5)
    with tf.GradientTape() as tape:
      tape.watch((state.params, state.eta))
      outputs = rules.forward(
        state.params, unroll, rules.conditioning(state.eta)
      )
      fixed = tf.nest.map_structure(tf.stop_gradient, outputs)
      loss = losses.outer_critic_loss(outputs, fixed, 0.9, 0.8, unroll)
    gradients, of_eta = tape.gradient(loss, (state.params, state.eta))
    self.assertEqual({*of_eta.values()}, {None})
    torso = (gradients if critic == 'conditioned' else gradients['agent'])[:2]
    for gradient in torso:
      if gradient is not None:
        np.testing.assert_array_equal(gradient, 0.0)
    trained = (
      gradients if critic == 'conditioned' else gradients['outer_critic']
    )
    self.assertTrue(any(g is not None and np.any(g) for g in trained))


def _with(params, group, k, value):
  return {**params, group: [*params[group][:k], value, *params[group][k + 1 :]]}


def _numpy(outputs):
  return tf.nest.map_structure(lambda x: x.numpy(), outputs)


def _fixed_targets(config, outputs, baseline, unroll):
  unroll = tf.nest.map_structure(lambda x: x.numpy(), unroll)
  return reference.targets(
    outputs.policy_logits,
    baseline,
    config.reference_discount,
    config.reference_lambda,
    unroll,
    rho_bar=config.rho_bar,
    c_bar=config.c_bar,
  )


def _policy_loss(logits, unroll, advantages):
  actions = unroll.agent_outputs.action[:-1].numpy()
  return -np.sum(advantages * reference.log_probs(logits[:-1], actions))


def _policy_gradient_loss(config, rules, step, unroll):
  outputs = _numpy(step.forward(step.after.params, unroll))
  _, advantages = _fixed_targets(
    config, outputs, outputs.outer_baseline, unroll
  )
  return lambda params: _policy_loss(
    _numpy(step.forward(params, unroll)).policy_logits, unroll, advantages
  )


def _kl(logits, others):
  log_pi, log_other = map(reference.log_softmax, (logits, others))
  return np.sum(np.exp(log_pi) * (log_pi - log_other), axis=-1)


def _actor_critic_loss(config, rules, step, unroll):
  at = _numpy(step.forward(step.after.params, unroll))
  before = _numpy(step.forward(step.before.params, unroll)).policy_logits
  values, _ = _fixed_targets(config, at, at.baseline, unroll)
  policy = _policy_gradient_loss(config, rules, step, unroll)

  def loss(params):
    outputs = _numpy(step.forward(params, unroll))
    logits = outputs.policy_logits[:-1]
    return config.outer_policy_cost * policy(params) + np.sum(
      config.outer_baseline_cost * 0.5 * (values - outputs.baseline[:-1]) ** 2
      - config.outer_entropy_cost * reference.entropy(logits)
      + config.outer_kl_cost * _kl(logits, before[:-1])
    )

  return loss


def _bootstrap_loss(config, rules, step, unroll):
  # The target, step by step: one SGD step on the inner loss at eta'.
  hypers = {
    'discount': config.reference_discount,
    'lambda_': config.reference_lambda,
    'policy_cost': config.outer_policy_cost,
    'baseline_cost': config.outer_baseline_cost,
    'entropy_cost': config.outer_entropy_cost,
    'leak': config.leak,
  }
  params = step.after.params
  with tf.GradientTape() as tape:
    tape.watch(params)
    outputs = step.forward(params, unroll)
    fixed = tf.nest.map_structure(tf.stop_gradient, outputs)
    total, _ = rules.loss(outputs, fixed, hypers, unroll)
  gradients = tape.gradient(
    total, params, unconnected_gradients=tf.UnconnectedGradients.ZERO
  )
  moved = {}
  for group, ours in params.items():
    clipped, _ = reference.clip_by_global_norm(
      [g.numpy() for g in gradients[group]], config.max_gradient_norm
    )
    moved[group] = [p - _RATE * g for p, g in zip(ours, clipped, strict=True)]
  goal = _numpy(step.forward(moved, unroll))

  def loss(params):
    outputs = _numpy(step.forward(params, unroll))
    return np.sum(
      _kl(goal.policy_logits[:-1], outputs.policy_logits[:-1])
      + config.bootstrap_value_cost
      * 0.5
      * (goal.baseline[:-1] - outputs.baseline[:-1]) ** 2
    )

  return loss


_LOSSES = {
  'policy_gradient': _policy_gradient_loss,
  'actor_critic': _actor_critic_loss,
  'bootstrap': _bootstrap_loss,
}


def _flat_nest(params):
  return tf.concat(
    [tf.reshape(p, [-1]) for p in tf.nest.flatten(params)], axis=0
  )


if __name__ == '__main__':
  absltest.main()
