"""TD(lambda) prediction with meta-parameters per state (MGRL section 3).

Everything that learns is the agent's: `meta.update`, with a value for each
state in the place of the network, TD in the place of the actor-critic loss, and
one episode in the place of an unroll.
"""

from collections.abc import Sequence
import functools
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from experiments.illustrative import markov_processes
from seed_metagrad import losses
from seed_metagrad import optimizers
from seed_metagrad import returns
from seed_metagrad import types
from seed_metagrad.meta_gradients import meta
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

_INITIAL = 0.5  # Every meta-parameter starts here (MGRL).
_REFERENCE: types.Hypers = {'discount': 1.0, 'lambda_': 1.0}
_BLOCK = 100  # Updates between two moves of the progress bar.


class Settings(NamedTuple):
  """How to learn; the paper published none of these."""

  learning_rate: float  # alpha, of the values; plain SGD.
  meta_learning_rate: float  # beta, on the logits.
  meta_optimizer: str = 'adam'  # Or 'sgd'.
  n_step: int = 0  # n of the returns; 0 is TD(lambda).
  inner_updates: int = 1  # Episodes per meta-update.


class Member(NamedTuple):
  """What may differ between members trained side by side: [M, ...] for M."""

  rewards: tf.Tensor  # [episodes, N].
  trace_decay: tf.Tensor  # mu.
  fixed: tf.Tensor  # The hyperparameter of the process, where not learned.


class Episode(NamedTuple):
  """One walk through all N states, as an unroll of N steps and one column."""

  rewards: tf.Tensor  # [N, 1].
  states: tf.Tensor  # int32 [N + 1, 1]; the last is the next episode's first.
  continues: tf.Tensor  # [N, 1], 0 where the episode ends, else 1.


class History(NamedTuple):
  """M members' tables after each of K updates, [K, M, N]."""

  values: np.ndarray  # v(s).
  learned: np.ndarray | None = None  # The meta-parameter, where there is one.


class Outcome(NamedTuple):
  """What came out on one process, of S seeds."""

  process: markov_processes.Process
  learned: dict[float, np.ndarray]  # By mu, after K updates: [K, S, N].
  learned_error: np.ndarray  # Squared error of v(s), at --mu: [S].
  fixed_error: np.ndarray  # For each fixed value of the grid: [G, S].


def episode(rewards: tf.Tensor) -> Episode:
  """The episode with these rewards, [N]."""
  num_states = int(rewards.shape[0] or 0)
  return Episode(
    rewards[:, tf.newaxis],
    tf.constant([[t % num_states] for t in range(num_states + 1)]),
    tf.constant([[1.0]] * (num_states - 1) + [[0.0]], rewards.dtype),
  )


def make_rules(
  process: markov_processes.Process,
  settings: Settings,
  trace_decay: float | tf.Tensor,
  fixed: float | tf.Tensor,
) -> rules_lib.Rules:
  """Prediction as the agent's algorithm.

  The transition into S_{t+1} is discounted by the discount of S_{t+1}, and the
  return bootstraps there by its lambda (Sutton and Barto 2018, sec. 12.8). What
  is not learned is 1, as the reference is, but for `fixed`.
  """
  hypers = {**_REFERENCE, process.learned: fixed}

  def forward(
    params: tf.Tensor, unroll: Episode, conditioning: types.Conditioning | None
  ) -> tf.Tensor:
    del conditioning
    features = tf.one_hot(unroll.states, len(process.high), dtype=params.dtype)
    values: tf.Tensor = tf.tensordot(features, params, 1)  # v(S_t), [N + 1, 1].
    return values

  def loss(
    online: tf.Tensor, target: tf.Tensor, hypers: types.Hypers, unroll: Episode
  ) -> tuple[tf.Tensor, rules_lib.Metrics]:
    g = _targets(settings, target, hypers, unroll)
    total = tf.reduce_sum(losses.baseline_loss(online[:-1], g))
    return total, {'loss': total}

  return rules_lib.Rules(
    forward=forward,
    loss=loss,
    outer_objective=functools.partial(_outer_objective, settings=settings),
    hypers=lambda eta, episode: meta_parameters.hypers(
      eta, hypers, states=episode.states[1:]
    ),
    optimizer=optimizers.sgd(),
    meta_optimizer=optimizers.make(
      settings.meta_optimizer, rms_decay=0.99, rms_epsilon=0.1
    ),
    max_gradient_norm=0.0,
    meta_learning_rate=settings.meta_learning_rate,
    trace_decay=trace_decay,
    conditioning=lambda eta: None,
  )


def _outer_objective(
  step: outer.Step, unrolls: Sequence[Episode], *, settings: Settings
) -> outer.Outcome:
  """J' = 1/2 (g_eta' - v)^2, a semi-gradient: returns are cut off."""
  params, (unroll,) = step.after.params, unrolls
  with tf.GradientTape() as tape:
    tape.watch(params)
    values = step.forward(params, unroll)
    g = tf.stop_gradient(_targets(settings, values, _REFERENCE, unroll))
    loss = tf.reduce_sum(losses.baseline_loss(values[:-1], g))
  return outer.Outcome(
    outer.gradient(tape, loss, params), step.after, {'meta_loss': loss}
  )


def _targets(
  settings: Settings, values: tf.Tensor, hypers: types.Hypers, episode: Episode
) -> tf.Tensor:
  discounts = hypers['discount'] * episode.continues
  if settings.n_step:
    return returns.n_step(episode.rewards, discounts, values, n=settings.n_step)
  return returns.lambda_returns(
    episode.rewards, discounts, values, hypers['lambda_']
  )


def learn(
  process: markov_processes.Process,
  rewards: np.ndarray,
  trace_decay: np.ndarray,
  settings: Settings,
  bar: 'tqdm.tqdm[Any]',
) -> History:
  """Learns values and the meta-parameter of the process.

  rewards: [M, episodes, N]. trace_decay: [M], mu. Each update is judged on the
  episode after it, which is learned from next: the last is only judged on.
  """
  members = _members(rewards, trace_decay, np.ones(len(rewards)))
  eta = meta_parameters.init(
    {process.learned: _INITIAL}, num_states=len(process.high)
  )
  return _run(process, members, eta, settings, bar)


def learn_values(
  process: markov_processes.Process,
  rewards: np.ndarray,
  fixed: np.ndarray,
  settings: Settings,
  bar: 'tqdm.tqdm[Any]',
) -> History:
  """Learns the values alone.

  fixed: [M], the hyperparameter of the process.
  """
  members = _members(rewards, np.zeros(len(rewards)), fixed)
  return _run(process, members, {}, settings, bar)


def _members(
  rewards: np.ndarray, trace_decay: np.ndarray, fixed: np.ndarray
) -> Member:
  return Member(
    tf.constant(rewards, tf.float32),
    tf.constant(trace_decay, tf.float32),
    tf.constant(fixed, tf.float32),
  )


def _sizes(members: Member) -> list[int]:
  return [int(size or 0) for size in members.rewards.shape]


def _run(
  process: markov_processes.Process,
  members: Member,
  eta: types.Eta,
  settings: Settings,
  bar: 'tqdm.tqdm[Any]',
) -> History:
  num_members, episodes, num_states = _sizes(members)
  rules = make_rules(process, settings, trace_decay=1.0, fixed=1.0)
  states = tf.nest.map_structure(
    lambda x: tf.repeat(x[tf.newaxis], num_members, axis=0),
    meta.init(rules, tf.zeros([num_states]), eta),
  )
  starts = np.arange(
    0, episodes - settings.inner_updates, settings.inner_updates
  )
  update_block = tf.function(
    lambda states, starts: _update_block(
      process, settings, states, members, starts
    ),
    autograph=False,
  )
  blocks = []
  for block in np.split(starts, range(_BLOCK, len(starts), _BLOCK)):
    history = update_block(states, block)
    states = tf.nest.map_structure(lambda x: x[-1], history)
    blocks.append(
      (history.params, *meta_parameters.values(history.eta).values())
    )
    bar.update(len(block))
  return History(*(np.concatenate(tables) for tables in zip(*blocks)))


def _update_block(
  process: markov_processes.Process,
  settings: Settings,
  states: types.LearnerState,
  members: Member,
  starts: tf.Tensor,
) -> types.LearnerState:
  """One update of every member for each start, the first episode learned from.

  Returns:
    The states after each update, [K, M, ...].
  """
  num_members, _, num_states = _sizes(members)

  def update(
    arguments: tuple[types.LearnerState, Member],
  ) -> types.LearnerState:
    state, member = arguments
    rules = make_rules(process, settings, member.trace_decay, member.fixed)
    *inner, later = (episode(rewards) for rewards in tf.unstack(member.rewards))
    state, _ = meta.update(
      state, inner, [later], settings.learning_rate, rules=rules
    )
    return state

  def update_all(
    states: types.LearnerState, start: tf.Tensor
  ) -> types.LearnerState:
    rewards = tf.slice(
      members.rewards,
      [0, start, 0],
      [num_members, settings.inner_updates + 1, num_states],
    )
    new: types.LearnerState = tf.vectorized_map(
      update, (states, members._replace(rewards=rewards))
    )
    return new

  history: types.LearnerState = tf.scan(update_all, starts, states)
  return history
