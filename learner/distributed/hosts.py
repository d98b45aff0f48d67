"""The learner hosts of one run: who they are, what they agree on, who is gone.

Each host serves its own actors; all join in the update (`strategies`). What is
said between updates, a few numbers, goes through the same collectives.
"""

from collections.abc import Iterator, Sequence
import contextlib
import re
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


class LostError(Exception):
  """Another host is gone; the others cannot go on without it."""


class Hosts:
  """The hosts that TF_CONFIG lists, or this one alone; the first is the chief.

  Every method but the properties is to be called by all hosts in the same
  order, and raises `LostError` where one of them is gone.
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
    """The sums over hosts of a few numbers."""
    if self.num == 1:
      return list(values)
    with self.watched():
      return self._sum(np.array(values, np.int64)).numpy().tolist()

  def from_chief(self, nest):
    """The chief's tensors, shaped as this host's own."""
    if self.num == 1:
      return nest
    with self.watched():
      return tf.nest.map_structure(
        lambda x: self._sum(x if self.is_chief else tf.zeros_like(x)), nest
      )

  def check_same(self, config: config_lib.Config, names: Sequence[str]):
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
    """Says in a block of collectives which host is gone."""
    try:
      yield
    except _CONNECTION_ERRORS as error:
      reason = re.search(r'aborted by: .+|.*/task:\d+.*', error.message)
      if self.num == 1 or not reason:
        raise
      # Who loses the chief may hear of its missing heartbeat alone.
      found = re.search(r'/task:(\d+)', error.message)
      index = int(found[1]) if found else 0
      raise LostError(
        f'learner host {index}, {self._addresses[index]}, is gone'
        f' ({reason[0]}). Start all hosts again: they go on from the'
        ' checkpoint.'
      ) from error

  def _sum_over_replicas(self, value):
    num_replicas = self._strategy.num_replicas_in_sync // self.num

    def replica_sum(value):
      context = tf.distribute.get_replica_context()
      ours = context.replica_id_in_sync_group % num_replicas == 0
      return context.all_reduce(
        tf.distribute.ReduceOp.SUM, tf.where(ours, value, tf.zeros_like(value))
      )

    return self._strategy.experimental_local_results(
      self._strategy.run(replica_sum, (value,))
    )[0]
