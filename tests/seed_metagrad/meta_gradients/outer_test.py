"""Outer objectives against NumPy, on outputs in the place of a network."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from seed_metagrad import types
from seed_metagrad.meta_gradients import outer
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


def _step(outputs, before=None):
  """A step whose network's outputs are its parameters."""
  return outer.Step(
    outer.Learned(before or outputs, ()),
    outer.Learned(outputs, ()),
    lambda params, unroll: params,
    learn=None,
    learn_plainly=None,
  )


class PolicyGradientTest(parameterized.TestCase):
  @parameterized.product(batch=(1, 5), settings=_SETTINGS)
  def test_is_a_policy_gradient_with_fixed_advantages(self, batch, settings):
    unroll, outputs = tiny.unroll(0, batch), _outputs(1, batch)
    _, advantages = reference.targets(
      *outputs[:2], 0.95, 1.0, unroll, **settings
    )

    def loss(logits):
      return -np.sum(
        advantages
        * reference.log_probs(logits[:-1], unroll.agent_outputs.action[:-1])
      )

    # The network's outputs are its parameters: u is the gradient in them.
    cotangent, _, metrics = outer.policy_gradient(
      _step(tiny.tensors(outputs)),
      [tiny.tensors(unroll)],
      settings=outer.Settings(0.95, 1.0, targets=settings),
    )
    np.testing.assert_allclose(
      metrics['meta_loss'],
      loss(outputs.policy_logits) / (tiny.LENGTH * batch),
      rtol=1e-12,
    )
    np.testing.assert_allclose(
      cotangent.policy_logits,
      reference.derivative(loss, outputs.policy_logits),
      rtol=1e-6,
      atol=1e-9,
    )
    # No value term (MGRL).
    np.testing.assert_array_equal(cotangent.baseline, 0.0)


if __name__ == '__main__':
  absltest.main()
