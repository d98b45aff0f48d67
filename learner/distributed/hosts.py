"""The learner hosts of one run: which they are, what they share, which is lost.

Each host serves its own actors; all take part in the update (`strategies`).
Between updates a few numbers go through the same collectives.
"""

from collections.abc import Iterator, Sequence
import contextlib
import re
from typing import TypeVar
import zlib

import numpy as np
import tensorflow as tf

from seed_metagrad import config as config_lib

_CONNECTION_ERRORS = (
  tf.errors.AbortedError,
  tf.errors.CancelledError,
  tf.errors.DeadlineExceededError,
  tf.errors.FailedPreconditionError,
  tf.errors.InternalError,
  tf.errors.UnavailableError,
)


_NestT = TypeVar('_NestT')


class LostError(Exception):
  """Another host is lost; the others cannot continue without it."""


class Hosts:
  """The hosts that TF_CONFIG lists, or this one alone; the first is the chief.

  Every method but the properties is to be called by all hosts in the same
  order, and raises `LostError` where one of them is lost.
  """

  def __init__(self, strategy: tf.distribute.Strategy | None = None):
    resolver = strategy and strategy.cluster_resolver
    self.index = resolver.task_id if resolver else 0
    self._addresses = (
      resolver.cluster_spec().job_tasks('worker') if resolver else ['']
    )
    self._strategy = strategy
    self._sum = tf.function(self._sum_over_replicas, reduce_retracing=True)

  @property
  def num(self) -> int:
    """How many hosts there are."""
    return len(self._addresses)

  @property
  def is_chief(self) -> bool:
    """Whether this host's state is the one that is saved and restored."""
    return self.index == 0

  def sum(self, values: Sequence[int]) -> list[int]:
    """Returns the sums of a few numbers over hosts."""
    if self.num == 1:
      return list(values)
    with self.watched():
      sums: list[int] = self._sum(np.array(values, np.int64)).numpy().tolist()
      return sums

  def from_chief(self, nest: _NestT) -> _NestT:
    """Returns the chief's tensors, in the shapes of this host's own."""
    if self.num == 1:
      return nest
    with self.watched():
      shared: _NestT = tf.nest.map_structure(
        lambda x: self._sum(x if self.is_chief else tf.zeros_like(x)), nest
      )
      return shared

  def check_same(self, config: config_lib.Config, names: Sequence[str]) -> None:
    """Checks that some fields of the config are those of the chief.

    Raises:
      ValueError: they are not.
    """
    digests = np.array(
      [zlib.crc32(repr(getattr(config, name)).encode()) for name in names],
      np.int64,
    )
    differ = np.array(self.from_chief(tf.constant(digests))) != digests
    if differ.any():
      raise ValueError(
        'the chief was started with other values of'
        f' {[name for name, other in zip(names, differ) if other]}.'
      )

  @contextlib.contextmanager
  def watched(self) -> Iterator[None]:
    """Names in a block of collectives the host that is lost.

    Raises:
      LostError: a collective failed since a host is lost.
    """
    try:
      yield
    except _CONNECTION_ERRORS as error:
      # In braces is the node that failed: it is one of this host.
      message = re.sub(r'{{.*?}}', '', error.message)
      reason = re.search(r'aborted by: .+|.*/task:\d+.*', message)
      if self.num == 1 or not reason:
        raise
      # Where the chief is lost, others may only miss its heartbeat.
      found = re.search(r'/task:(\d+)', message)
      index = int(found[1]) if found else 0
      raise LostError(
        f'learner host {index}, {self._addresses[index]}, is lost'
        f' ({reason[0]}). Start all hosts again: they resume from the'
        ' checkpoint.'
      ) from error

  def _sum_over_replicas(self, value: tf.Tensor) -> tf.Tensor:
    assert self._strategy, 'One host has nothing to sum over.'
    num_replicas = self._strategy.num_replicas_in_sync // self.num

    def replica_sum(value: tf.Tensor) -> tf.Tensor:
      context = tf.distribute.get_replica_context()
      ours = context.replica_id_in_sync_group % num_replicas == 0
      total: tf.Tensor = context.all_reduce(
        tf.distribute.ReduceOp.SUM, tf.where(ours, value, tf.zeros_like(value))
      )
      return total

    first: tf.Tensor = self._strategy.experimental_local_results(
      self._strategy.run(replica_sum, (value,))
    )[0]
    return first
