"""The papers' formulas in slow NumPy: definitions, not the fast recursions.

Alignment as in seed_metagrad/returns.py: rewards [T, B] and so on, values
[T + 1, B].
"""

import numpy as np


def n_step(rewards, discounts, values, n):
  """G^0_t = v_t; G^n_t = R_{t+1} + gamma_{t+1} G^{n-1}_{t+1}."""
  if n == 0:
    return values
  next_returns = n_step(rewards, discounts, values, n - 1)[1:]
  return np.concatenate([rewards + discounts * next_returns, values[-1:]])


def lambda_returns(rewards, discounts, values, lambda_):
  """The mixture of n-step returns (Sutton and Barto 2018, eq. 12.3)."""
  length = len(rewards)
  mixture = np.zeros_like(rewards)
  for t in range(length):
    weight = 1.0
    for n in range(1, length - t + 1):
      g = n_step(rewards, discounts, values, n)[t]
      is_last = n == length - t
      mixture[t] += weight * (1.0 if is_last else 1.0 - lambda_[t + n - 1]) * g
      weight = weight * lambda_[t + n - 1]
  return mixture


def vtrace(
  rewards,
  discounts,
  values,
  log_rhos,
  lambda_,
  *,
  rho_bar=1.0,
  c_bar=1.0,
  rho_pg=1.0,
  policy_target='lambda',
  leak=1.0,
):
  """(v_s, advantages) by the sum of IMPALA's eq. 1, and section 4.2.

  v_s = V(x_s) + sum_t (prod_{s<=i<t} gamma_i c_i) delta_t.
  """
  length = len(rewards)
  ratios = np.exp(log_rhos)

  def clipped(limit):  # STAC's leaky V-trace.
    return leak * np.minimum(limit, ratios) + (1.0 - leak) * ratios

  rhos = clipped(rho_bar)
  cs = lambda_ * clipped(c_bar)
  vs = values.copy()
  for s in range(length):
    for t in range(s, length):
      product = np.prod(discounts[s:t] * cs[s:t], axis=0)
      delta = rhos[t] * (rewards[t] + discounts[t] * values[t + 1] - values[t])
      vs[s] = vs[s] + product * delta
  if policy_target == 'lambda':
    q = rewards + discounts * (lambda_ * vs[1:] + (1.0 - lambda_) * values[1:])
  else:
    q = rewards + discounts * vs[1:]
  return vs[:-1], clipped(rho_pg) * (q - values[:-1])


def log_softmax(logits):
  return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))


def log_probs(logits, actions):
  return np.take_along_axis(
    log_softmax(logits), actions[..., np.newaxis], axis=-1
  )[..., 0]


def entropy(logits):
  log_pi = log_softmax(logits)
  return -np.sum(np.exp(log_pi) * log_pi, axis=-1)


def targets(
  logits,
  baseline,
  discount,
  lambda_,
  unroll,
  *,
  max_abs_reward=1.0,
  reward_scale=1.0,
  **clips,
):
  """`vtrace` of an unroll of arrays, under the policy of `logits`."""
  env_outputs, agent_outputs = unroll.env_outputs, unroll.agent_outputs
  rewards = env_outputs.reward[1:].astype(baseline.dtype)
  rewards = rewards * reward_scale
  if max_abs_reward:
    rewards = np.clip(rewards, -max_abs_reward, max_abs_reward)
  ended = env_outputs.terminated[1:] | env_outputs.life_lost[1:]
  discounts = np.where(ended, 0.0, discount * np.ones_like(rewards))
  actions = agent_outputs.action[:-1]
  log_rhos = log_probs(logits[:-1], actions) - log_probs(
    agent_outputs.policy_logits[:-1].astype(logits.dtype), actions
  )
  log_rhos = np.where(env_outputs.truncated[1:], -np.inf, log_rhos)
  return vtrace(
    rewards,
    discounts,
    baseline,
    log_rhos,
    lambda_ * np.ones_like(rewards),
    **clips,
  )


def clip_by_global_norm(gradients, max_norm):
  """(clipped gradients, norm) of a list of arrays."""
  norm = np.sqrt(sum(np.sum(g**2) for g in gradients))
  if max_norm and norm > max_norm:
    gradients = [g * max_norm / norm for g in gradients]
  return gradients, norm


def rmsprop(gradient, ms, learning_rate, *, decay, epsilon):
  """(step, ms) of TensorFlow 1's RMSProp: epsilon inside the root."""
  ms = decay * ms + (1.0 - decay) * gradient**2
  return -learning_rate * gradient / np.sqrt(ms + epsilon), ms


def adam(
  gradient, count, m, v, learning_rate, *, b1=0.9, b2=0.999, epsilon=1e-8
):
  """(step, (count, m, v)) of Kingma and Ba 2015, algorithm 1."""
  count = count + 1
  m = b1 * m + (1.0 - b1) * gradient
  v = b2 * v + (1.0 - b2) * gradient**2
  m_hat, v_hat = m / (1.0 - b1**count), v / (1.0 - b2**count)
  return -learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), (count, m, v)


def derivative(function, x, h=1e-4):
  """Central differences with an error of h^4, for each entry of `x`.

  function: array -> array; returns [*x.shape, *function(x).shape].
  """
  x = np.asarray(x, np.float64)
  columns = []
  for index in np.ndindex(x.shape):

    def moved(steps, index=index):
      y = x.copy()
      y[index] += steps * h
      return np.asarray(function(y), np.float64)

    columns.append(
      (8.0 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12.0 * h)
    )
  return np.stack(columns).reshape((*x.shape, *columns[0].shape))
