"""Lock-step: acting and learning take turns, so that equal runs are equal.

One thread does both. A batch holds all environments, in a fixed order, and
nothing depends on the clock.
"""

import collections
import queue

from absl import logging
import numpy as np

from learner.inference import batcher as batcher_lib
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from learner.storage import run_state
from seed_metagrad import config as config_lib

_SAVE_SECS = 5.0  # For actors to send their state.


def num_envs(config: config_lib.Config) -> int:
  """How many environments there are, and so in every batch.

  Raises:
    ValueError: their unrolls do not fill batches.
  """
  envs = config.num_actors * config_lib.GROUPS_PER_ACTOR * config.envs_per_group
  if envs % config.batch_size:
    raise ValueError(
      f'lockstep needs environments that fill batches: num_actors *'
      f' {config_lib.GROUPS_PER_ACTOR} * envs_per_group is {envs}, no'
      f' multiple of batch_size, {config.batch_size}.'
    )
  return envs


class LockStep:
  """A queue of unrolls that acts when it is asked for one.

  The batcher gives all environments at once, ordered by peer: its place is an
  environment's id here, not the slot that it leased.
  """

  def __init__(
    self, inference: inference_lib.Inference, batcher: batcher_lib.Batcher
  ):
    self._inference = inference
    self._batcher = batcher
    self._finished: collections.deque[unrolls_lib.Finished] = (
      collections.deque()
    )
    self._batch: list[batcher_lib.Waiting] = []  # Not yet answered.
    self._groups: list[run_state.Group] = []  # Those of the last batch.
    # Peers that will repeat a saved step, with the state that was saved.
    self._continuing: dict[str, bytes] = {}
    self._asked = False  # For states, which the next batch then carries.

  def get(self, timeout: float) -> unrolls_lib.Finished:
    """The next unroll, as `queue.Queue.get`.

    Raises:
      queue.Empty: the environments made us wait for longer.
    """
    while not self._finished:
      self._fetch(timeout)
      self._act(send_state=self._inference.ends_unrolls)
    return self._finished.popleft()

  def qsize(self) -> int:
    """How many unrolls are finished."""
    return len(self._finished)

  def take_episodes(self) -> list[inference_lib.Episode]:
    """The episodes that ended since the last call."""
    return self._inference.take_episodes()

  def save(self) -> run_state.Acting:
    """All that `restore` needs to continue exactly from here.

    Between updates environments wait at the end of their unrolls, where they
    were asked for their state. A run that stops before makes one step more.
    """
    try:
      self._fetch(_SAVE_SECS)
      if not (self._asked or self._continuing):
        self._act(send_state=True)
        self._fetch(_SAVE_SECS)
    except queue.Empty:
      logging.warning('Not all actors are here: no state of theirs is saved.')
    states = self._continuing | {
      waiting.request.peer: waiting.request.env_state
      for waiting in self._batch
      if waiting.request.env_state
    }
    lockstep = run_state.LockStep(
      groups=self._groups,
      env_states=states,
      finished=unrolls_lib.to_arrays(self._finished),
      inference=self._inference.save_environments(),
    )
    return self._inference.save()._replace(lockstep=lockstep)

  def restore(self, saved: run_state.LockStep) -> None:
    """Restores what was saved; actors must repeat the step that was saved."""
    self._groups = saved.groups
    self._continuing = dict(saved.env_states)
    self._finished.extend(unrolls_lib.from_arrays(saved.finished))
    self._inference.restore_environments(saved.inference)

  def _fetch(self, timeout: float) -> None:
    if not self._batch:
      self._batch = self._batcher.get(timeout) or []
    if not self._batch:
      raise queue.Empty

  def _act(self, *, send_state: bool) -> None:
    batch, self._batch = self._placed(self._batch), []
    self._asked = send_state
    self._finished.extend(
      inference_lib.answer(self._inference, batch, send_state=send_state)
    )

  def _placed(
    self, batch: list[batcher_lib.Waiting]
  ) -> list[batcher_lib.Waiting]:
    groups = [
      run_state.Group(waiting.request.peer, len(waiting.request.env_ids))
      for waiting in batch
    ]
    others = groups != self._groups  # The places have changed.
    self._groups = groups
    placed, start = [], 0
    for waiting in batch:
      request = waiting.request
      continuing = self._continuing.pop(request.peer, None) is not None
      end = start + len(request.env_ids)
      request = request._replace(
        env_ids=np.arange(start, end, dtype=np.int32),
        reset=others or (request.reset and not continuing),
      )
      placed.append(waiting._replace(request=request))
      start = end
    return placed
