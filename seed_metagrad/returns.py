"""Return estimators, differentiable in every argument.

No estimator stops a gradient: the meta-gradient flows through discounts and
lambda. Time-major; index t belongs to the transition from x_t to x_{t+1}:

  rewards, discounts, lambda_, log_rhos: [T, B], r_{t+1}, gamma_{t+1}, ...
  values: [T + 1, B], V(x_0) ... V(x_T); the last one bootstraps.

`discounts` is 0 where the transition ended an episode. `lambda_` is a scalar or
[T, B]. Every estimator raises ValueError where shapes differ from these.
"""

import tensorflow as tf

from seed_metagrad import types


def n_step(
  rewards: tf.Tensor, discounts: tf.Tensor, values: tf.Tensor, *, n: int
) -> tf.Tensor:
  """n-step returns, shorter where the unroll ends (MGRL).

  g_t = R_{t+1} + gamma R_{t+2} + ... + gamma^n v(S_{t+n}), [T, B].

  Raises:
    ValueError: n is below 1, or shapes differ.
  """
  if n < 1:
    raise ValueError(f'n must be at least 1, got {n}.')
  _check_shapes(rewards, values, discounts=discounts)
  length = int(rewards.shape[0] or 0)
  returns = []
  for t in range(length):
    end = min(t + n, length)
    g = values[end]
    for k in reversed(range(t, end)):
      g = rewards[k] + discounts[k] * g
    returns.append(g)
  return tf.stack(returns)


def lambda_returns(
  rewards: tf.Tensor,
  discounts: tf.Tensor,
  values: tf.Tensor,
  lambda_: float | tf.Tensor,
) -> tf.Tensor:
  """lambda-returns (MGRL; Sutton and Barto 2018, eq. 12.18), [T, B].

  g_t = R_{t+1} + gamma [(1 - lambda) v(S_{t+1}) + lambda g_{t+1}].

  Raises:
    ValueError: shapes differ.
  """
  _check_shapes(rewards, values, discounts=discounts, lambda_=lambda_)
  lambda_ = lambda_ + tf.zeros_like(rewards)
  targets = rewards + discounts * (1.0 - lambda_) * values[1:]
  return _backward_sum(targets, discounts * lambda_, values[-1])


def vtrace(
  rewards: tf.Tensor,
  discounts: tf.Tensor,
  values: tf.Tensor,
  log_rhos: tf.Tensor,
  lambda_: float | tf.Tensor,
  *,
  rho_bar: float = 1.0,
  c_bar: float = 1.0,
  rho_pg: float = 1.0,
  policy_target: str = 'lambda',
  leak: float | tf.Tensor | None = None,
) -> types.Targets:
  """V-trace targets and advantages (Espeholt et al. 2018, eq. 1 and sec. 4.2).

  v_s = V(x_s) + delta_s + gamma c_s (v_{s+1} - V(x_{s+1}))
  delta_s = rho_s (r_s + gamma V(x_{s+1}) - V(x_s))
  rho_s = min(rho_bar, pi/mu), c_s = lambda min(c_bar, pi/mu)
  advantage_s = min(rho_pg, pi/mu) (q_s - V(x_s))

  log_rhos: [T, B], log pi(a_t|x_t) - log mu(a_t|x_t); minus infinity masks a
      transition: its advantage is 0 and v_s = V(x_s) there.
  policy_target: 'lambda', q_s = r_s + gamma [lambda v_{s+1} + (1 - lambda)
      V(x_{s+1})], the on-policy lambda-return of MGRL; or 'vtrace',
      q_s = r_s + gamma v_{s+1}, IMPALA's own. They agree at lambda = 1.
  leak: alpha of leaky V-trace (Zahavy et al. 2020), a scalar or [T, B]: every
      clipped ratio above is alpha min(clip, pi/mu) + (1 - alpha) pi/mu. None
      is V-trace, as alpha = 1.

  Raises:
    ValueError: shapes differ.
  """
  scalars = dict(lambda_=lambda_, leak=0.0 if leak is None else leak)
  _check_shapes(
    rewards, values, discounts=discounts, log_rhos=log_rhos, **scalars
  )
  lambda_ = lambda_ + tf.zeros_like(rewards)
  rhos = tf.exp(log_rhos)

  def clipped(limit: float) -> tf.Tensor:
    ratios: tf.Tensor = tf.minimum(tf.constant(limit, rhos.dtype), rhos)
    if leak is None:
      return ratios
    leaky: tf.Tensor = leak * ratios + (1.0 - leak) * rhos
    return leaky

  cs = lambda_ * clipped(c_bar)
  deltas = clipped(rho_bar) * (rewards + discounts * values[1:] - values[:-1])
  corrections = _backward_sum(deltas, discounts * cs, tf.zeros_like(values[-1]))
  vs = values[:-1] + corrections
  next_vs = tf.concat([vs[1:], values[-1:]], axis=0)
  mixing = {'lambda': lambda_, 'vtrace': tf.ones_like(lambda_)}[policy_target]
  qs = rewards + discounts * (mixing * next_vs + (1.0 - mixing) * values[1:])
  advantages = clipped(rho_pg) * (qs - values[:-1])
  return types.Targets(values=vs, advantages=advantages)


def _check_shapes(
  rewards: tf.Tensor, values: tf.Tensor, **others: float | tf.Tensor
) -> None:
  """Refuses what would broadcast to another unroll than that of `rewards`."""
  expected = tf.convert_to_tensor(rewards).shape
  if expected.rank != 2:
    raise ValueError(f'rewards must be [T, B], got {expected}.')
  longer = tf.TensorShape([(expected[0] or -1) + 1 or None, expected[1]])
  for name, value in {'values': values, **others}.items():
    shape = tf.convert_to_tensor(value).shape
    if name in ('lambda_', 'leak') and shape.rank == 0:
      continue
    wanted = longer if name == 'values' else expected
    if shape.rank != 2 or not wanted.is_compatible_with(shape):
      raise ValueError(
        f'{name} must be {wanted} beside rewards {expected}, got {shape}.'
      )


def _backward_sum(
  terms: tf.Tensor, factors: tf.Tensor, last: tf.Tensor
) -> tf.Tensor:
  """y_t = terms_t + factors_t y_{t+1}, from y_T = last; [T, B]."""
  ys = [last]
  for term, factor in zip(tf.unstack(terms)[::-1], tf.unstack(factors)[::-1]):
    ys.append(term + factor * ys[-1])
  return tf.stack(ys[:0:-1])
