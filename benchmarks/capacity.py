"""Predicts how fast a machine or a cluster trains, from the parts' costs.

Measures the parts here, each alone, in CPU time, which a busy machine changes
little; predicts this machine's own rate and checks it with --check; then prints
plans for larger sites. `python -m benchmarks.capacity --check`
"""

from collections.abc import Iterable
import os
from typing import NamedTuple

from absl import app
from absl import flags

from benchmarks import costs as costs_lib
from benchmarks import measurement
from seed_metagrad import config as config_lib

_FRAMES_PER_STEP = 4  # Atari's action repeat.
_TOLERANCE = 0.15
_PRESET = 'local'
_PLAN_ENVS = 16  # In a group of an actor in the plans.

# What is assumed and not measured, for all plans.
ASSUMPTIONS = (
  'Costs are those measured here; all cores are as fast as these.',
  'Acting and learning overlap; two groups of environments an actor hide its'
  ' wait; each actor process fills one core.',
  'Serving runs on one core of a learner host: its threads share the lock of'
  ' one Python process.',
  'A device does the work of acting and learning of `device_cores` cores;'
  ' none was at hand: the figure is a guess, to be replaced.',
  'A network carries 70% of its nominal rate. All-reduces are not counted:'
  ' several learners send their gradients once an update.',
)
_NETWORK_SHARE = 0.7


class Site(NamedTuple):
  """Machines; `device_cores` 0: acting and learning take the CPU's cores."""

  name: str
  actor_cores: float
  learners: int = 1
  learner_cores: float = 8.0  # On each host.
  device_cores: float = 0.0  # What each learner's devices amount to.
  gbit_per_s: float = 10.0  # To each learner host.


PLANS = (
  Site('MGRL: 80 actors, one GPU', 80, device_cores=200),
  Site('1,000 actors, one learner', 1000, device_cores=200, gbit_per_s=25),
  Site('1,000 actors, 4 learners', 1000, 4, device_cores=200, gbit_per_s=25),
  Site(
    '10,000 actors, 32 learners of 4 GPUs',
    10_000,
    32,
    32,
    device_cores=800,
    gbit_per_s=100,
  ),
)


def shared_rate(costs: costs_lib.Costs, cores: float) -> float:
  """Env steps/s where actors and learner share all cores."""
  return 1e6 * cores / costs.total_us


def limits(costs: costs_lib.Costs, site: Site) -> dict[str, float]:
  """Env steps/s that each part of a site can do, were the others free."""
  actor_us = costs.env_us + costs.wire_us
  device_us = costs.act_us + costs.learn_us
  found = {
    'actors': 1e6 * site.actor_cores / actor_us,
    'serving': 1e6 * site.learners / costs.serve_us,
    'network': (
      _NETWORK_SHARE * site.learners * site.gbit_per_s * 1e9 / 8 / costs.bytes
    ),
  }
  if site.device_cores:
    found['device'] = 1e6 * site.learners * site.device_cores / device_us
  else:
    found['learner cores'] = (
      1e6 * site.learners * site.learner_cores / (device_us + costs.serve_us)
    )
  return found


def actor_cores_wanted(costs: costs_lib.Costs, site: Site) -> float:
  """The cores of actors that keep the slowest other part busy."""
  others = [
    rate for part, rate in limits(costs, site).items() if part != 'actors'
  ]
  return min(others) * (costs.env_us + costs.wire_us) / 1e6


def table(costs: costs_lib.Costs, sites: Iterable[Site]) -> str:
  """A row a site, in Markdown."""
  lines = [
    '| site | frames/s | saturates first | actor cores it can use |'
    ' all limits, frames/s |',
    '|---|---|---|---|---|',
  ]
  for site in sites:
    found = limits(costs, site)
    first = min(found, key=lambda part: found[part])
    shown = ', '.join(
      f'{part} {_FRAMES_PER_STEP * rate:,.0f}' for part, rate in found.items()
    )
    lines.append(
      f'| {site.name} | {_FRAMES_PER_STEP * found[first]:,.0f} | {first} |'
      f' {actor_cores_wanted(costs, site):,.0f} | {shown} |'
    )
  return '\n'.join(lines)


def main(argv: list[str]) -> int:
  """Measures, predicts, and checks where that is asked for."""
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments {argv[1:]}.')
  print(
    '\n'.join(
      f'- {name}: {value}' for name, value in measurement.machine().items()
    ),
    '\n',
  )
  secs, cores = _SECS.value, os.cpu_count() or 1
  local = config_lib.preset(_PRESET)
  here = costs_lib.measure(local, secs, act_envs=local.envs_per_group)
  print('Preset local, here:\n')
  print(here.text(), '\n')
  predicted = shared_rate(here, cores)
  print(f'Predicted: {predicted:,.0f} env steps/s on {cores} cores.')
  if _CHECK.value:
    rate, cpu_us = costs_lib.measure_training(_PRESET, secs)
    had = rate * cpu_us / 1e6
    print(
      f'Measured: {rate:,.0f} env steps/s on the {had:.2f} cores that were'
      f' free; {shared_rate(here, had):,.0f} were predicted for these.'
    )
    print(
      f'CPU time of an env step: {cpu_us:,.0f} us,'
      f' {cpu_us / here.total_us - 1:+.0%}.'
    )
  cluster = config_lib.preset('paper', num_actors=8, envs_per_group=_PLAN_ENVS)
  paper = costs_lib.measure(cluster, secs, act_envs=cluster.inference_max_envs)
  print(f'\nPreset paper, {_PLAN_ENVS} environments a group:\n')
  print(paper.text(), '\n')
  print(table(paper, PLANS), '\n')
  print('\n'.join(f'- {line}' for line in ASSUMPTIONS))
  if _CHECK.value and abs(cpu_us / here.total_us - 1) > _TOLERANCE:
    return 1
  return 0


if __name__ == '__main__':
  _SECS = flags.DEFINE_float(
    'secs', 20.0, 'Seconds of each measurement.', lower_bound=1.0
  )
  _CHECK = flags.DEFINE_bool(
    'check',
    False,
    'Training here as a check; status 1 when the CPU time of a step is not'
    f' within {_TOLERANCE:.0%} of the prediction.',
  )
  app.run(main)
