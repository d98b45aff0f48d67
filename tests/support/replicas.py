"""Five updates on one device, on two and on two hosts, with the clip active.

`python -m tests.support.replicas` prints how far the results are apart.
"""

from learner import quiet_tensorflow  # noqa: F401  # isort: skip

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from learner.distributed import hosts as hosts_lib
from learner.distributed import strategies
from learner.inference import unrolls as unrolls_lib
from seed_metagrad import config as config_lib
from seed_metagrad.meta_gradients import gauges
from tests.support import tiny

CASES = {
  'plain': dict(learned=()),
  'meta': dict(learned=('discount', 'lambda_')),
  'trace': dict(learned=('discount', 'lambda_'), trace_decay=0.9),
  'fresh': dict(learned=('discount', 'lambda_'), meta_sample='fresh'),
  'two steps': dict(learned=('discount', 'lambda_'), inner_updates=2),
}
_MAX_NORM = 1.0  # Far below the norms met.
_BATCH, _META_BATCH = 8, 4  # Halves of what a replica has are gauged.
_UPDATES = 5
_DEADLINE_SECS = 240


def config(strategy, **fields) -> config_lib.Config:
  """A config that two replicas can share."""
  return config_lib.preset(
    'smoke',
    **{
      **dict(
        strategy=strategy,
        batch_size=_BATCH,
        meta_batch_size=_META_BATCH,
        max_gradient_norm=_MAX_NORM,
        optimizer='rmsprop',
        learning_rate=0.3,
        meta_optimizer='sgd',
        meta_learning_rate=3.0,
        discount=0.8,
        lambda_=0.7,
      ),
      **fields,
    },
  )


def split_cpu():
  """Makes two logical devices of the CPU."""
  tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices('CPU')[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
  )


def cluster(count: int) -> list[dict[str, str]]:
  """The environments of `count` hosts on free ports of this machine."""
  sockets = [socket.create_server(('127.0.0.1', 0)) for _ in range(count)]
  addresses = [f'127.0.0.1:{s.getsockname()[1]}' for s in sockets]
  for s in sockets:
    s.close()
  return [
    {
      **os.environ,
      'TF_CONFIG': json.dumps(
        {
          'cluster': {'worker': addresses},
          'task': {'type': 'worker', 'index': index},
        }
      ),
    }
    for index in range(count)
  ]


def _of_host(unroll, batch_size, hosts):
  size = batch_size // hosts.num
  return unrolls_lib.columns(
    unroll, hosts.index * size, (hosts.index + 1) * size
  )


def _train(case, strategy_name, strategy):
  """The state after all updates, flat: {part: vector}."""
  settings = config(strategy_name, **CASES[case])
  hosts = hosts_lib.Hosts(strategy)
  agent = strategies.make_agent(settings, tiny.SPEC, strategy, hosts.num)
  update = tf.function(agent.update, autograph=False)
  state = agent.init(1)
  for k in range(_UPDATES):
    unrolls, _ = tiny.unrolls(_BATCH, settings.inner_updates, seed=10 * k)
    meta_unroll = tiny.tensors(tiny.unroll(10 * k + 9, _META_BATCH))
    state, metrics = update(
      state,
      [_of_host(unroll, _BATCH, hosts) for unroll in unrolls],
      [_of_host(meta_unroll, _META_BATCH, hosts)] if settings.learned else [],
    )
    assert metrics['gradient_norm'] > _MAX_NORM, metrics
  # Gauges are means over replicas of what each sees of its own unrolls.
  compared = {
    name: value for name, value in metrics.items() if not gauges.is_gauge(name)
  }
  parts = {**state._asdict(), 'metrics': compared}
  return {
    name: np.concatenate([np.ravel(x) for x in tf.nest.flatten(part)])
    for name, part in parts.items()
    if tf.nest.flatten(part)
  }


def _child(strategy_name, path, *cases):
  if strategy_name == 'mirrored':
    split_cpu()
  strategy = strategies.make(config(strategy_name))
  for case in cases:
    np.savez(
      pathlib.Path(path) / f'{case}.npz',
      **_train(case, strategy_name, strategy),
    )


def run(*cases: str) -> dict[str, dict[str, dict[str, np.ndarray]]]:
  """The states, {device or host: {case: {part: vector}}}."""
  jobs = {'one': ('one', None), 'mirrored': ('mirrored', None)}
  for index, env in enumerate(cluster(2)):
    jobs[f'host {index}'] = ('multi_worker', env)
  with tempfile.TemporaryDirectory() as folder:
    processes = []
    for name, (strategy, env) in jobs.items():
      path = pathlib.Path(folder) / name
      path.mkdir()
      processes.append(
        subprocess.Popen(
          [
            sys.executable,
            '-m',
            'tests.support.replicas',
            strategy,
            str(path),
            *cases,
          ],
          env=env,
        )
      )
    try:
      for process in processes:
        if process.wait(_DEADLINE_SECS):
          raise RuntimeError(f'{process.args} failed.')
    finally:
      for process in processes:
        process.kill()
        process.wait()
    return {
      name: {
        case: dict(np.load(f'{folder}/{name}/{case}.npz')) for case in cases
      }
      for name in jobs
    }


def main():
  """Prints the largest differences to one device as CSV."""
  states = run(*CASES)
  print('replicas,case,part,largest_value,largest_difference')
  for name in list(states)[1:]:
    for case, expected in states['one'].items():
      for part, vector in expected.items():
        difference = np.abs(states[name][case][part] - vector).max()
        print(
          f'{name},{case},{part},{np.abs(vector).max():.1e},{difference:.1e}'
        )


if __name__ == '__main__':
  if sys.argv[1:]:
    _child(*sys.argv[1:])
  else:
    main()
