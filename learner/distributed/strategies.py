"""Spreads the learner's update over devices and hosts, by tf.distribute.

Every replica holds the full state and its part of the unrolls, T as well as T'.
The agent's gradient is summed before the clip and the optimizer, and the
meta-gradient passes through that sum: all replicas make the same step, that of
one device with all unrolls.
"""

from collections.abc import Sequence
import functools
import json
import os
import signal

import tensorflow as tf

from learner.inference import unrolls as unrolls_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types
from seed_metagrad.meta_gradients import rules as rules_lib

_Unroll = types.Unroll[tf.Tensor]
_Updated = tuple[types.LearnerState, rules_lib.Metrics]


def make(config: config_lib.Config) -> tf.distribute.Strategy | None:
  """Returns the strategy that a config names; None for one device.

  To be called before TensorFlow does anything else. `multi_worker` reads the
  hosts from the environment variable TF_CONFIG and waits for all of them.

  Raises:
    ValueError: the replicas cannot share the unrolls, or xla is on.
  """
  strategy = _MAKE[config.strategy]()
  if strategy is None:
    return None
  replicas = strategy.num_replicas_in_sync
  for name in ('batch_size', 'meta_batch_size'):
    if getattr(config, name) % replicas:
      raise ValueError(
        f'{name} must divide by the {replicas} replicas, got '
        f'{getattr(config, name)}.'
      )
  if config.xla:
    raise ValueError(f'xla must be off on {replicas} replicas.')
  return strategy


def make_agent(
  config: config_lib.Config,
  spec: types.EnvSpec,
  strategy: tf.distribute.Strategy | None,
  num_hosts: int,
) -> agent_lib.Agent:
  """Returns the agent of a config; its update runs on all replicas.

  The update takes the unrolls of this host and is to be called in a
  tf.function, by all hosts.
  """
  if strategy is None:
    return agent_lib.make(config, spec)
  agent = agent_lib.make(config, spec, all_reduce=_all_reduce)
  num_replicas = strategy.num_replicas_in_sync // num_hosts

  def replica_update(
    state: types.LearnerState,
    unrolls: Sequence[_Unroll],
    meta_unrolls: Sequence[_Unroll],
  ) -> _Updated:
    context = tf.distribute.get_replica_context()
    part = functools.partial(
      _part,
      index=context.replica_id_in_sync_group % num_replicas,
      num_parts=num_replicas,
    )
    return agent.update(
      state,
      [part(unroll) for unroll in unrolls],
      [part(unroll) for unroll in meta_unrolls],
    )

  def update(
    state: types.LearnerState,
    unrolls: Sequence[_Unroll],
    meta_unrolls: Sequence[_Unroll],
  ) -> _Updated:
    results = strategy.run(replica_update, (state, unrolls, meta_unrolls))
    updated: _Updated = tf.nest.map_structure(  # All replicas made the same.
      lambda x: strategy.experimental_local_results(x)[0], results
    )
    return updated

  return agent._replace(update=update)


def _all_reduce(nest: types.Nest) -> types.Nest:
  """The nest summed over replicas; TensorFlow sums its gradient as well."""
  return tf.distribute.get_replica_context().all_reduce(
    tf.distribute.ReduceOp.SUM, nest
  )


def _part(unroll: _Unroll, index: tf.Tensor, num_parts: int) -> _Unroll:
  """Part `index` of an unroll of a batch."""
  with tf.device('/CPU:0'):  # Only the part goes to the replica's device.
    batch_size = unroll.env_outputs.reward.shape[1]
    assert batch_size, 'The size of a batch is known when tracing.'
    size = batch_size // num_parts
    return unrolls_lib.columns(unroll, index * size, (index + 1) * size)


def _mirrored() -> tf.distribute.Strategy:
  devices = tf.config.list_logical_devices(
    'GPU'
  ) or tf.config.list_logical_devices('CPU')
  return tf.distribute.MirroredStrategy([device.name for device in devices])


def _auto() -> tf.distribute.Strategy | None:
  return _mirrored() if len(tf.config.list_logical_devices('GPU')) > 1 else None


def _multi_worker() -> tf.distribute.Strategy:
  cluster = json.loads(os.environ.get('TF_CONFIG', '{}')).get('cluster', {})
  if list(cluster) != ['worker']:
    raise ValueError(
      'strategy multi_worker needs TF_CONFIG to list the hosts '
      f"as 'worker', got {cluster}."
    )
  # It waits for the other hosts in C++, where no Python handler would run.
  handlers = {
    number: signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGTERM)
  }
  tf.get_logger().setLevel('WARNING')  # No line for each all-reduce.
  try:
    return tf.distribute.MultiWorkerMirroredStrategy()
  finally:
    for number, handler in handlers.items():
      signal.signal(number, handler)


_MAKE = {
  'auto': _auto,
  'one': lambda: None,
  'mirrored': _mirrored,
  'multi_worker': _multi_worker,
}
