"""Each kind of policy against sums and integrals by hand."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from scipy import special
from scipy import stats
import tensorflow as tf
import tensorflow_probability as tfp

from seed_metagrad import types
from seed_metagrad.networks import policies

_ONE = types.EnvSpec((2,), 'float32', num_actions=3)
_SEVERAL = _ONE._replace(num_actions=0, action_sizes=(3, 2))
_CONTINUOUS = _ONE._replace(num_actions=0, action_dims=2)
_T, _B = 4, 3


def _outputs(spec, seed):
  rng = np.random.default_rng(seed)
  return rng.normal(size=[_T, _B, policies.num_outputs(spec)])


def _choices(spec, outputs):
  """The log-probabilities of each number of an action, one array each."""
  sizes = spec.action_sizes or (spec.num_actions,)
  parts = np.split(outputs, np.cumsum(sizes)[:-1], axis=-1)
  return [special.log_softmax(part, axis=-1) for part in parts]


def _gaussians(outputs):
  mean, scale = np.split(outputs, 2, axis=-1)
  return mean, np.log1p(np.exp(scale)) + 1e-3


class PoliciesTest(parameterized.TestCase):
  @parameterized.parameters((_ONE, 3), (_SEVERAL, 5), (_CONTINUOUS, 4))
  def test_outputs_of_the_network(self, spec, expected):
    self.assertEqual(policies.num_outputs(spec), expected)

  @parameterized.parameters(_ONE, _SEVERAL)
  def test_discrete(self, *spec):
    spec = types.EnvSpec(*spec)
    outputs, other = _outputs(spec, 1), _outputs(spec, 2)
    policy = policies.make(spec)(outputs)
    actions = policy.sample(seed=[1, 2]).numpy()
    self.assertEqual(actions.dtype, np.dtype(spec.action_dtype))
    self.assertEqual(actions.shape, (_T, _B, *spec.action_shape))
    columns = actions.reshape([_T, _B, -1])
    log_pi, entropy, kl = 0.0, 0.0, 0.0
    for k, (log_p, log_q) in enumerate(
      zip(_choices(spec, outputs), _choices(spec, other), strict=True)
    ):
      log_pi += np.take_along_axis(log_p, columns[..., k : k + 1], -1)[..., 0]
      entropy -= (np.exp(log_p) * log_p).sum(-1)
      kl += (np.exp(log_p) * (log_p - log_q)).sum(-1)
    np.testing.assert_allclose(policy.log_prob(actions), log_pi, rtol=1e-12)
    np.testing.assert_allclose(policy.entropy(), entropy, rtol=1e-12)
    np.testing.assert_allclose(
      tfp.distributions.kl_divergence(policy, policies.make(spec)(other)),
      kl,
      rtol=1e-10,
    )

  def test_continuous(self):
    outputs, other = _outputs(_CONTINUOUS, 1), _outputs(_CONTINUOUS, 2)
    policy = policies.make(_CONTINUOUS)(outputs)
    actions = policy.sample(seed=[1, 2]).numpy()
    self.assertEqual(actions.shape, (_T, _B, 2))
    (mean, scale), (mean_2, scale_2) = _gaussians(outputs), _gaussians(other)
    np.testing.assert_allclose(
      policy.log_prob(actions),
      stats.norm.logpdf(actions, mean, scale).sum(-1),
      rtol=1e-12,
    )
    np.testing.assert_allclose(
      policy.entropy(), stats.norm.entropy(mean, scale).sum(-1), rtol=1e-12
    )
    kl = (
      np.log(scale_2 / scale)
      + (scale**2 + (mean - mean_2) ** 2) / (2 * scale_2**2)
      - 0.5
    )
    np.testing.assert_allclose(
      tfp.distributions.kl_divergence(
        policy, policies.make(_CONTINUOUS)(other)
      ),
      kl.sum(-1),
      rtol=1e-12,
    )

  def test_samples_follow_several_choices(self):
    outputs = _outputs(_SEVERAL, 1)[0, 0]
    actions = policies.make(_SEVERAL)(outputs).sample(4000, seed=[1, 2]).numpy()
    for k, log_p in enumerate(_choices(_SEVERAL, outputs)):
      counts = np.bincount(actions[:, k], minlength=len(log_p))
      # Four standard deviations of a mean of 4000.
      np.testing.assert_allclose(counts / 4000, np.exp(log_p), atol=0.032)

  def test_derivatives_are_finite_where_choices_are_padded(self):
    outputs = tf.constant(_outputs(_SEVERAL, 1))
    with tf.GradientTape() as tape:
      tape.watch(outputs)
      policy = policies.make(_SEVERAL)(outputs)
      total = policy.entropy() + policy.log_prob([2, 1])
    gradient = tape.gradient(total, outputs)
    self.assertTrue(np.isfinite(gradient).all())
    self.assertTrue((np.asarray(gradient) != 0).all())

  def test_actions_as_a_network_sees_them(self):
    for spec, actions, expected in (
      (_ONE, [2], [[0, 0, 1]]),
      (_SEVERAL, [[2, 0]], [[0, 0, 1, 1, 0]]),
      (_CONTINUOUS, [[0.5, -3.0]], [[0.5, -3.0]]),
    ):
      encoded = policies.encode(spec, tf.constant(actions), 'float32')
      np.testing.assert_array_equal(encoded, expected)


if __name__ == '__main__':
  absltest.main()
