"""Runs a small experiment, and writes its figures and tables into --out.

figure1: MGRL's prediction experiments, a discount and a lambda per state
(figure1.png, trace.png, final_values.csv, curves.csv, comparison.csv). chain: a
learned discount on the chain, with the agent that `train` runs (control.png,
control_curves.csv, control_final.csv). discounting_chain: a learned discount
that an outer critic saves from myopia (discounting_chain.png, curves.csv,
final.csv). two_colours: a learned entropy cost where the world flips
(two_colours.png, curves.csv, final.csv).
"""

import pathlib

from absl import flags

from experiments.illustrative import chain_control
from experiments.illustrative import discounting_chain
from experiments.illustrative import figure1
from experiments.illustrative import two_colours

_EXPERIMENTS = {
  'figure1': figure1.run,
  'chain': chain_control.run,
  'discounting_chain': discounting_chain.run,
  'two_colours': two_colours.run,
}
_OPTIONS = {'figure1': figure1.OPTIONS}  # The others lack these.


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of all experiments."""
  flags.DEFINE_enum(
    'experiment',
    'figure1',
    list(_EXPERIMENTS),
    'Experiment to run; chain takes up to 40 minutes, the others less than 10.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'out',
    'runs/illustrative',
    'Folder for figures and tables.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'seeds', 10, 'Seeds to run.', lower_bound=2, flag_values=flag_values
  )
  flags.DEFINE_integer(
    'seed', 1, 'Root of every seed.', lower_bound=0, flag_values=flag_values
  )
  figure1.define_flags(flag_values)


def run(flag_values: flags.FlagValues) -> int:
  """Runs the experiment; returns 0."""
  chosen = flag_values.experiment
  for other, names in _OPTIONS.items():
    needless = [name for name in names if flag_values[name].present]
    if needless and chosen != other:
      raise ValueError(f'--experiment={chosen} has no {needless}.')
  out = pathlib.Path(flag_values.out)
  out.mkdir(parents=True, exist_ok=True)
  _EXPERIMENTS[chosen](flag_values, out)
  return 0
