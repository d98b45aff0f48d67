"""Measures how fast the parts and the whole are on this machine.

Prints a table; --json writes the same as JSON lines. All of it takes half an
hour: choose with --suite and --network. Keep the machine quiet meanwhile.
"""

import importlib

from absl import flags

from benchmarks import measurement

# Modules with functions of a suite's name: options -> iterator of results.
SUITES = {
  'env': 'benchmarks.computations',
  'update': 'benchmarks.computations',
  'inference': 'benchmarks.computations',
  'variants': 'benchmarks.variants',
  'serve': 'benchmarks.serving',
  'startup': 'benchmarks.training',
  'train': 'benchmarks.training',
  'memory': 'benchmarks.training',
}


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines what to measure and where to write it."""
  flags.DEFINE_multi_enum(
    'suite',
    list(SUITES),
    list(SUITES),
    'Suite to measure; repeat for more.',
    flag_values=flag_values,
  )
  flags.DEFINE_multi_string(
    'network',
    ['shallow', 'deep'],
    'Network to measure; repeat for more.',
    flag_values=flag_values,
  )
  flags.DEFINE_string('env', 'pong', 'Environment.', flag_values=flag_values)
  flags.DEFINE_integer(
    'repeats',
    20,
    'Calls whose median counts.',
    lower_bound=1,
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'secs',
    30.0,
    'Seconds to watch a running system or to repeat a call.',
    lower_bound=1.0,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'json', '', 'File for JSON lines.', flag_values=flag_values
  )
  flags.DEFINE_string(
    'figure',
    '',
    'File for a figure of how serving scales.',
    flag_values=flag_values,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Measures the chosen suites one after the other."""
  options = measurement.Options(
    env=flag_values.env,
    networks=tuple(flag_values.network),
    repeats=flag_values.repeats,
    secs=flag_values.secs,
    figure=flag_values.figure,
  )
  machine = measurement.machine()
  print('\n'.join(f'# {name}: {value}' for name, value in machine.items()))
  results = []
  for name in flag_values.suite:
    suite = getattr(importlib.import_module(SUITES[name]), name)
    for result in suite(options):
      print(measurement.line(result), flush=True)
      results.append(result)
      if flag_values.json:  # As far as it is known: a suite may take long.
        measurement.write_json(flag_values.json, results, machine)
  return 0
