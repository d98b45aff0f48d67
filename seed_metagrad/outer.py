"""Outer objectives: how good updated parameters are, as dJ'/dtheta'.

Each is a function `OuterObjective`; `OBJECTIVES` has them by name. Returns are
made at the fixed reference eta', and what they are made of is cut off: the
cotangent is that of a policy gradient (MGRL), not of the returns.
"""

from typing import Any, Protocol

import tensorflow as tf

from seed_metagrad import losses
from seed_metagrad import types


class Forward(Protocol):
  """The network on an unroll."""

  def __call__(self, params: types.Nest, unroll: types.Nest) -> Any:
    """Returns its outputs, differentiable in `params`."""


class OuterObjective(Protocol):
  """J' at updated parameters, on a sample that is later than theirs."""

  def __call__(
    self, params: types.Nest, unroll: types.Nest, *, forward: Forward
  ) -> tuple[types.Nest, dict[str, tf.Tensor]]:
    """Returns (dJ'/dtheta', metrics); J' is a loss.

    params: theta'. unroll: tau', [T + 1, B', ...].
    """


def policy_gradient(
  params: types.Nest,
  unroll: types.Unroll[tf.Tensor],
  *,
  forward: Forward,
  discount: float,
  lambda_: float,
  **target_settings: Any,
) -> tuple[types.Nest, dict[str, tf.Tensor]]:
  """The policy-gradient term alone (MGRL).

  J' = -sum sg(g_eta' - v_theta') log pi_theta'(a'|s'). Baseline, bootstraps and
  ratios are of the updated parameters.

  discount, lambda_: gamma' and lambda'.
  """
  with tf.GradientTape() as tape:
    tape.watch(params)
    outputs = forward(params, unroll)
    targets = losses.vtrace_targets(
      outputs, discount, lambda_, unroll, **target_settings
    )
    loss = tf.reduce_sum(
      losses.policy_gradient_loss(
        outputs.policy_logits[:-1],
        unroll.agent_outputs.action[:-1],
        # Cut here: dJ'/dtheta' is a policy gradient.
        tf.stop_gradient(targets.advantages),
      )
    )
  return gradient(tape, loss, params), {'meta_loss': losses.mean(loss, unroll)}


def gradient(
  tape: tf.GradientTape, loss: tf.Tensor, params: types.Nest
) -> types.Nest:
  """d loss / d params, zeros where there is no path."""
  return tape.gradient(
    loss, params, unconnected_gradients=tf.UnconnectedGradients.ZERO
  )


OBJECTIVES = {'policy_gradient': policy_gradient}
