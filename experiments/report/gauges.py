"""How far eta travelled in each run, and how healthy its meta-gradient was."""

from typing import NamedTuple

import numpy as np

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import tables
from seed_metagrad import config as config_lib

# Those of learner/health.py, which needs TensorFlow.
LEAST_TRAVEL = 1.0
NOISE_LEVEL = 0.02
_HARDLY = 0.5  # Logits: .99 becomes .994 at most.

TOO_SHORT = 'too short to learn it'
HARDLY_MOVED = 'hardly moved'
NO_SIGNAL = 'moved; at the end only noise'  # It has arrived, or drifted.
MOVED = 'moved'


class Gauge(NamedTuple):
  """A meta-parameter that runs of one contender learned on one game.

  Means over its runs; NaN where the runs did not log it.
  """

  game: str
  title: str
  name: str
  runs: int
  start: float
  end: float
  low: float  # The lowest end of a run.
  high: float
  travelled: float  # Logits, from the start to the end.
  possible: float  # Logits: meta learning rate x updates, of its config.json.
  signal_to_noise: float  # One meta-gradient, at the end; absolute.
  sign_agreement: float  # The two halves of tau', over the run.
  outer_advantage: float  # Mean of the last tenth of the run.

  @property
  def says(self) -> str:
    """What became of it, in words."""
    if self.possible < LEAST_TRAVEL:
      return TOO_SHORT
    if abs(self.travelled) < _HARDLY:
      return HARDLY_MOVED
    if self.signal_to_noise < NOISE_LEVEL:
      return NO_SIGNAL
    return MOVED


def find(
  study: study_lib.Study, found: list[contenders.Contender]
) -> list[Gauge]:
  """A gauge for each meta-parameter, game and contender that learned it."""
  return [
    _gauge(study, contender, game, name, contender.learned[game])
    for contender in found
    if contender.variant
    for name in contender.variant.learned
    for game in study.games
    if contender.learned.get(game)
  ]


def findings(gauges: list[Gauge]) -> list[str]:
  """What the gauges say of each meta-parameter, in a sentence each."""
  sentences = []
  for name in dict.fromkeys(gauge.name for gauge in gauges):
    ours = [gauge for gauge in gauges if gauge.name == name]
    still = [gauge for gauge in ours if gauge.says in (TOO_SHORT, HARDLY_MOVED)]
    plain = name.rstrip('_').replace('_', ' ')
    least, most = (f([gauge.travelled for gauge in ours]) for f in (min, max))
    possible = np.array([gauge.possible for gauge in ours])
    distance = ' to '.join(dict.fromkeys([f'{least:+.2f}', f'{most:+.2f}']))
    moved = f'The logit of the learned {plain} travelled {distance}'
    if not np.isnan(possible).all():
      moved += (
        f' of at most {np.nanmax(possible):.3g} (meta learning rate x updates)'
      )
    if still:
      moved += (
        f'; in {len(still)} of {len(ours)} cases it hardly moved, so these'
        ' compare agents whose values are nearly fixed'
      )
    sentences.append(f'{moved}.')
  return sentences


def rows(gauges: list[Gauge]) -> list[tables.Row]:
  """A row each, for a table."""
  return [
    {
      'game': gauge.game,
      'variant': gauge.title,
      'meta_parameter': gauge.name.rstrip('_'),
      'runs': str(gauge.runs),
      'start': f'{gauge.start:.4g}',
      'end': f'{gauge.end:.4g}',
      'end_low': f'{gauge.low:.4g}',
      'end_high': f'{gauge.high:.4g}',
      'travelled': tables.text(gauge.travelled, 2),
      'possible': tables.text(gauge.possible, 2),
      'signal_to_noise': tables.text(gauge.signal_to_noise, 3),
      'sign_agreement': tables.text(gauge.sign_agreement, 2),
      'outer_advantage': tables.text(gauge.outer_advantage, 4),
      'says': gauge.says,
    }
    for gauge in gauges
  ]


def _gauge(
  study: study_lib.Study,
  contender: contenders.Contender,
  game: str,
  name: str,
  runs: list[results_lib.Columns],
) -> Gauge:
  assert contender.variant
  config = study.config(study_lib.Run(game, contender.variant, study.seeds[0]))
  start = float(getattr(config, name))
  ends = np.array([run[name][-1] for run in runs])
  updates = _last(runs, results_lib.NUM_UPDATES)
  travelled = _last(runs, results_lib.TRAVELLED + name)
  if np.isnan(travelled).all():
    travelled = _logit(ends, name, config) - _logit(start, name, config)
  return Gauge(
    game,
    contender.title,
    name,
    len(runs),
    start,
    float(ends.mean()),
    float(ends.min()),
    float(ends.max()),
    _mean(travelled),
    _meta_learning_rate(contender, game) * _mean(updates),
    abs(_mean(_last(runs, results_lib.SIGNAL + name))),
    _mean(_last(runs, results_lib.SIGN_AGREEMENT + name)),
    _mean(np.array([_tail(run, results_lib.OUTER_ADVANTAGE) for run in runs])),
  )


def _meta_learning_rate(contender: contenders.Contender, game: str) -> float:
  """As its runs wrote it: a preset may be another one by now."""
  for result in contender.results:
    if result.run.game == game and 'meta_learning_rate' in result.config:
      return float(result.config['meta_learning_rate'])
  return np.nan


def _logit(
  value: float | np.ndarray, name: str, config: config_lib.Config
) -> np.ndarray:
  """As in `meta_parameters.init`, without TensorFlow."""
  low, high = config_lib.bounds(config)[name]
  fraction = np.asarray((value - np.float64(low)) / (high - low))
  fraction = np.where(fraction >= 1.0, 0.99, fraction)
  return np.asarray(np.log(fraction / (1 - fraction)))


def _last(runs: list[results_lib.Columns], name: str) -> np.ndarray:
  return np.array([run[name][-1] if name in run else np.nan for run in runs])


def _tail(run: results_lib.Columns, name: str) -> float:
  if name not in run:
    return np.nan
  return _mean(run[name][-max(1, len(run[name]) // 10) :])


def _mean(values: np.ndarray) -> float:
  """The mean of what is known."""
  known = values[~np.isnan(values)]
  return float(known.mean()) if len(known) else np.nan
