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
  examples: tuple[str, ...] = ()  # What follows the command's name.


# What can be run by `python -m` as well: `main(argv)`, flags defined by itself.
PROCESSES = {
  'learner': Command(
    'learner.main',
    'Runs a learner for actors to join.',
    ('--env=pong --workdir=runs/pong --address=127.0.0.1:7000',),
  ),
  'actor': Command(
    'actors.main',
    'Runs an actor that joins a learner.',
    ('--env=pong --address=127.0.0.1:7000 --envs_per_group=16',),
  ),
}
# Modules with `define_flags(flag_values)` and `run(flag_values) -> status`.
COMMANDS = {
  'train': Command(
    'experiments.launch.train',
    'Trains on this machine: a learner and its actors.',
    (
      '--preset=smoke --workdir=runs/catch',
      '--env=pong --workdir=runs/pong',
      '--env=pong --workdir=runs/impala --learned=',
    ),
  ),
  'doctor': Command(
    'experiments.launch.doctor',
    'Checks this machine and says what to change.',
    ('--workdir=runs', '--address=learner.example.org:7000'),
  ),
  'make-certs': Command(
    'experiments.launch.make_certs',
    'Makes a test CA, certificates and a token.',
    ('--folder=certs --hosts=learner.example.org',),
  ),
  'evaluate': Command(
    'experiments.evaluation.evaluate',
    'Plays episodes with a checkpoint; scores and videos.',
    ('--checkpoint=runs/pong --episodes=100 --video',),
  ),
  'play': Command(
    'experiments.evaluation.play',
    'Plays one game with a checkpoint; writes a video.',
    ('--checkpoint=runs/pong --out=pong.gif',),
  ),
  'export': Command(
    'experiments.sharing.export',
    'Exports a checkpoint as a folder for a model hub.',
    ('--checkpoint=runs/pong --out=pong-agent --push=owner/name',),
  ),
  'record-starts': Command(
    'experiments.evaluation.record_starts',
    'Makes a file of start states.',
    ('--env=pong --out=pong.json',),
  ),
  'probe': Command(
    'experiments.probe.run',
    'Says what the meta-gradient of a checkpoint is worth.',
    ('--checkpoint=runs/pong --out=probe',),
  ),
  'compare': Command(
    'experiments.comparison.compare',
    'Trains and evaluates all runs of a study.',
    ('--study=experiments/studies/smoke.toml --workdir=runs/study',),
  ),
  'tune': Command(
    'experiments.tuning.tune',
    'Searches for the settings that score best.',
    ('--study=experiments/studies/search.toml --trials=20 --workdir=runs/x',),
  ),
  'report': Command(
    'experiments.report.report',
    'Makes tables and figures of a study.',
    ('--workdir=runs/study --out=report.html',),
  ),
  'illustrative': Command(
    'experiments.illustrative.run',
    "MGRL's small experiments: a discount and a lambda per state.",
    ('--experiment=figure1 --out=runs/figure1',),
  ),
  'benchmark': Command(
    'benchmarks.benchmark',
    'Measures how fast this machine does it.',
    ('--suite=serve',),
  ),
}
_GROUPS = {
  'Train': ('train', 'doctor', 'learner', 'actor', 'make-certs'),
  'Look at a checkpoint': (
    'evaluate',
    'play',
    'export',
    'record-starts',
    'probe',
  ),
  'Compare': ('compare', 'tune', 'report', 'illustrative', 'benchmark'),
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
  lines = []
  for title, names in _GROUPS.items():
    lines += [f'{title}:']
    lines += [f'  {name:<16}{commands[name].summary}' for name in names]
    lines += ['']
  return '\n'.join(
    [
      'Usage: seed-metagrad <command> [--flags]',
      '',
      *_examples('train', commands['train']),
      '',
      *lines,
      'seed-metagrad <command> --help has its examples and flags.',
    ]
  )


def _examples(name: str, command: Command) -> list[str]:
  calls = [f'  seed-metagrad {name} {flags}' for flags in command.examples]
  return ['Examples:', *calls] if calls else []


def _help(name: str, doc: str | None) -> str:
  modules = [
    module
    for module in FLAGS.flags_by_module_dict()
    if module.split('.')[0] in _OURS
  ]
  return '\n'.join(
    [
      f'seed-metagrad {name}: {doc}',
      *_examples(name, {**COMMANDS, **PROCESSES}[name]),
      '',
      *(FLAGS.module_help(module) for module in modules),
    ]
  )


if __name__ == '__main__':
  main()
