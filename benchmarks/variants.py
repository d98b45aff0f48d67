"""What the variants of the meta-update cost, as ratios to plain IMPALA's.

All are traced first and then called in turns: a machine that is slow for some
time is slow for all of them.
"""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

from collections.abc import Callable
import statistics
import time
from typing import Any

import tensorflow as tf

from benchmarks import computations
from benchmarks import measurement
from learner.inference import unrolls as unrolls_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.meta_gradients import gauges

_STACX = dict(
  learned=(
    'discount',
    'lambda_',
    'policy_cost',
    'baseline_cost',
    'entropy_cost',
    'leak',
  ),
  outer='actor_critic',
  conditioning=False,
  auxiliary_heads=2,
)
_VARIANTS: dict[str, dict[str, Any]] = {
  'plain': dict(learned=()),
  'mgrl': {},
  'trace': dict(trace_decay=0.9),
  'outer_critic_head': dict(outer_critic='head'),
  'outer_critic_conditioned': dict(outer_critic='conditioned'),
  'outer_critic_network': dict(outer_critic='network'),
  'actor_critic': dict(outer='actor_critic'),
  'stacx_18_meta_parameters': _STACX,
  'bootstrap': dict(outer='bootstrap'),
  'lstm_plain': dict(core='lstm', learned=()),
  'lstm': dict(core='lstm'),
}
_LOOK = 'mgrl, gauges'  # An update at which the costly ones are looked at.
_BATCH_SIZE, _META_BATCH_SIZE = 32, 8  # The paper's; T 20 as well.
_SEED = 1


def variants(options: measurement.Options) -> computations.Results:
  """Medians of calls in turns: each variant per plain."""
  computations.pin_threads()
  spec = environments.spec(options.env)
  for network in options.networks:
    calls = {
      name: _call(network, fields, spec) for name, fields in _VARIANTS.items()
    }
    calls[_LOOK] = _call(network, {}, spec, num_updates=0)
    secs: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(options.repeats):
      for name, call in calls.items():
        start = time.monotonic()
        call()
        secs[name].append(time.monotonic() - start)
    plain, mgrl = secs['plain'], secs['mgrl']
    looks = [
      (look - usual) / usual / gauges.EVERY
      for look, usual in zip(secs.pop(_LOOK), mgrl, strict=True)
    ]
    yield measurement.Result(
      'variants.share_of_the_gauges',
      statistics.median(looks),
      'of MGRL',
      {'every': gauges.EVERY, 'threads': 1},
      network,
    )
    for name, ours in secs.items():
      ratios = [a / b for a, b in zip(ours, plain, strict=True)]
      yield measurement.Result(
        f'variants.{name}_per_plain',
        statistics.median(ratios),
        'ratio',
        {'T': 20, 'B': _BATCH_SIZE, "B'": _META_BATCH_SIZE, 'threads': 1},
        network,
      )


def _call(
  network: str,
  fields: dict[str, Any],
  spec: types.EnvSpec,
  num_updates: int = 1,
) -> Callable[[], None]:
  """An update that was traced; each call makes one from the same state."""
  config = config_lib.preset(
    'paper',
    **{
      'network': network,
      'batch_size': _BATCH_SIZE,
      'meta_batch_size': _META_BATCH_SIZE,
      **fields,
    },
  )
  agent = agent_lib.make(config, spec)
  state = agent.init(_SEED)._replace(
    num_updates=tf.constant(num_updates, tf.int64)
  )
  unroll = computations.random_unroll(config, spec)
  meta_unrolls = [
    unrolls_lib.columns(unroll, 0, size)
    for size in computations.meta_batch_sizes(config)
  ]
  step = tf.function(agent.update, autograph=False)

  def call() -> None:
    _, metrics = step(state, [unroll], meta_unrolls)
    assert not metrics['skipped']  # Also waits for the result.

  call()
  return call
