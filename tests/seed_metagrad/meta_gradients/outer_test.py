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

  @parameterized.named_parameters(
    ('of theta itself', True, 1.0),
    ('of an older one', False, 1.0),
    ('of an older one, not clipped', False, 1e9),
  )
  def test_an_advantage_of_all_actions_moves_nothing_but(self, fresh, rho_pg):
    # One state, one step, the same return c of each action. The expected dJ' is
    # -c sum_a min(rho_pg mu_a, pi_a) dlog pi_a.
    rng, c, actions = np.random.default_rng(2), 0.5, tiny.NUM_ACTIONS
    logits = rng.normal(size=actions)
    acted = logits if fresh else rng.normal(size=actions)
    mu, pi = (np.exp(reference.log_softmax(x)) for x in (acted, logits))
    unroll = tiny.unroll(0, actions, length=1)
    unroll = unroll._replace(
      env_outputs=unroll.env_outputs._replace(
        reward=np.full([2, actions], c, np.float32),
        terminated=np.ones([2, actions], bool),
        truncated=np.zeros([2, actions], bool),
      ),
      agent_outputs=unroll.agent_outputs._replace(
        action=np.tile(np.arange(actions, dtype=np.int32), [2, 1]),
        policy_logits=np.tile(acted, [2, actions, 1]),
      ),
    )
    outputs = types.NetworkOutput(
      np.tile(logits, [2, actions, 1]), np.zeros([2, actions])
    )
    cotangent, _, _ = outer.policy_gradient(
      _step(tiny.tensors(outputs)),
      [tiny.tensors(unroll)],
      settings=outer.Settings(0.95, 1.0, targets=dict(rho_pg=rho_pg)),
    )
    ours = mu @ cotangent.policy_logits[0].numpy()
    weights = np.minimum(rho_pg * mu, pi)
    by_hand = -c * weights @ (np.eye(actions) - pi)
    np.testing.assert_allclose(ours, by_hand, rtol=1e-5, atol=1e-8)
    moves = np.abs(ours).max() > 0.01
    self.assertEqual(moves, not fresh and rho_pg == 1.0)


if __name__ == '__main__':
  absltest.main()
