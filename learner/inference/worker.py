"""Answers environments with actions; the one owner of their state.

Frame stacks, unrolls in progress and the returns of running episodes all live
in the thread that calls `serve`.
"""

import collections
from collections.abc import Callable
import queue
import threading
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from learner.inference import batcher as batcher_lib
from learner.inference import unrolls as unrolls_lib
from seed_metagrad import frames
from seed_metagrad import types

_POLL_SECS = 0.2  # How long a full queue may hide that it is time to stop.


class Published(NamedTuple):
  """What acting needs of the learner; replaced whole, never written into."""

  params: types.Nest
  eta: types.Nest
  num_updates: int


class Episode(NamedTuple):
  """A finished episode."""

  raw_return: float  # Unclipped, all lives.
  length: int  # Env steps.


class Inference:
  """Acts in many environments and cuts what happens into unrolls.

  act: `agent.Agent.act`. published(): the newest parameters. The n-th call of
  `act` samples with the seed (seed, n).
  """

  def __init__(
    self,
    act: Callable[..., Any],
    spec: types.EnvSpec,
    published: Callable[[], Published],
    store: unrolls_lib.UnrollStore,
    *,
    seed: int,
  ):
    self.num_calls = 0
    self._episodes = collections.deque()  # Finished, not yet taken.
    self._act = act
    self._traced = None  # `act` as a graph, from the first call on.
    self._spec = spec
    self._published = published
    self._store = store
    self._seed = seed
    self._stacks = frames.empty(spec, 0)
    self._returns = np.zeros(0, np.float64)
    self._lengths = np.zeros(0, np.int64)

  def act(self, env_ids, first, env_outputs: types.EnvOutput):
    """Acts at the newest observation of E environments.

    env_ids: int32 [E], each at most once. first: bool [E], where an environment
    starts afresh and what it had in progress is dropped.

    Returns:
      (actions int32 [E], note): call note() once the actions are on their way;
      it returns the unrolls that this step ended.
    """
    self._grow(int(env_ids.max()) + 1)
    # A new incarnation starts an episode, whatever its first flags say.
    env_outputs = env_outputs._replace(
      terminated=env_outputs.terminated | first
    )
    stacks = frames.push(
      self._stacks[env_ids],
      env_outputs.observation,
      env_outputs.terminated | env_outputs.truncated,
    )
    params, eta, num_updates = self._published()
    arguments = (
      params,
      eta,
      stacks,
      np.array([self._seed, self.num_calls], np.int32),
    )
    self._traced = self._traced or _trace(self._act, *arguments)
    agent_outputs = types.AgentOutput(
      *[output.numpy() for output in self._traced(*arguments)]
    )
    self.num_calls += 1

    def note():
      self._stacks[env_ids] = stacks
      self._count(env_ids, first, env_outputs)
      return self._store.append(
        env_ids, first, env_outputs, agent_outputs, stacks, num_updates
      )

    return agent_outputs.action, note

  def take_episodes(self) -> list[Episode]:
    """The episodes that ended since the last call; any thread may call."""
    return [self._episodes.popleft() for _ in range(len(self._episodes))]

  def save(self) -> dict[str, Any]:
    """All that it knows, for a checkpoint; between two calls of `act`."""
    return {
      'num_calls': self.num_calls,
      'episodes': list(self._episodes),
      'arrays': tf.nest.flatten(self._arrays()),
    }

  def restore(self, saved: dict[str, Any]):
    """Goes back to what `save` returned."""
    self.num_calls = saved['num_calls']
    self._episodes.extend(Episode(*one) for one in saved['episodes'])
    self._grow(max(len(rows) for rows in saved['arrays']))
    for rows, values in zip(
      tf.nest.flatten(self._arrays()), saved['arrays'], strict=True
    ):
      rows[:] = values

  def _arrays(self) -> types.Nest:
    return (self._stacks, self._returns, self._lengths, self._store.arrays())

  def _count(self, env_ids, first, env_outputs: types.EnvOutput):
    self._returns[env_ids[first]] = 0.0
    self._lengths[env_ids[first]] = 0
    going_on = env_ids[~first]
    self._returns[going_on] += env_outputs.reward[~first]
    self._lengths[going_on] += 1
    ended = env_ids[(env_outputs.terminated | env_outputs.truncated) & ~first]
    for env_id in ended:
      self._episodes.append(
        Episode(float(self._returns[env_id]), int(self._lengths[env_id]))
      )
    self._returns[ended] = 0.0
    self._lengths[ended] = 0

  def _grow(self, num_envs: int):
    self._store.grow(num_envs)
    missing = num_envs - len(self._lengths)
    if missing > 0:
      self._stacks = np.concatenate(
        [self._stacks, frames.empty(self._spec, missing)]
      )
      self._returns = np.append(self._returns, np.zeros(missing))
      self._lengths = np.append(self._lengths, np.zeros(missing, np.int64))


def _trace(act, params, eta, stacks, seed):
  """`act` as a graph for any number of environments; its outputs as a list.

  This is the op that a tf.function would call: to choose the graph and to check
  arguments that never change costs 1 ms more a call.
  """

  def fixed(x):
    return tf.TensorSpec(x.shape, x.dtype)

  graph = tf.function(act, autograph=False).get_concrete_function(
    *tf.nest.map_structure(fixed, (params, eta)),
    tf.TensorSpec([None, *stacks.shape[1:]], stacks.dtype),
    fixed(seed),
  )
  dtypes = [output.dtype for output in graph.outputs]

  def traced(*arguments):
    return tf.raw_ops.StatefulPartitionedCall(
      args=[*tf.nest.flatten(arguments), *graph.captured_inputs],
      Tout=dtypes,
      f=graph,
    )

  return traced


def answer(
  inference: Inference, batch: list[batcher_lib.Waiting]
) -> list[unrolls_lib.Finished]:
  """Answers a batch of requests; returns the unrolls that it ended."""
  requests, futures = zip(*batch)
  sizes = [len(request.env_ids) for request in requests]
  actions, note = inference.act(
    np.concatenate([request.env_ids for request in requests]),
    np.repeat([request.new_run for request in requests], sizes),
    types.EnvOutput(
      *map(np.concatenate, zip(*[request.env_outputs for request in requests]))
    ),
  )
  ends = np.cumsum(sizes)
  for future, end, size in zip(futures, ends, sizes):
    future.set_result(actions[end - size : end])
  return note()


def serve(
  inference: Inference,
  batcher: batcher_lib.Batcher,
  unrolls: queue.Queue,
  stop: threading.Event,
):
  """Answers batches of requests until the batcher is closed."""
  while (batch := batcher.get()) is not None:
    for finished in answer(inference, batch):
      _put(finished, unrolls, stop)


def _put(finished, unrolls: queue.Queue, stop: threading.Event):
  # Blocks when the learner is behind: this is the only back-pressure.
  while not stop.is_set():
    try:
      return unrolls.put(finished, timeout=_POLL_SECS)
    except queue.Full:
      continue
