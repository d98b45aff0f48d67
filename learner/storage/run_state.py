"""What resuming a run needs besides the training state: a checkpoint's extra.

Version 1, which had no `version`, is read as well: it had the fields of
`statistics` at the top level.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

VERSION = 2

# The arrays of one unroll, in the order of tf.nest.flatten.
UnrollArrays = list[np.ndarray]


class Statistics(NamedTuple):
  """What was counted over all runs on the workdir."""

  seconds: float
  episodes: int
  returns: list[float]  # The newest episodes, unclipped.
  lengths: list[int]  # Env steps of the same.
  lags: list[int]  # Policy lags of the newest unrolls, in updates.
  skipped_updates: int


class Group(NamedTuple):
  """A group of environments that took part in a batch."""

  peer: str
  num_envs: int


class Inference(NamedTuple):
  """All that inference knows of its environments."""

  episodes: list[tuple[float, int]]  # Return and length; not yet counted.
  arrays: list[np.ndarray]


class LockStep(NamedTuple):
  """All of acting in lock-step, to continue exactly from there."""

  groups: list[Group]  # In the order of the batch.
  env_states: dict[str, bytes]  # By peer.
  finished: list[UnrollArrays]  # Not yet taken by the learner.
  inference: Inference


class Acting(NamedTuple):
  """Where acting stands."""

  num_calls: int  # Batches acted on: the seed of the next one.
  lockstep: LockStep | None = None


class RunState(NamedTuple):
  """What resuming a run needs besides the training state."""

  statistics: Statistics
  acting: Acting
  pending: list[UnrollArrays]  # Taken by the learner; in lock-step alone.
  health: dict[str, list[float]] = {}  # As of learner.health.


def fresh() -> RunState:
  """Returns the state of a run that starts."""
  return RunState(Statistics(0.0, 0, [], [], [], 0), Acting(0), [])


def encode(state: RunState) -> dict[str, Any]:
  """Returns what `checkpoints.save` takes as extra."""
  lockstep = state.acting.lockstep
  return {
    'version': VERSION,
    'statistics': state.statistics._asdict(),
    'num_calls': state.acting.num_calls,
    'lockstep': lockstep and _encode_lockstep(lockstep),
    'pending': state.pending,
    'health': state.health,
  }


def decode(extra: Mapping[str, Any]) -> RunState:
  """Undoes `encode`.

  Raises:
    ValueError: a newer version wrote it.
  """
  version = extra.get('version', 1)
  if version > VERSION:
    raise ValueError(
      f"a checkpoint's version must be at most {VERSION}, got {version}: a "
      'newer program wrote it.'
    )
  if version == 1:
    extra = _from_version_1(extra)
  lockstep = extra['lockstep']
  return RunState(
    statistics=Statistics(**extra['statistics']),
    acting=Acting(extra['num_calls'], lockstep and _decode_lockstep(lockstep)),
    pending=extra['pending'],
    health=extra.get('health', {}),  # Missing in the first of version 2.
  )


def _encode_lockstep(lockstep: LockStep) -> dict[str, Any]:
  states = {
    peer: np.frombuffer(state, np.uint8)
    for peer, state in lockstep.env_states.items()
  }
  return {
    **lockstep._asdict(),
    'env_states': states,
    'inference': lockstep.inference._asdict(),
  }


def _decode_lockstep(fields: Mapping[str, Any]) -> LockStep:
  inference = fields['inference']
  return LockStep(
    groups=[Group(peer, num_envs) for peer, num_envs in fields['groups']],
    env_states={
      peer: state.tobytes() for peer, state in fields['env_states'].items()
    },
    finished=fields['finished'],
    inference=Inference(
      episodes=[(value, length) for value, length in inference['episodes']],
      arrays=inference['arrays'],
    ),
  )


def _from_version_1(extra: Mapping[str, Any]) -> dict[str, Any]:
  return {
    'statistics': {
      **{name: extra[name] for name in Statistics._fields if name != 'lags'},
      'lags': extra.get('lags', []),  # The first checkpoints had none.
    },
    'num_calls': extra['num_calls'],
    'lockstep': extra.get('lockstep'),
    'pending': extra.get('pending', []),
  }
