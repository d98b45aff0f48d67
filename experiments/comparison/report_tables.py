"""The tables of a report: rows of text, the same in HTML and CSV.

A place without a run says so; nothing is filled in.
"""

from typing import NamedTuple

import numpy as np

from experiments.comparison import external
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.scores import atari57
from experiments.scores import estimates

Row = dict[str, str]

NOT_RUN, FAILED = results_lib.NOT_RUN, results_lib.FAILED
_PARTIAL, _NO_HUMAN, _NO_SCORE = 'partial', 'no human score', 'no score'
# What stands where a number is missing.
STATUSES = (
  NOT_RUN,
  FAILED,
  results_lib.UNFINISHED,
  _PARTIAL,
  _NO_HUMAN,
  _NO_SCORE,
)
_PUBLISHED_ROWS = tuple(
  dict.fromkeys(cell.learned for cell in atari57.PUBLISHED_MEDIANS)
)
_DISCOUNTS = (0.99, 0.995)


class Contender(NamedTuple):
  """A variant of the study, or another system."""

  label: str
  variant: study_lib.Variant | None  # None: another system.
  scores: dict[str, dict[str, np.ndarray]]  # [protocol][game]: raw, per seed.
  curves: dict[str, list[external.Curve]]  # [game]: of finished runs.
  hypers: dict[str, list[dict[str, np.ndarray]]]  # [game]: with env_frames.

  @property
  def title(self) -> str:
    """With the reference discount."""
    return _title(self.variant) if self.variant else self.label


def _title(variant: study_lib.Variant) -> str:
  return f'{variant.label}, {variant.reference_discount:g}'


def contenders(
  study: study_lib.Study,
  results: list[results_lib.Result],
  others: list[tuple[str, external.Runs]],
) -> list[Contender]:
  """All that is compared: the study's variants, then other systems.

  Raises:
    ValueError: another system has no game of the study.
  """
  found = [
    _of_variant(
      study,
      variant,
      [result for result in results if result.run.variant == variant],
    )
    for variant in study.variants
  ]
  return found + [_of_other(study, *other) for other in others]


def _of_variant(study, variant, results) -> Contender:
  scores = {protocol: {} for protocol in study.protocols}
  curves, hypers = {}, {}
  for result in results:
    game = result.run.game
    for protocol, summary in result.evaluations.items():
      before = scores[protocol].get(game, np.zeros(0))
      scores[protocol][game] = np.append(before, summary['mean'])
    if result.curves is not None:
      hypers.setdefault(game, []).append(result.curves)
      returns = result.curves['mean_return_100']
      known = np.isfinite(returns)  # Not before the first episode has ended.
      if known.any():
        curves.setdefault(game, []).append(
          external.Curve(result.curves['env_frames'][known], returns[known])
        )
  return Contender(variant.label, variant, scores, curves, hypers)


def _of_other(study, name: str, runs: external.Runs) -> Contender:
  scores, curves = {}, {}
  budget = study.config(study.runs()[0]).total_env_frames
  if not {game for game, _ in runs} & set(study.games):
    raise ValueError(
      f'{name} has no game of the study, but'
      f' {sorted({game for game, _ in runs})}.'
    )
  for (game, _), curve in sorted(runs.items()):
    score = curve.score(budget)
    if game in study.games and score is not None:  # All frames, or not at all.
      scores[game] = np.append(scores.get(game, np.zeros(0)), score)
      curves.setdefault(game, []).append(curve)
  return Contender(name, None, {'noop': scores}, curves, {})


def medians(
  study: study_lib.Study,
  results: list[results_lib.Result],
  found: list[Contender],
) -> list[Row]:
  """MGRL's table 1, a row a cell; more rows for what the table lacks.

  A median is of all games of the study or is not there: others could not be
  compared.
  """
  by_variant = {
    contender.variant: contender for contender in found if contender.variant
  }
  variants = [
    study_lib.Variant(learned, discount)
    for learned in _PUBLISHED_ROWS
    for discount in _DISCOUNTS
  ]
  variants += [variant for variant in study.variants if variant not in variants]
  rows = []
  for protocol in reversed(atari57.PROTOCOLS):  # Human starts come first.
    for variant in variants:
      row = _place(variant.label, protocol, f'{variant.reference_discount:g}')
      contender = by_variant.get(variant)
      if contender and protocol in study.protocols:
        row |= _median(study, contender, protocol)
        row['status'] = _status(
          study,
          protocol,
          [result for result in results if result.run.variant == variant],
        )
      published = _published(variant, protocol)
      rows.append(row | {'published': _text(published)})
    for contender in found:
      if contender.variant is None:
        row = _place(contender.label, protocol, '')
        if protocol == 'noop':
          row |= _median(study, contender, protocol)
          row['status'] = _other_status(study, contender)
        rows.append(row | {'published': ''})
  return rows


def _published(variant: study_lib.Variant, protocol: str) -> float | None:
  table = (
    atari57.PUBLISHED_MEDIANS
    if variant.conditioning
    else atari57.PUBLISHED_UNCONDITIONED
  )
  return table.get(
    atari57.Cell(
      tuple(sorted(variant.learned)), protocol, variant.reference_discount
    )
  )


def _place(label: str, protocol: str, discount: str) -> Row:
  return {
    'learned': label,
    'protocol': protocol,
    'reference_discount': discount,
    'status': NOT_RUN,
    'median': '',
    'low': '',
    'high': '',
    'games': '0',
    'study_games': '',
    'runs': '0',
  }


def _median(study, contender: Contender, protocol: str) -> Row:
  runs = _normalised(contender, protocol)
  games = _human_games(study)
  counts = {
    'games': str(len(runs)),
    'study_games': str(len(games)),
    'runs': str(sum(map(len, runs.values()))),
  }
  if not runs or runs.keys() != games:
    return counts
  estimate = estimates.median(list(runs.values()))
  return counts | dict(zip(('median', 'low', 'high'), map(_text, estimate)))


def _human_games(study: study_lib.Study) -> set[str]:
  return set(filter(atari57.has_human_score, study.games))


def _normalised(contender: Contender, protocol: str) -> dict[str, np.ndarray]:
  """Human-normalised scores by game, where there is a human score."""
  return {
    game: np.array(
      [atari57.human_normalised(game, score, protocol) for score in scores]
    )
    for game, scores in contender.scores.get(protocol, {}).items()
    if atari57.has_human_score(game)
  }


def _status(
  study: study_lib.Study, protocol: str, results: list[results_lib.Result]
) -> str:
  states = {result.status for result in results}
  evaluated = [protocol in result.evaluations for result in results]
  if any(evaluated):
    if not _human_games(study):
      return _NO_HUMAN
    return results_lib.DONE if all(evaluated) else _PARTIAL
  return next(
    status
    for status in (FAILED, results_lib.UNFINISHED, NOT_RUN)
    if status in states
  )


def _other_status(study: study_lib.Study, contender: Contender) -> str:
  if not contender.scores['noop']:
    return results_lib.UNFINISHED
  if not _human_games(study):
    return _NO_HUMAN
  has_all = contender.scores['noop'].keys() == set(study.games)
  return results_lib.DONE if has_all else _PARTIAL


def scores(
  study: study_lib.Study,
  results: list[results_lib.Result],
  found: list[Contender],
) -> list[Row]:
  """The raw mean of each game, with the 95% interval over seeds."""
  return [
    _score(study, results, contender, protocol, game)
    for protocol in study.protocols
    for game in study.games
    for contender in found
    if protocol in contender.scores
  ]


def _score(study, results, contender, protocol, game) -> Row:
  raw = contender.scores[protocol].get(game)
  row = {
    'game': game,
    'protocol': protocol,
    'variant': contender.title,
    'seeds': str(0 if raw is None else len(raw)),
    'mean': '',
    'low': '',
    'high': '',
    'human_normalised': '',
  }
  for network in ('shallow', 'deep'):
    published = atari57.published_impala(game, network)
    row[f'published_impala_{network}'] = _raw(
      published if protocol == 'noop' else None
    )
  if raw is None:
    states = {
      result.status
      for result in results
      if (result.run.game, result.run.variant) == (game, contender.variant)
    }
    row['mean'] = next(
      (
        status
        for status in (FAILED, results_lib.UNFINISHED)
        if status in states
      ),
      NOT_RUN if contender.variant else _NO_SCORE,
    )
    return row
  row |= dict(zip(('mean', 'low', 'high'), map(_raw, estimates.mean(raw))))
  if atari57.has_human_score(game):
    row['human_normalised'] = _text(
      atari57.human_normalised(game, raw.mean(), protocol)
    )
  return row


def aggregates(study: study_lib.Study, found: list[Contender]) -> list[Row]:
  """Interquartile mean, and probability of improvement over {}.

  Both are of all games of the study or are not there.
  """
  rows = []
  for protocol in study.protocols:
    for contender in found:
      runs = _normalised(contender, protocol)
      row = {
        'protocol': protocol,
        'variant': contender.title,
        'games': str(len(runs)),
        'runs': str(sum(map(len, runs.values()))),
        **_columns(
          'iqm',
          estimates.interquartile_mean(list(runs.values()))
          if runs and runs.keys() == _human_games(study)
          else None,
        ),
      }
      rows.append(row | _improvement(study, contender, protocol, found))
  return rows


def baseline(contender: Contender, found: list[Contender]) -> Contender | None:
  """The {} that a contender is compared with, if the study has it."""
  plain = [
    other
    for other in found
    if other.variant and not other.variant.learned and other is not contender
  ]
  if contender.variant is None:
    return plain[0] if plain else None
  same = [
    other
    for other in plain
    if other.variant.reference_discount == contender.variant.reference_discount
  ]
  return same[0] if same and contender.variant.learned else None


def common_games(
  contender: Contender, other: Contender, protocol: str
) -> list[str]:
  """The games that both have, in the order of the first."""
  return [
    game
    for game in contender.scores.get(protocol, {})
    if game in other.scores.get(protocol, {})
  ]


def _improvement(
  study, contender: Contender, protocol: str, found: list[Contender]
) -> Row:
  other = baseline(contender, found)
  games = common_games(contender, other, protocol) if other else []
  estimate = (
    estimates.probability_of_improvement(
      [contender.scores[protocol][game] for game in games],
      [other.scores[protocol][game] for game in games],
    )
    if set(games) == set(study.games)
    else None
  )
  return {
    'over': other.title if other else '',
    'common_games': str(len(games)),
    **_columns('probability', estimate, digits=2),
  }


def runs(results: list[results_lib.Result]) -> list[Row]:
  """How every run of the study stands."""
  return [
    {
      'game': result.run.game,
      'variant': _title(result.run.variant),
      'seed': str(result.run.seed),
      'status': result.status,
      'env_frames': str(result.env_frames),
      **{
        f'{protocol}_mean': _raw(summary['mean'])
        for protocol, summary in result.evaluations.items()
      },
      'reason': result.reason,
    }
    for result in results
  ]


def _columns(
  name: str, estimate: estimates.Estimate | None, digits: int = 1
) -> Row:
  values = estimate or (None, None, None)
  return dict(
    zip(
      (name, f'{name}_low', f'{name}_high'),
      (_text(value, digits) for value in values),
    )
  )


def _text(value: float | None, digits: int = 1) -> str:
  return '' if value is None else f'{value:.{digits}f}'


def _raw(score: float | None) -> str:
  return _text(score, digits=2)


def columns(rows: list[Row]) -> list[str]:
  """Every column that a row has, in the order of their first coming."""
  return list(dict.fromkeys(name for row in rows for name in row))
