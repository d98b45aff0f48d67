"""MGRL's figure 1: a discount or a lambda for each state, by prediction."""

from collections.abc import Iterator
import pathlib
from typing import Any

from absl import flags

from learner import quiet_tensorflow  # noqa: F401 isort: skip, the first.
import numpy as np
import tqdm

from experiments.illustrative import figures
from experiments.illustrative import markov_processes
from experiments.illustrative import prediction
from experiments.illustrative import tables
from experiments.scores import estimates

OPTIONS = (
  'episodes',
  'mu',
  'n_step',
  'learning_rate',
  'meta_learning_rate',
  'meta_optimizer',
  'inner_updates',
)

_MUS = (0.0, 0.5, 0.9, 1.0)  # Panels of trace.png.
_GRID = np.linspace(0.0, 1.0, 21)  # Fixed values to compare with.

_Outcomes = dict[str, prediction.Outcome]  # By process.
_Comparison = tuple[str, str, str, str, str, str]  # A row of comparison.csv.


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines `OPTIONS`."""
  _define_integers(flag_values)
  _define_rates(flag_values)
  flags.DEFINE_enum(
    'meta_optimizer',
    'adam',
    ['adam', 'sgd'],
    'Optimizer of the logits of the meta-parameters.',
    flag_values=flag_values,
  )


def _define_integers(flag_values: flags.FlagValues) -> None:
  for name, default, least, most, text in (
    ('episodes', 2000, 100, None, 'Episodes of each seed.'),
    (
      'n_step',
      0,
      0,
      None,
      'n of n-step returns, which have no lambda to learn: process A alone (0:'
      ' TD(lambda)).',
    ),
    ('inner_updates', 1, 1, 20, 'Episodes learned from per meta-update.'),
  ):
    flags.DEFINE_integer(
      name,
      default,
      text,
      lower_bound=least,
      upper_bound=most,
      flag_values=flag_values,
    )


def _define_rates(flag_values: flags.FlagValues) -> None:
  for name, default, most, text in (
    (
      'mu',
      0.5,
      1.0,
      'Decay of the trace; 1 - learning_rate makes it exact for lambda 1'
      ' (results/illustrative/README.md).',
    ),
    ('learning_rate', 0.5, None, 'Learning rate of the values.'),
    (
      'meta_learning_rate',
      0.03,
      None,
      'Learning rate of the logits of the meta-parameters.',
    ),
  ):
    flags.DEFINE_float(
      name,
      default,
      text,
      lower_bound=0.0,
      upper_bound=most,
      flag_values=flag_values,
    )


def run(flag_values: flags.FlagValues, out: pathlib.Path) -> None:
  """Runs both processes, writes tables and figures, prints the findings."""
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
  comparison = list(_comparison(outcomes))
  tables.write(
    out / 'final_values.csv',
    ('process', 'seed', 'state', 'kind', 'value'),
    _final_values(outcomes, mu),
  )
  tables.write(
    out / 'curves.csv',
    ('process', 'mu', 'kind', 'episode', 'mean', 'low', 'high'),
    _curves(outcomes, settings.inner_updates),
  )
  tables.write(
    out / 'comparison.csv',
    ('process', 'hyperparameter', 'value', 'mse', 'low', 'high'),
    comparison,
  )
  figures.figure1(outcomes, mu, settings.inner_updates).savefig(
    out / 'figure1.png', dpi=150
  )
  figures.trace(outcomes, settings.inner_updates).savefig(
    out / 'trace.png', dpi=150
  )
  _report(outcomes, mu, comparison)


def _outcome(
  process: markov_processes.Process,
  settings: prediction.Settings,
  flag_values: flags.FlagValues,
  bar: 'tqdm.tqdm[Any]',
) -> prediction.Outcome:
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

  # [K, groups * S, N] -> [K, S, N].
  def by(group: int, table: np.ndarray) -> np.ndarray:
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
  assert history.learned is not None
  learned = history.learned
  return prediction.Outcome(
    process,
    {mu: by(k, learned) for k, mu in enumerate(mus)},
    _error(process, by(mus.index(flag_values.mu), history.values)),
    np.stack([_error(process, by(k, fixed.values)) for k in range(len(_GRID))]),
  )


def _error(process: markov_processes.Process, values: np.ndarray) -> np.ndarray:
  """Squared error of v, mean over states and the last quarter: [S]."""
  last = values[-(len(values) // 4) :]
  return np.asarray(np.mean(np.square(last - process.true_values), axis=(0, 2)))


def _final_values(
  outcomes: _Outcomes, mu: float
) -> Iterator[tuple[str, int, int, str, str]]:
  for name, outcome in outcomes.items():
    kinds = outcome.process.kinds()
    for seed, values in enumerate(outcome.learned[mu][-1]):
      for state, (kind, value) in enumerate(zip(kinds, values), start=1):
        yield name, seed, state, kind, f'{value:.4f}'


def _curves(
  outcomes: _Outcomes, inner_updates: int
) -> Iterator[tuple[object, ...]]:
  for name, outcome in outcomes.items():
    for mu, learned in outcome.learned.items():
      for kind, band in figures.bands(outcome.process, learned).items():
        for k in range(tables.EVERY - 1, len(band.mean), tables.EVERY):
          yield (
            name,
            mu,
            kind,
            (k + 1) * inner_updates,
            *(f'{x[k]:.4f}' for x in band),
          )


def _comparison(outcomes: _Outcomes) -> Iterator[_Comparison]:
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
    for kind, value, errors in rows:
      mean, low, high = (f'{x:.4f}' for x in estimates.mean(errors))
      yield name, kind, value, mean, low, high


def _report(
  outcomes: _Outcomes, mu: float, comparison: list[_Comparison]
) -> None:
  """Prints in how many seeds the values are in order, and the errors."""
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
  for name, kind, value, mean, low, high in comparison:
    if kind != 'fixed' or value == '1.00':
      print(
        f'{name}: squared error, {" ".join([kind, value]).strip()}:'
        f' {mean} [{low}, {high}]'
      )
