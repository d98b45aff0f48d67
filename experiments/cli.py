"""The console script `seed-metagrad <command> [--flags]`."""

from collections.abc import Callable
import difflib
import importlib
import os
import sys
import types
from typing import NamedTuple

from absl import app
from absl import flags
from absl import logging

FLAGS = flags.FLAGS

_INTERRUPTED = 130  # Exit status, as after Ctrl-C.
_OURS = ('actors', 'benchmarks', 'experiments', 'learner')


class Command(NamedTuple):
  """A module that is imported when its command is chosen."""

  module: str
  summary: str


# What can be run by `python -m` as well: `main(argv)`, flags defined by itself.
PROCESSES = {
  'learner': Command('learner.main', 'Runs a learner for actors to join.'),
  'actor': Command('actors.main', 'Runs an actor that joins a learner.'),
}
# Modules with `define_flags(flag_values)` and `run(flag_values) -> status`.
COMMANDS = {
  'illustrative': Command(
    'experiments.illustrative.run',
    "MGRL's small experiments: a discount and a lambda per state.",
  ),
  'train': Command(
    'experiments.launch.train',
    'Trains on this machine: a learner and its actors.',
  ),
  'make-certs': Command(
    'experiments.launch.make_certs',
    'Makes a test CA, certificates and a token.',
  ),
  'evaluate': Command(
    'experiments.evaluation.evaluate',
    'Plays episodes with a checkpoint; scores and videos.',
  ),
  'play': Command(
    'experiments.evaluation.play',
    'Plays one game with a checkpoint; writes a video.',
  ),
  'export': Command(
    'experiments.sharing.export',
    'Exports a checkpoint as a folder for a model hub.',
  ),
  'record-starts': Command(
    'experiments.evaluation.record_starts', 'Makes a file of start states.'
  ),
  'probe': Command(
    'experiments.probe.run',
    'Says what the meta-gradient of a checkpoint is worth.',
  ),
  'compare': Command(
    'experiments.comparison.compare',
    'Trains and evaluates all runs of a study.',
  ),
  'report': Command(
    'experiments.comparison.report', 'Makes tables and figures of a study.'
  ),
  'benchmark': Command(
    'benchmarks.benchmark', 'Measures how fast this machine does it.'
  ),
}


def main(argv: list[str] | None = None) -> None:
  """Runs the command that the first argument names; exits with its status."""
  try:
    _main(argv or sys.argv)
  except KeyboardInterrupt:
    sys.exit(_INTERRUPTED)


def _main(argv: list[str]) -> None:
  _, *arguments = argv
  if not sys.flags.safe_path and os.getcwd() not in sys.path:
    sys.path.insert(
      0, os.getcwd()
    )  # As `python -m` does: environments' modules.
  commands = {**COMMANDS, **PROCESSES}
  if not arguments or arguments[0] in ('--help', '-h', 'help'):
    print(_usage(commands))
    sys.exit(0 if arguments else 2)
  name, *arguments = arguments
  if name not in commands:
    near = difflib.get_close_matches(name, commands, n=1, cutoff=0.0)[0]
    sys.exit(f'seed-metagrad: no command {name!r}. Did you mean {near}?')
  module = importlib.import_module(commands[name].module)
  if name in COMMANDS:
    module.define_flags(FLAGS)
  if '--help' in arguments or '-h' in arguments:
    print(_help(name, module.__doc__))
    sys.exit(0)
  app.run(
    module.main if name in PROCESSES else _runner(name, module),
    argv=[f'seed-metagrad {name}', *arguments],
  )


def _runner(name: str, module: types.ModuleType) -> Callable[[list[str]], int]:
  """The command; what its user can mend is told in a line."""

  def run(argv: list[str]) -> int:
    try:
      if len(argv) > 1:
        raise ValueError(f'unknown arguments {argv[1:]}.')
      status: int = module.run(FLAGS)
    except (ValueError, OSError) as error:
      logging.debug('%s failed', name, exc_info=True)  # With --verbosity=1.
      sys.exit(f'seed-metagrad {name}: {error}')
    return status

  return run


def _usage(commands: dict[str, Command]) -> str:
  lines = [
    f'  {name:<16}{command.summary}' for name, command in commands.items()
  ]
  return '\n'.join(
    [
      'Usage: seed-metagrad <command> [--flags]',
      '',
      *lines,
      '',
      'seed-metagrad <command> --help lists its flags.',
    ]
  )


def _help(name: str, doc: str | None) -> str:
  modules = [
    module
    for module in FLAGS.flags_by_module_dict()
    if module.split('.')[0] in _OURS
  ]
  return '\n'.join(
    [
      f'seed-metagrad {name}: {doc}',
      *(FLAGS.module_help(module) for module in modules),
    ]
  )


if __name__ == '__main__':
  main()
