"""Turns steps of many environments into unrolls of T + 1 steps."""

from collections.abc import Iterator, Sequence
import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.networks import frames
from seed_metagrad.networks import policies


class Finished(NamedTuple):
  """An unroll of one environment, and how old its policy was."""

  unroll: types.Unroll[np.ndarray]  # [T + 1, ...] of one environment.
  num_updates: int  # Updates of the parameters that acted first.


class UnrollStore:
  """The unroll in progress of every environment.

  One thread owns it. Step T of an unroll is also step 0 of the next. Rows are
  indexed by environment and grow with the highest one seen.
  """

  def __init__(
    self,
    unroll_length: int,
    spec: types.EnvSpec,
    core_state: types.Nest = (),
    *,
    staggered: bool = False,
  ):
    """Holds nothing yet.

    core_state: `agent.Agent.initial_state` of no environment. staggered:
    whether environment i drops its first i mod T steps, so that the unrolls of
    those that step together end one after the other, and not all at once.
    """
    self._unroll_length = unroll_length
    self._staggered = staggered
    steps = (0, unroll_length + 1)
    self._steps = (
      types.EnvOutput(
        reward=np.zeros(steps, np.float32),
        terminated=np.zeros(steps, bool),
        truncated=np.zeros(steps, bool),
        life_lost=np.zeros(steps, bool),
        observation=np.zeros(
          (*steps, *spec.observation_shape), spec.observation_dtype
        ),
      ),
      types.AgentOutput(
        action=np.zeros((*steps, *spec.action_shape), spec.action_dtype),
        policy_logits=np.zeros(
          (*steps, policies.num_outputs(spec)), np.float32
        ),
        baseline=np.zeros(steps, np.float32),
      ),
    )
    self._memory = frames.previous(frames.empty(spec, 0))
    self._core_state = _each_as_one_step(core_state)
    self._num_updates = np.zeros(0, np.int64)
    # Steps held by each row; below 0, minus those to be dropped first.
    self._lengths = np.zeros(0, np.int64)

  @property
  def ends_unrolls(self) -> bool:
    """Whether some environment's next step ends its unroll."""
    return bool((self._lengths == self._unroll_length).any())

  def append(
    self,
    env_ids: np.ndarray,
    reset: np.ndarray,
    env_outputs: types.EnvOutput[np.ndarray],
    agent_outputs: types.AgentOutput[np.ndarray],
    stacks: np.ndarray,
    num_updates: int,
    core_state: types.Nest = (),
  ) -> list[Finished]:
    """Adds one step of E environments; returns the unrolls that it ends.

    env_ids: int [E], each at most once. reset: bool [E], where what an
    environment had in progress is dropped. stacks: of frames, at this step,
    [E, ..., S]. num_updates: of the parameters that acted. core_state: before
    this step, [E, ...].
    """
    self.grow(int(env_ids.max()) + 1)
    fresh = env_ids[reset]
    self._lengths[fresh] = -(fresh % self._unroll_length) * self._staggered
    # Those below 0 are written from the end on, and overwritten in time.
    columns = self._lengths[env_ids]
    for rows, values in zip(
      itertools.chain(*self._steps), (*env_outputs, *agent_outputs), strict=True
    ):
      rows[env_ids, columns] = values
    self._start(env_ids, columns == 0, stacks, num_updates, core_state)
    full = columns == self._unroll_length
    self._lengths[env_ids] += 1
    if not full.any():
      return []
    finished = self._take(env_ids[full])
    for rows in tf.nest.flatten(self._steps):
      rows[env_ids[full], 0] = rows[env_ids[full], self._unroll_length]
    self._start(env_ids, full, stacks, num_updates, core_state)
    self._lengths[env_ids[full]] = 1
    return finished

  def save(self) -> list[np.ndarray]:
    """Returns all that it holds, for a checkpoint."""
    arrays: list[np.ndarray] = tf.nest.flatten(self._arrays())
    return arrays

  def restore(self, saved: Sequence[np.ndarray]) -> None:
    """Restores what `save` returned."""
    self._set_arrays(tf.nest.pack_sequence_as(self._arrays(), list(saved)))

  def grow(self, num_envs: int) -> None:
    """Makes room for environments below `num_envs`, at least doubling it.

    Rows that no environment has written take no memory yet.
    """
    held = len(self._lengths)
    if num_envs <= held:
      return

    def extend(rows: np.ndarray) -> np.ndarray:
      extended = np.zeros(
        (max(num_envs, 2 * held), *rows.shape[1:]), rows.dtype
      )
      extended[:held] = rows
      return extended

    self._set_arrays(tf.nest.map_structure(extend, self._arrays()))

  def _arrays(self) -> types.Nest:
    return (
      self._steps,
      self._memory,
      self._core_state,
      self._num_updates,
      self._lengths,
    )

  def _set_arrays(self, arrays: types.Nest) -> None:
    (
      self._steps,
      self._memory,
      self._core_state,
      self._num_updates,
      self._lengths,
    ) = arrays

  def _start(
    self,
    env_ids: np.ndarray,
    where: np.ndarray,
    stacks: np.ndarray,
    num_updates: int,
    core_state: types.Nest,
  ) -> None:
    self._memory[env_ids[where]] = frames.previous(stacks[where])
    for rows, values in zip(self._core_state, core_state, strict=True):
      rows[env_ids[where], 0] = values[where]
    self._num_updates[env_ids[where]] = num_updates

  def _take(self, env_ids: np.ndarray) -> list[Finished]:
    unrolls = _flatten(
      types.Unroll(self._memory, *self._steps, self._core_state)
    )
    # An array gives its rows as views.
    each = zip(*(rows[env_ids] for rows in unrolls), strict=True)
    return [
      Finished(_pack(arrays), num_updates)
      for arrays, num_updates in zip(
        each, self._num_updates[env_ids].tolist(), strict=True
      )
    ]


def _flatten(unroll: types.Unroll[types.ArrayT]) -> list[types.ArrayT]:
  """The arrays of an unroll, as tf.nest orders them, in a tenth of its time."""
  return [
    unroll.memory,
    *unroll.env_outputs,
    *unroll.agent_outputs,
    *unroll.core_state,
  ]


def _pack(arrays: Sequence[types.ArrayT]) -> types.Unroll[types.ArrayT]:
  """Undoes `_flatten`."""
  rest = iter(arrays)

  def take(fields: Sequence[str]) -> Iterator[types.ArrayT]:
    return itertools.islice(rest, len(fields))

  memory = next(rest)
  env_outputs = types.EnvOutput(*take(types.EnvOutput._fields))
  agent_outputs = types.AgentOutput(*take(types.AgentOutput._fields))
  core = list(rest)
  return types.Unroll(
    memory, env_outputs, agent_outputs, types.CoreState(*core) if core else ()
  )


def _each_as_one_step(core_state: types.Nest) -> types.Nest:
  """[E, ...] as [E, 1, ...]: an unroll's arrays have time in front."""
  return tf.nest.map_structure(lambda x: x[:, np.newaxis], core_state)


def batch(
  unrolls: Sequence[types.Unroll[np.ndarray]],
) -> types.Unroll[np.ndarray]:
  """B unrolls [T + 1, ...] as one, time-major [T + 1, B, ...]."""
  return _pack(
    [
      np.stack(rows, axis=1)
      for rows in zip(*map(_flatten, unrolls), strict=True)
    ]
  )


def to_arrays(finished: Sequence[Finished]) -> list[list[np.ndarray]]:
  """The arrays of each unroll, for a checkpoint."""
  return [
    [*_flatten(one.unroll), np.asarray(one.num_updates)] for one in finished
  ]


def from_arrays(arrays: Sequence[Sequence[np.ndarray]]) -> list[Finished]:
  """Undoes `to_arrays`."""
  return [Finished(_pack(one[:-1]), int(one[-1])) for one in arrays]


def columns(
  unroll: types.Unroll[types.ArrayT],
  start: int | tf.Tensor,
  stop: int | tf.Tensor,
) -> types.Unroll[types.ArrayT]:
  """The unrolls `start` to `stop` of a batch [T + 1, B, ...]."""
  part: types.Unroll[types.ArrayT] = tf.nest.map_structure(
    lambda x: x[:, start:stop], unroll
  )
  return part
