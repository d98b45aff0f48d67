"""MGRL's prediction experiments: a discount and a lambda learned per state.

Writes figure1.png, trace.png, final_values.csv, curves.csv and comparison.csv
into --out. With --control: a learned discount on the chain, with the agent that
`train` runs, as control.png, control_curves.csv and control_final.csv there.
"""

import csv
import pathlib
from typing import NamedTuple

from absl import flags

from learner import quiet_tensorflow  # noqa: F401 isort: skip, the first.
import numpy as np
import tqdm

from experiments.illustrative import chain_control
from experiments.illustrative import figures as illustrative_pictures
from experiments.illustrative import markov_processes
from experiments.illustrative import prediction
from experiments.scores import estimates

_MUS = (0.0, 0.5, 0.9, 1.0)  # Of trace.png.
_GRID = np.linspace(0.0, 1.0, 21)  # Of the fixed values to compare with.
_CURVE_EVERY = 10  # Updates between two rows of curves.csv.
_NOT_CONTROL = (
  'episodes',
  'mu',
  'n_step',
  'learning_rate',
  'meta_learning_rate',
  'meta_optimizer',
  'inner_updates',
)


class Outcome(NamedTuple):
  """What came out on one process, of S seeds."""

  process: markov_processes.Process
  learned: dict[float, np.ndarray]  # By mu, after K updates: [K, S, N].
  learned_error: np.ndarray  # Of v(s), at --mu: [S].
  fixed_error: np.ndarray  # For each fixed value of the grid: [G, S].


def define_flags(flag_values: flags.FlagValues):
  """Defines the flags of both experiments."""

  def define(kind, name, default, text, **settings):
    kind(name, default, text, flag_values=flag_values, **settings)

  integer, real = flags.DEFINE_integer, flags.DEFINE_float
  define(
    flags.DEFINE_string,
    'out',
    'runs/illustrative',
    'Folder for pictures and tables.',
  )
  define(integer, 'seeds', 10, 'How many seeds.', lower_bound=2)
  define(integer, 'seed', 1, 'The root of every seed.', lower_bound=0)
  define(
    flags.DEFINE_bool,
    'control',
    False,
    'Learn a discount on the chain instead; up to 40 minutes.',
  )
  define(integer, 'episodes', 2000, 'Episodes of each seed.', lower_bound=100)
  define(
    real,
    'mu',
    0.5,
    'Decay of the trace; 1 - learning_rate makes it exact'
    ' for lambda 1 (results/illustrative/README.md).',
    lower_bound=0.0,
    upper_bound=1.0,
  )
  define(
    integer,
    'n_step',
    0,
    'n of n-step returns, which have no lambda to'
    ' learn: process A alone. 0 is TD(lambda).',
    lower_bound=0,
  )
  define(real, 'learning_rate', 0.5, 'Of the values.', lower_bound=0.0)
  define(
    real,
    'meta_learning_rate',
    0.03,
    "Of the learned values' logits.",
    lower_bound=0.0,
  )
  flags.DEFINE_enum(
    'meta_optimizer',
    'adam',
    ['adam', 'sgd'],
    'On the logits.',
    flag_values=flag_values,
  )
  define(
    integer,
    'inner_updates',
    1,
    'Episodes learned from per meta-update.',
    lower_bound=1,
    upper_bound=20,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Runs one of the two experiments; returns 0."""
  out = pathlib.Path(flag_values.out)
  out.mkdir(parents=True, exist_ok=True)
  if flag_values.control:
    needless = [name for name in _NOT_CONTROL if flag_values[name].present]
    if needless:
      raise ValueError(f'--control has no {needless}.')
    _control(out, range(flag_values.seed, flag_values.seed + flag_values.seeds))
  else:
    _predict(flag_values, out)
  return 0


def _predict(flag_values, out: pathlib.Path):
  """Runs both processes, writes tables and pictures, prints the findings."""
  settings = prediction.Settings(
    flag_values.learning_rate,
    flag_values.meta_learning_rate,
    flag_values.meta_optimizer,
    flag_values.n_step,
    flag_values.inner_updates,
  )
  processes = dict(markov_processes.PROCESSES)
  if settings.n_step:
    del processes['B']
  updates = flag_values.episodes // settings.inner_updates
  with tqdm.tqdm(total=2 * len(processes) * updates, unit='update') as bar:
    outcomes = {
      name: _outcome(process, settings, flag_values, bar)
      for name, process in processes.items()
    }
  mu = flag_values.mu
  _write(
    out / 'final_values.csv',
    ('process', 'seed', 'state', 'kind', 'value'),
    _final_values(outcomes, mu),
  )
  _write(
    out / 'curves.csv',
    ('process', 'mu', 'kind', 'episode', 'mean', 'low', 'high'),
    _curves(outcomes, settings.inner_updates),
  )
  comparison = list(_comparison(outcomes))
  _write(
    out / 'comparison.csv',
    ('process', 'hyper', 'value', 'mse', 'low', 'high'),
    comparison,
  )
  illustrative_pictures.figure1(outcomes, mu, settings.inner_updates).savefig(
    out / 'figure1.png', dpi=150
  )
  illustrative_pictures.trace(outcomes, settings.inner_updates).savefig(
    out / 'trace.png', dpi=150
  )
  _report(outcomes, mu, comparison)


def _outcome(
  process, settings: prediction.Settings, flag_values, bar: tqdm.tqdm
) -> Outcome:
  """Trains all seeds with every mu, and with every fixed value."""
  seeds = flag_values.seeds
  rewards = np.stack(
    [
      process.rewards(
        np.random.default_rng([flag_values.seed, seed]),
        flag_values.episodes + 1,
      )
      for seed in range(seeds)
    ]
  )
  mus = sorted({*_MUS, flag_values.mu})

  def by(group, table):  # [K, groups * S, N] -> [K, S, N].
    return table[:, group * seeds : (group + 1) * seeds]

  history = prediction.learn(
    process,
    np.tile(rewards, [len(mus), 1, 1]),
    np.repeat(mus, seeds),
    settings,
    bar,
  )
  fixed = prediction.learn_values(
    process,
    np.tile(rewards, [len(_GRID), 1, 1]),
    np.repeat(_GRID, seeds),
    settings,
    bar,
  )
  return Outcome(
    process,
    {mu: by(k, history.learned) for k, mu in enumerate(mus)},
    _error(process, by(mus.index(flag_values.mu), history.values)),
    np.stack([_error(process, by(k, fixed.values)) for k in range(len(_GRID))]),
  )


def _error(process, values):
  """Squared error of v, mean over states and the last quarter: [S]."""
  last = values[-(len(values) // 4) :]
  return np.mean(np.square(last - process.true_values), axis=(0, 2))


def _final_values(outcomes, mu):
  for name, outcome in outcomes.items():
    kinds = outcome.process.kinds()
    for seed, values in enumerate(outcome.learned[mu][-1]):
      for state, (kind, value) in enumerate(zip(kinds, values), start=1):
        yield name, seed, state, kind, f'{value:.4f}'


def _curves(outcomes, inner_updates):
  for name, outcome in outcomes.items():
    for mu, learned in outcome.learned.items():
      for kind, (mean, low, high) in illustrative_pictures.bands(
        outcome.process, learned
      ).items():
        for k in range(_CURVE_EVERY - 1, len(mean), _CURVE_EVERY):
          yield (
            name,
            mu,
            kind,
            (k + 1) * inner_updates,
            *(f'{x[k]:.4f}' for x in (mean, low, high)),
          )


def _comparison(outcomes):
  """Errors with 95% bootstrap intervals; the last row of each is paired."""
  for name, outcome in outcomes.items():
    best = np.argmin(np.mean(outcome.fixed_error, axis=1))
    rows = [
      ('learned', '', outcome.learned_error),
      *(
        ('fixed', f'{value:.2f}', error)
        for value, error in zip(_GRID, outcome.fixed_error)
      ),
      (
        'best fixed - learned',
        f'{_GRID[best]:.2f}',
        outcome.fixed_error[best] - outcome.learned_error,
      ),
    ]
    for hyper, value, errors in rows:
      yield name, hyper, value, *(f'{x:.4f}' for x in estimates.mean(errors))


def _report(outcomes, mu, comparison):
  for name, outcome in outcomes.items():
    process, final = outcome.process, outcome.learned[mu][-1]
    ordered = np.count_nonzero(
      np.min(final[:, process.high], axis=1)
      > np.max(final[:, ~process.high], axis=1)
    )
    print(
      f'{name}: {process.learned.rstrip("_")} of every {process.high_kind}'
      f' state above every {process.low_kind} one in {ordered} of'
      f' {len(final)} seeds.'
    )
  for name, hyper, value, mean, low, high in comparison:
    if hyper != 'fixed' or value == '1.00':
      print(
        f'{name}: squared error, {" ".join([hyper, value]).strip()}:'
        f' {mean} [{low}, {high}]'
      )


def _control(out: pathlib.Path, seeds: range):
  """Trains on the chain, writes tables and the picture, prints the end."""
  variants, updates = chain_control.VARIANTS, chain_control.NUM_UPDATES
  with tqdm.tqdm(
    total=len(variants) * len(seeds) * updates, unit='update'
  ) as bar:
    curves = {
      name: chain_control.train(
        chain_control.make_config(*variant, updates), seeds, bar
      )
      for name, variant in variants.items()
    }
  _write(
    out / 'control_curves.csv',
    ('variant', 'seed', 'update', 'discount', 'waiting'),
    (
      (name, seed, k + 1, f'{of.discount[i, k]:.4f}', f'{of.waiting[i, k]:.4f}')
      for name, of in curves.items()
      for i, seed in enumerate(seeds)
      for k in range(_CURVE_EVERY - 1, updates, _CURVE_EVERY)
    ),
  )
  final = [
    (
      name,
      quantity,
      *(
        f'{x:.4f}'
        for x in estimates.mean(np.mean(table[:, -updates // 20 :], axis=1))
      ),
    )
    for name, of in curves.items()
    for quantity, table in of._asdict().items()
  ]
  _write(
    out / 'control_final.csv',
    ('variant', 'quantity', 'mean', 'low', 'high'),
    final,
  )
  illustrative_pictures.control(curves).savefig(out / 'control.png', dpi=150)
  for name, quantity, mean, low, high in final:
    print(f'{name}: {quantity} at the end: {mean} [{low}, {high}]')


def _write(path: pathlib.Path, columns, rows):
  with open(path, 'w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(rows)
