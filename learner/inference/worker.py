"""Batched inference: selects actions; the one owner of environments' state.

Frame stacks, unrolls in progress and the returns of running episodes all live
in the thread that calls `serve`.
"""

import collections
from collections.abc import Callable, Sequence
import queue
import threading
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learner.inference import batcher as batcher_lib
from learner.inference import graphs
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.storage import run_state
from protos import codec
from seed_metagrad import agent as agent_lib
from seed_metagrad import types
from seed_metagrad.networks import frames

_POLL_SECS = 0.2  # Between checks for a stop while the queue is full.


class Episode(NamedTuple):
  """A finished episode."""

  raw_return: float  # Unclipped, all lives.
  length: int  # Env steps.


class Acted(NamedTuple):
  """One step of E environments and of the agent."""

  env_ids: np.ndarray  # int32 [E], each at most once.
  reset: np.ndarray  # bool [E], where a new lease began.
  env_outputs: types.EnvOutput[np.ndarray]
  agent_outputs: types.AgentOutput[np.ndarray]
  stacks: np.ndarray  # The frames that the network saw, [E, ..., S].
  core_before: types.Nest  # Its core's state, [E, ...]; () for none.
  core_after: types.Nest
  num_updates: int  # Updates of the parameters that acted.


class Inference:
  """Acts in many environments and records unrolls.

  act, initial_state: of `agent.Agent`. The n-th call of `act` samples with the
  seed (seed, n); num_calls is the n to begin with, of a run that is resumed.
  """

  def __init__(
    self,
    act: Callable[..., Any],
    spec: types.EnvSpec,
    parameters: parameter_store.ParameterStore,
    store: unrolls_lib.UnrollStore,
    *,
    seed: int,
    num_calls: int = 0,
    initial_state: types.NetworkInitialState = lambda num_envs: (),
  ):
    self._num_calls = num_calls
    self._episodes: collections.deque[Episode] = (
      collections.deque()
    )  # Finished, not yet taken.
    self._act = act
    self._traced: Callable[..., list[tf.Tensor]] | None = (
      None  # `act` as a graph, from the first call on.
    )
    self.spec = spec
    self._parameters = parameters
    self._store = store
    self._seed = seed
    self._stacks = frames.empty(spec, 0)
    self._initial_state = initial_state
    self._core = initial_state(0)
    self._returns = np.zeros(0, np.float64)
    self._lengths = np.zeros(0, np.int64)

  @property
  def num_calls(self) -> int:
    """How many batches were acted on, over all runs on a workdir."""
    return self._num_calls

  @property
  def ends_unrolls(self) -> bool:
    """Whether some environment's next step ends its unroll."""
    return self._store.ends_unrolls

  def act(
    self,
    env_ids: np.ndarray,
    reset: np.ndarray,
    env_outputs: types.EnvOutput[np.ndarray],
  ) -> Acted:
    """Acts at the newest observation of E environments; `record` is next.

    env_ids: int32 [E], each at most once. reset: bool [E], where an environment
    starts afresh and what it had in progress is dropped.
    """
    self._grow(int(env_ids.max()) + 1)
    # A new lease starts an episode, also where its first flags are false.
    env_outputs = env_outputs._replace(
      terminated=env_outputs.terminated | reset
    )
    starts = env_outputs.terminated | env_outputs.truncated
    stacks = self._stacks[env_ids]  # A copy.
    frames.push(stacks, env_outputs.observation, starts)
    core = _rows(self._core, env_ids)
    newest = self._parameters.newest()
    arguments: tuple[Any, ...] = (
      newest.params,
      newest.eta,
      stacks,
      np.array([self._seed, self._num_calls], np.int32),
    )
    if core:
      arguments += (types.CoreStep(core, env_outputs.reward, starts),)
    self._traced = self._traced or _trace(self._act, *arguments)
    outputs = [output.numpy() for output in self._traced(*arguments)]
    action, logits, baseline, *core_after = outputs
    self._num_calls += 1
    return Acted(
      env_ids,
      reset,
      env_outputs,
      types.AgentOutput(action, logits, baseline),
      stacks,
      core,
      types.CoreState(*core_after) if core else (),
      newest.num_updates,
    )

  def record(self, acted: Acted) -> list[unrolls_lib.Finished]:
    """Records a step, once its actions are on their way.

    Returns the unrolls that the step ended.
    """
    self._stacks[acted.env_ids] = acted.stacks
    for rows, values in zip(self._core, acted.core_after, strict=True):
      rows[acted.env_ids] = values
    self._count(acted)
    return self._store.append(
      acted.env_ids,
      acted.reset,
      acted.env_outputs,
      acted.agent_outputs,
      acted.stacks,
      acted.num_updates,
      acted.core_before,
    )

  def take_episodes(self) -> list[Episode]:
    """The episodes that ended since the last call; any thread may call."""
    return [self._episodes.popleft() for _ in range(len(self._episodes))]

  def save(self) -> run_state.Acting:
    """What a checkpoint holds: the environments of a resumed run are new."""
    return run_state.Acting(self._num_calls)

  def save_environments(self) -> run_state.Inference:
    """All that is known of the environments; between two steps."""
    return run_state.Inference(
      episodes=[(one.raw_return, one.length) for one in self._episodes],
      arrays=[
        *self._core,
        self._stacks,
        self._returns,
        self._lengths,
        *self._store.save(),
      ],
    )

  def restore_environments(self, saved: run_state.Inference) -> None:
    """Restores what `save_environments` returned."""
    self._episodes.extend(Episode(*one) for one in saved.episodes)
    arrays = list(map(np.copy, saved.arrays))
    num_core = len(self._core)
    self._core = tf.nest.pack_sequence_as(self._core, arrays[:num_core])
    self._stacks, self._returns, self._lengths, *rows = arrays[num_core:]
    self._store.restore(rows)

  def _count(self, acted: Acted) -> None:
    env_ids, reset, env_outputs = acted.env_ids, acted.reset, acted.env_outputs
    self._returns[env_ids[reset]] = 0.0
    self._lengths[env_ids[reset]] = 0
    going_on = env_ids[~reset]
    self._returns[going_on] += env_outputs.reward[~reset]
    self._lengths[going_on] += 1
    ended = env_ids[(env_outputs.terminated | env_outputs.truncated) & ~reset]
    for env_id in ended:
      self._episodes.append(
        Episode(float(self._returns[env_id]), int(self._lengths[env_id]))
      )
    self._returns[ended] = 0.0
    self._lengths[ended] = 0

  def _grow(self, num_envs: int) -> None:
    self._store.grow(num_envs)
    held = len(self._lengths)
    if num_envs > held:
      missing = max(num_envs - held, held)  # As the store grows.
      self._stacks = np.concatenate(
        [self._stacks, frames.empty(self.spec, missing)]
      )
      self._core = tf.nest.map_structure(
        lambda *rows: np.concatenate(rows),
        self._core,
        self._initial_state(missing),
      )
      self._returns = np.append(self._returns, np.zeros(missing))
      self._lengths = np.append(self._lengths, np.zeros(missing, np.int64))


def make(
  agent: agent_lib.Agent,
  spec: types.EnvSpec,
  parameters: parameter_store.ParameterStore,
  *,
  unroll_length: int,
  seed: int,
  num_calls: int = 0,
  staggered: bool = False,
) -> Inference:
  """Inference by an agent, in no environment yet.

  staggered: of `unrolls_lib.UnrollStore`.
  """
  return Inference(
    agent.act,
    spec,
    parameters,
    unrolls_lib.UnrollStore(
      unroll_length, spec, agent.initial_state(0), staggered=staggered
    ),
    seed=seed,
    num_calls=num_calls,
    initial_state=agent.initial_state,
  )


def _rows(arrays: types.Nest, rows: np.ndarray) -> types.Nest:
  return tf.nest.map_structure(lambda array: array[rows], arrays)


def _trace(
  act: Callable[..., types.Nest],
  params: types.Nest,
  eta: types.Nest,
  stacks: np.ndarray,
  seed: np.ndarray,
  *core_step: types.Nest,
) -> Callable[..., list[tf.Tensor]]:
  """`act` as a graph for any number of environments; its outputs as a list."""

  def fixed(x: tf.Tensor | np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec(x.shape, x.dtype)

  def of_any(x: np.ndarray) -> tf.TensorSpec:
    return tf.TensorSpec([None, *x.shape[1:]], x.dtype)

  graph = tf.function(act, autograph=False).get_concrete_function(
    *tf.nest.map_structure(fixed, (params, eta)),
    of_any(stacks),
    fixed(seed),
    *tf.nest.map_structure(of_any, core_step),
  )
  return graphs.by_op(graph)


def answer(
  inference: Inference,
  batch: Sequence[batcher_lib.Waiting],
  *,
  send_state: bool = False,
) -> list[unrolls_lib.Finished]:
  """Selects the actions of a batch; returns the unrolls that it ended.

  send_state: as of `batcher.answer`.
  """
  requests = [waiting.request for waiting in batch]
  env_ids = np.concatenate([request.env_ids for request in requests])
  # All at once: NumPy's calls cost more than the bytes of one request.
  env_outputs = codec.decode_step(
    codec.join_steps(request.step for request in requests),
    len(env_ids),
    inference.spec,
  )
  reset = np.repeat(
    [request.reset for request in requests],
    [len(request.env_ids) for request in requests],
  )
  acted = inference.act(env_ids, reset, env_outputs)
  batcher_lib.answer(batch, acted.agent_outputs.action, send_state=send_state)
  return inference.record(acted)


def serve(
  inference: Inference,
  batcher: batcher_lib.Batcher,
  unrolls: queue.Queue[unrolls_lib.Finished],
  stop: threading.Event,
) -> None:
  """Answers batches of requests until the batcher is closed."""
  while (batch := batcher.get()) is not None:
    for finished in answer(inference, batch):
      _put(finished, unrolls, stop)


def _put(
  finished: unrolls_lib.Finished,
  unrolls: queue.Queue[unrolls_lib.Finished],
  stop: threading.Event,
) -> None:
  # Blocks when the learner is behind: this is the only back-pressure.
  while not stop.is_set():
    try:
      return unrolls.put(finished, timeout=_POLL_SECS)
    except queue.Full:
      continue
