"""The functions and constants that an agent is made of."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.meta_gradients import outer

Conditioning = Callable[[types.Eta], types.Conditioning | None]
AllReduce = Callable[[types.Nest], types.Nest]
Metrics = dict[str, tf.Tensor]


class Forward(Protocol):
  """The network on an unroll, differentiable in its parameters."""

  def __call__(
    self,
    params: types.Nest,
    unroll: types.Nest,
    conditioning: types.Conditioning | None,
  ) -> Any:
    """Returns its outputs, NetworkOutput [T + 1, B, ...] in the agent."""


class InnerLoss(Protocol):
  """The inner J as a loss, a sum over the steps of an unroll."""

  def __call__(
    self, online: Any, target: Any, hypers: types.Hypers, unroll: types.Nest
  ) -> tuple[tf.Tensor, Metrics]:
    """Returns (loss, means per step).

    online: outputs that carry the gradient. target: the same numbers, of which
    returns are made.
    """


def alone(nest: types.Nest) -> types.Nest:
  """The sum over one replica."""
  return nest


class Rules(NamedTuple):
  """The functions and constants that make an agent; none of them learned.

  logits(eta, context): the logits by name; eta itself unless it is a network.
  hypers(logits, unroll): the inner loss's hyperparameters, with the learned.
  reference_hypers: those of the plain objective, eta'.
  conditioning(logits): what the network sees of them; None for nothing.
  learning_rate(logits, scheduled): the inner optimizer's.
  next_context(context, unroll, hypers): where eta is a meta-network.
  gauges(step, cotangent, unroll, meta_unroll): `outer.GAUGES`; None for none.
  all_reduce(nest): the nest summed over the replicas that share the unrolls;
      differentiable, and its own adjoint: the gradient of a sum of all is the
      sum of all their gradients.
  """

  forward: Forward
  loss: InnerLoss
  outer_objective: outer.OuterObjective
  hypers: Callable[[types.Eta, types.Nest], types.Hypers]
  conditioning: Conditioning
  optimizer: types.Optimizer
  meta_optimizer: types.Optimizer
  max_gradient_norm: float
  meta_learning_rate: float
  trace_decay: float | tf.Tensor  # mu.
  max_meta_gradient_norm: float = 0.0
  mixed: bool = False  # The meta-gradients of 1 to K inner updates.
  fresh: bool = False  # tau' judges the updates before, and is learned from.
  reference_hypers: types.Hypers = {}
  logits: Callable[[Any, types.Nest], types.Eta] = lambda eta, context: eta
  learning_rate: Callable[[types.Eta, Any], Any] = lambda logits, rate: rate
  next_context: Callable[..., types.Nest] = lambda context, *_: context
  gauges: Callable[..., Metrics] | None = None
  all_reduce: AllReduce = alone
