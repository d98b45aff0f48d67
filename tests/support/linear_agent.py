"""Meta-gradient IMPALA of a linear policy and value, by hand, in NumPy.

theta = [W, w]: logits x W and value x w. Every gradient in theta is written out
as in the papers; derivatives in eta are central differences of the real update.
"""

from typing import Any, NamedTuple

import numpy as np

from seed_metagrad import config as config_lib
from tests.support import reference


class State(NamedTuple):
  """As types.LearnerState; RMSProp on theta, Adam on eta."""

  theta: Any
  slots: Any
  eta: Any  # {name: logit}.
  meta_slots: Any  # {name: (count, m, v)}.
  trace: Any  # {name: [as theta]}.


def _sigmoid(x):
  return 1.0 / (1.0 + np.exp(-x))


def _targets(theta, unroll, discount, lambda_, config, *, rho_pg, leak=1.0):
  x = unroll.env_outputs.observation
  return reference.targets(
    x @ theta[0],
    x @ theta[1],
    discount,
    lambda_,
    unroll,
    max_abs_reward=config.max_abs_reward,
    rho_bar=config.rho_bar,
    c_bar=config.c_bar,
    rho_pg=rho_pg,
    policy_target=config.policy_target,
    leak=leak,
  )


def _policy_gradient(theta, unroll, advantages):
  """d(-sum A log pi)/dW = -sum A_t x_t (one_hot(a_t) - pi_t)."""
  x = unroll.env_outputs.observation[:-1]
  pi = np.exp(reference.log_softmax(x @ theta[0]))
  one_hot = np.eye(pi.shape[-1])[unroll.agent_outputs.action[:-1]]
  return -np.einsum('tb,tbd,tba->da', advantages, x, one_hot - pi)


def _inner_gradient(theta, unroll, hypers, config):
  """MGRL's gradient; dH/dlogit_a = -pi_a (log pi_a + H)."""
  x = unroll.env_outputs.observation[:-1]
  values, advantages = _targets(
    theta,
    unroll,
    hypers['discount'],
    hypers['lambda_'],
    config,
    rho_pg=config.rho_pg,
    leak=hypers['leak'],
  )
  log_pi = reference.log_softmax(x @ theta[0])
  entropy = reference.entropy(x @ theta[0])[..., np.newaxis]
  entropy_gradient = np.einsum(
    'tbd,tba->da', x, -np.exp(log_pi) * (log_pi + entropy)
  )
  return [
    hypers['policy_cost'] * _policy_gradient(theta, unroll, advantages)
    - hypers['entropy_cost'] * entropy_gradient,
    -hypers['baseline_cost'] * np.einsum('tb,tbd->d', values - x @ theta[1], x),
  ]


def inner_updates(theta, slots, eta, unrolls, config):
  """(theta', slots'): one clipped RMSProp step per unroll."""
  hypers = {name: getattr(config, name) for name in config_lib.LEARNABLE} | {
    name: config_lib.bounds(config)[name].high * _sigmoid(logit)
    for name, logit in eta.items()
  }
  for unroll in unrolls:
    gradients, _ = reference.clip_by_global_norm(
      _inner_gradient(theta, unroll, hypers, config), config.max_gradient_norm
    )
    steps, slots = zip(
      *(
        reference.rmsprop(
          g,
          ms,
          hypers['learning_rate'],
          decay=config.rms_decay,
          epsilon=config.rms_epsilon,
        )
        for g, ms in zip(gradients, slots, strict=True)
      ),
      strict=True,
    )
    theta = [p + step for p, step in zip(theta, steps, strict=True)]
  return theta, list(slots)


def init(theta, eta):
  return State(
    theta,
    [np.ones_like(p) for p in theta],
    eta,
    dict.fromkeys(eta, (0, 0.0, 0.0)),
    {name: [np.zeros_like(p) for p in theta] for name in eta},
  )


def update(state, unrolls, meta_unroll, config):
  """One iteration of MGRL's algorithm 1."""
  theta, slots = inner_updates(*state[:3], unrolls, config)
  _, advantages = _targets(
    theta,
    meta_unroll,
    config.reference_discount,
    config.reference_lambda,
    config,
    rho_pg=config.outer_rho_pg,
  )
  u = _policy_gradient(theta, meta_unroll, advantages)  # None for the value.
  eta, meta_slots, trace = {}, {}, {}
  for name, logit in state.eta.items():
    trace[name] = [
      config.trace_decay * z
      + reference.derivative(
        lambda x, i=i, name=name: inner_updates(
          *state[:2], {**state.eta, name: x}, unrolls, config
        )[0][i],
        logit,
      )
      for i, z in enumerate(state.trace[name])
    ]
    step, meta_slots[name] = reference.adam(
      np.sum(u * trace[name][0]),
      *state.meta_slots[name],
      config.meta_learning_rate,
    )
    eta[name] = logit + step
  return State(theta, slots, eta, meta_slots, trace)
