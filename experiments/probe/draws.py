"""Meta-gradients of one state, over many draws of unrolls."""

from collections.abc import Iterator, Sequence
import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learner.inference import parameter_store
from learner.inference import serial
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import judge
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

_STEP = 1e-3  # Central differences move a logit by it.
_LEARNING_RATE = 6e-4  # A factor of the meta-gradient: it moves no sign.

Unroll = types.Unroll[np.ndarray]


class Draws(NamedTuple):
  """Meta-gradients by name, [draws] each; minus means that it should rise."""

  meta_gradients: dict[str, np.ndarray]
  differences: dict[str, np.ndarray]  # The same by central differences.
  directions: dict[str, np.ndarray]  # With the length of the gradient held.
  outer_advantages: np.ndarray


class Statistics(NamedTuple):
  """One meta-parameter's meta-gradient over draws."""

  mean: float
  t: float  # Mean over its standard error.
  signal_to_noise: float  # Mean over standard deviation: of one draw.
  cosine: float  # With the central differences, over draws.
  ratio: float  # To them: 1 where the meta-gradient is exact.
  direction_t: float  # t of what the step's direction alone asks for.
  length_t: float  # t of the rest, which asks for a longer or a shorter step.


def collect(
  config: config_lib.Config,
  agent: agent_lib.Agent,
  state: types.LearnerState,
  *,
  num_unrolls: int,
  num_envs: int,
  seed: int,
) -> list[Unroll]:
  """Acts with the parameters of a state in fresh environments."""
  spec = environments.spec(config.env, config.env_settings())
  env = environments.make(
    config.env,
    num_envs,
    seed=seed,
    num_threads=config.env_threads,
    settings=config.env_settings(),
  )
  inference = worker.make(
    agent,
    spec,
    parameter_store.ParameterStore(parameter_store.published(state)),
    unroll_length=config.unroll_length,
    seed=seed,
  )
  try:
    finished = itertools.islice(serial.finished(env, inference), num_unrolls)
    return [one.unroll for one in finished]
  finally:
    env.close()


def batches_of(
  config: config_lib.Config, batch_size: int, meta_batch_size: int
) -> list[int]:
  """How many unrolls each of a draw's samples has, T' last."""
  sizes = agent_lib.samples(config)
  return [batch_size] * (sizes.updates + sizes.further) + [meta_batch_size]


def draw(
  config: config_lib.Config,
  state: types.LearnerState,
  unrolls: Sequence[Unroll],
  *,
  batch_size: int,
  meta_batch_size: int,
  num_draws: int,
  seed: int,
) -> Draws:
  """Meta-gradients of disjoint random T and T' out of the unrolls.

  Draws share no unroll with each other either, as far as there are enough. In
  float64: in float32 a parameter's rounding is larger than its difference.

  Raises:
    ValueError: there are not enough unrolls for one draw.
  """
  batches = batches_of(config, batch_size, meta_batch_size)
  if sum(batches) > len(unrolls):
    raise ValueError(
      f'a draw takes {sum(batches)} unrolls, got {len(unrolls)}: collect more.'
    )
  spec = environments.spec(config.env, config.env_settings())
  rules = agent_lib.make(config, spec, dtype='float64').rules
  exact: types.LearnerState = tf.nest.map_structure(_exact, state)
  look = tf.function(
    lambda *samples: _look(rules, exact, samples, config.inner_updates),
    autograph=False,
  )
  looks = [
    look(*samples)
    for samples in _samples(
      unrolls, batches, num_draws, np.random.default_rng(seed)
    )
  ]
  ours, differences, directions, advantages = zip(*looks, strict=True)
  return Draws(
    _stacked(ours),
    _stacked(differences),
    _stacked(directions),
    np.array(advantages),
  )


def statistics(draws: Draws) -> dict[str, Statistics]:
  """What the draws say of each meta-parameter."""
  found = {}
  for name, ours in draws.meta_gradients.items():
    theirs = draws.differences[name]
    direction = draws.directions[name]
    found[name] = Statistics(
      mean=float(np.mean(ours)),
      t=_signal_to_noise(ours) * len(ours) ** 0.5,
      signal_to_noise=_signal_to_noise(ours),
      cosine=float(
        ours @ theirs / (np.linalg.norm(ours) * np.linalg.norm(theirs))
      ),
      ratio=float(ours @ theirs / (theirs @ theirs)),
      direction_t=_signal_to_noise(direction) * len(ours) ** 0.5,
      length_t=_signal_to_noise(ours - direction) * len(ours) ** 0.5,
    )
  return found


def _signal_to_noise(draws: np.ndarray) -> float:
  return float(np.mean(draws) / np.std(draws, ddof=1))


def _look(
  rules: rules_lib.Rules,
  state: types.LearnerState,
  samples: Sequence[Unroll],
  updates: int,
) -> tuple[types.Nest, types.Nest, types.Nest, tf.Tensor]:
  """The meta-gradient of a sample in three ways, and its outer advantage.

  The three: as in training; central differences of <u, theta'(eta)> with the
  cotangent u = dJ'/dtheta' held as it is, and what the network is conditioned
  on as well; with the length of the inner gradient held.
  """
  unrolls, meta_unrolls = list(samples[:updates]), list(samples[updates:])
  rate = _LEARNING_RATE
  logits = rules.logits(state.eta, state.context)
  fixed = rules.conditioning(logits)
  held = rules._replace(conditioning=lambda logits: fixed)

  def updated(
    logits: types.Eta, rules: rules_lib.Rules = held
  ) -> inner.Updated:
    return inner.k_updates(
      state.params, state.opt_state, logits, unrolls, rate, rules=rules
    )[-1]

  with tf.GradientTape(persistent=True) as tape:
    tape.watch(logits)
    after = updated(logits)
    of_one_length = updated(
      logits, held._replace(optimizer=_of_one_length(held.optimizer))
    )
  step = judge.step_of(state, after, logits, rate, held)
  outcome = rules.outer_objective(step, meta_unrolls)
  gradient, direction = (
    tape.gradient(
      one.params,
      logits,
      output_gradients=outcome.cotangent,
      unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    for one in (after, of_one_length)
  )
  differences = {
    name: (
      _project(outcome, updated({**logits, name: logits[name] + _STEP}))
      - _project(outcome, updated({**logits, name: logits[name] - _STEP}))
    )
    / (2 * _STEP)
    for name in logits
  }
  advantage = outcome.metrics.get('outer_advantage', tf.zeros([], tf.float64))
  return gradient, differences, direction, advantage


def _of_one_length(optimizer: types.Optimizer) -> types.Optimizer:
  """The optimizer with the same steps, whose length has no derivative."""

  def update(
    gradients: types.Nest,
    opt_state: types.Nest,
    learning_rate: float | tf.Tensor,
  ) -> tuple[types.Nest, types.Nest]:
    ours = gradients['agent'] if isinstance(gradients, dict) else gradients
    length = tf.linalg.global_norm(tf.nest.flatten(ours))
    same = tf.stop_gradient(length) / length
    scaled = tf.nest.map_structure(lambda g: g * same, gradients)
    return optimizer.update(scaled, opt_state, learning_rate)

  return optimizer._replace(update=update)


def _exact(x: tf.Tensor) -> tf.Tensor:
  return tf.cast(x, tf.float64) if x.dtype.is_floating else x


def _project(outcome: outer.Outcome, updated: inner.Updated) -> tf.Tensor:
  pairs = zip(
    tf.nest.flatten(outcome.cotangent),
    tf.nest.flatten(updated.params),
    strict=True,
  )
  total: tf.Tensor = tf.add_n([tf.reduce_sum(u * p) for u, p in pairs])
  return total


def _samples(
  unrolls: Sequence[Unroll],
  sizes: Sequence[int],
  num_draws: int,
  rng: np.random.Generator,
) -> Iterator[list[Unroll]]:
  order: list[int] = []
  for _ in range(num_draws):
    if len(order) < sum(sizes):
      order = [*rng.permutation(len(unrolls))]
    yield [
      unrolls_lib.batch([unrolls[order.pop()] for _ in range(size)])
      for size in sizes
    ]


def _stacked(looks: Sequence[dict[str, tf.Tensor]]) -> dict[str, np.ndarray]:
  return {
    name: np.array([float(look[name]) for look in looks]) for name in looks[0]
  }
