"""Loss terms against NumPy, and their gradients by finite differences."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad import losses
from seed_metagrad import types
from tests.support import reference
from tests.support import tiny

_SETTINGS = (
  dict(),
  dict(rho_bar=1.2, c_bar=0.9, rho_pg=1.1, max_abs_reward=0.0),
  dict(policy_target='vtrace', max_abs_reward=0.5),
  dict(reward_scale=0.7, max_abs_reward=0.5),
)


def _outputs(seed, batch, length=tiny.LENGTH):
  rng = np.random.default_rng(seed)
  return types.NetworkOutput(
    rng.normal(size=[length + 1, batch, tiny.NUM_ACTIONS]),
    rng.normal(size=[length + 1, batch]),
  )


def _on_policy(batch):
  """An unroll, and outputs whose policy is the behaviour's."""
  unroll = tiny.unroll(0, batch)
  outputs = _outputs(1, batch)
  return unroll, outputs._replace(
    policy_logits=unroll.agent_outputs.policy_logits.astype(np.float64)
  )


_HYPERS = dict(
  discount=0.9,
  lambda_=0.8,
  policy_cost=0.7,
  baseline_cost=0.5,
  entropy_cost=0.3,
  leak=0.6,
)


def _loss(online, target, hypers, unroll, settings):
  """J as in NumPy, targets included."""
  values, advantages = reference.targets(
    target.policy_logits,
    target.baseline,
    hypers['discount'],
    hypers['lambda_'],
    unroll,
    leak=hypers.get('leak', 1.0),
    **settings,
  )
  logits, actions = online.policy_logits[:-1], unroll.agent_outputs.action[:-1]
  return np.sum(
    -hypers['policy_cost'] * advantages * reference.log_probs(logits, actions)
    + hypers['baseline_cost'] * 0.5 * (values - online.baseline[:-1]) ** 2
    - hypers['entropy_cost'] * reference.entropy(logits)
  )


class TermsTest(parameterized.TestCase):
  def test_log_probs_and_entropy_by_hand(self):
    # pi = (1/4, 3/4): H = ln 4 - 3/4 ln 3.
    logits = tf.math.log(tf.constant([[1.0, 3.0]], tf.float64))
    np.testing.assert_allclose(
      losses.log_probs(logits, [1]), [np.log(0.75)], rtol=1e-14
    )
    np.testing.assert_allclose(
      losses.entropy(logits), [np.log(4.0) - 0.75 * np.log(3.0)], rtol=1e-14
    )

  def test_policy_gradient_loss_by_hand(self):
    # -2 ln(3/4).
    logits = tf.math.log(tf.constant([[1.0, 3.0]], tf.float64))
    np.testing.assert_allclose(
      losses.policy_gradient_loss(logits, [1], np.array([2.0])),
      [-2.0 * np.log(0.75)],
      rtol=1e-14,
    )

  def test_baseline_loss_by_hand(self):
    # (3 - 1)^2 / 2.
    np.testing.assert_array_equal(
      losses.baseline_loss(tf.constant([1.0]), tf.constant([3.0])), [2.0]
    )

  @parameterized.product(batch=(1, 5), settings=_SETTINGS)
  def test_vtrace_targets_as_in_numpy(self, batch, settings):
    unroll, outputs = tiny.unroll(0, batch), _outputs(1, batch)
    rhos = np.exp(
      reference.log_probs(outputs.policy_logits, unroll.agent_outputs.action)
      - reference.log_probs(
        unroll.agent_outputs.policy_logits, unroll.agent_outputs.action
      )
    )
    self.assertLess(rhos.min(), 0.9)
    self.assertGreater(rhos.max(), 1.2)
    targets = losses.vtrace_targets(
      tiny.tensors(outputs), 0.9, 0.8, tiny.tensors(unroll), **settings
    )
    values, advantages = reference.targets(
      *outputs[:2], 0.9, 0.8, unroll, **settings
    )
    np.testing.assert_allclose(targets.values, values, rtol=1e-12)
    np.testing.assert_allclose(targets.advantages, advantages, rtol=1e-12)

  @parameterized.parameters('terminated', 'life_lost')
  def test_nothing_follows_an_end(self, name):
    unroll, outputs = _on_policy(batch=1)
    targets = losses.vtrace_targets(tiny.tensors(outputs), 0.9, 0.8, unroll)
    t = int(np.flatnonzero(getattr(unroll.env_outputs, name)[:, 0])[0]) - 1
    reward = np.clip(unroll.env_outputs.reward[t + 1, 0], -1.0, 1.0)
    np.testing.assert_allclose(targets.values[t, 0], reward, rtol=1e-6)

  def test_truncated_transition_is_masked(self):
    unroll, outputs = _on_policy(batch=1)
    targets = losses.vtrace_targets(tiny.tensors(outputs), 0.9, 0.8, unroll)
    t = int(np.flatnonzero(unroll.env_outputs.truncated[:, 0])[0]) - 1
    self.assertEqual(targets.advantages[t, 0], 0.0)
    self.assertEqual(targets.values[t, 0], outputs.baseline[t, 0])


class ActorCriticLossTest(parameterized.TestCase):
  @parameterized.product(
    batch=(1, 5), settings=_SETTINGS, per_step=(False, True)
  )
  def test_as_in_numpy(self, batch, settings, per_step):
    unroll, online, target = (
      tiny.unroll(0, batch),
      _outputs(1, batch),
      _outputs(2, batch),
    )
    hypers = _HYPERS
    if per_step:
      rng = np.random.default_rng(3)
      hypers = {
        name: rng.uniform(0.2, 0.9, [tiny.LENGTH, batch]) for name in _HYPERS
      }
    loss, metrics = losses.actor_critic_loss(
      tiny.tensors(online),
      tiny.tensors(target),
      hypers,
      tiny.tensors(unroll),
      **settings,
    )
    expected = _loss(online, target, hypers, unroll, settings)
    np.testing.assert_allclose(loss, expected, rtol=1e-7)
    np.testing.assert_allclose(
      metrics['loss'], expected / (tiny.LENGTH * batch), rtol=1e-7
    )

  @parameterized.parameters(1, 5)
  def test_gradients_of_outputs_by_finite_differences(self, batch):
    unroll, online, target = (
      tiny.unroll(0, batch),
      _outputs(1, batch),
      _outputs(2, batch),
    )
    hypers = _HYPERS
    tensors = tiny.tensors(online)
    with tf.GradientTape() as tape:
      tape.watch(tensors)
      loss, _ = losses.actor_critic_loss(
        tensors, tiny.tensors(target), hypers, tiny.tensors(unroll)
      )
    gradients = tape.gradient(loss, tensors)
    for name in ('policy_logits', 'baseline'):
      gradient = getattr(gradients, name)
      expected = reference.derivative(
        lambda x, name=name: _loss(
          online._replace(**{name: x}), target, hypers, unroll, {}
        ),
        getattr(online, name),
      )
      np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)

  @parameterized.product(name=sorted(_HYPERS), per_step=(False, True))
  def test_every_hyper_has_its_derivative(self, name, per_step):
    unroll, online, target = tiny.unroll(0, 5), _outputs(1, 5), _outputs(2, 5)
    fixed = _HYPERS
    value = np.full([tiny.LENGTH, 5] if per_step else [], fixed[name])
    tensor = tf.constant(value)
    with tf.GradientTape() as tape:
      tape.watch(tensor)
      loss, _ = losses.actor_critic_loss(
        tiny.tensors(online),
        tiny.tensors(target),
        {**fixed, name: tensor},
        tiny.tensors(unroll),
      )
    expected = reference.derivative(
      lambda x: _loss(online, target, {**fixed, name: x}, unroll, {}), value
    )
    np.testing.assert_allclose(
      tape.gradient(loss, tensor), expected, rtol=1e-6, atol=1e-9
    )

  def test_derivatives_are_finite_where_steps_are_masked(self):
    unroll, outputs = tiny.unroll(0, 5), tiny.tensors(_outputs(1, 5))
    with tf.GradientTape() as outer:
      outer.watch(outputs)
      with tf.GradientTape() as inner:
        inner.watch(outputs)
        loss, _ = losses.actor_critic_loss(
          outputs, outputs, _HYPERS, tiny.tensors(unroll)
        )
      first = inner.gradient(loss, outputs)
      norm = tf.add_n([tf.reduce_sum(g**2) for g in tf.nest.flatten(first)])
    for gradient in tf.nest.flatten((first, outer.gradient(norm, outputs))):
      self.assertTrue(np.all(np.isfinite(gradient)))

  def test_truncated_transition_moves_neither_head(self):
    unroll, outputs = tiny.unroll(0, 5), tiny.tensors(_outputs(1, 5))
    with tf.GradientTape() as tape:
      tape.watch(outputs)
      loss, _ = losses.actor_critic_loss(
        outputs,
        tf.nest.map_structure(tf.stop_gradient, outputs),
        {**_HYPERS, 'entropy_cost': 0.0},
        tiny.tensors(unroll),
      )
    gradients = tape.gradient(loss, outputs)
    masked = unroll.env_outputs.truncated[1:]
    for gradient in tf.nest.flatten(gradients):
      np.testing.assert_array_equal(gradient[:-1].numpy()[masked], 0.0)
      self.assertTrue(np.all(gradient[:-1].numpy()[~masked] != 0.0))


if __name__ == '__main__':
  absltest.main()
