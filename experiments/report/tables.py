"""The tables of a report: rows of text, the same in HTML and CSV.

A place without a run says so; nothing is filled in.
"""

import numpy as np

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.scores import atari57
from experiments.scores import estimates

Row = dict[str, str]

NOT_RUN, FAILED = results_lib.NOT_RUN, results_lib.FAILED
UNFINISHED = results_lib.UNFINISHED
_PARTIAL, _NO_HUMAN, _NO_SCORE = 'partial', 'no human score', 'no score'
# What stands where a number is missing.
STATUSES = (NOT_RUN, FAILED, UNFINISHED, _PARTIAL, _NO_HUMAN, _NO_SCORE)
_PUBLISHED_ROWS = tuple(
  dict.fromkeys(cell.learned for cell in atari57.PUBLISHED_MEDIANS)
)
_DISCOUNTS = (0.99, 0.995)


def medians(
  study: study_lib.Study,
  results: list[results_lib.Result],
  found: list[contenders.Contender],
) -> list[Row]:
  """MGRL's table 1, a row a cell; more rows for what the table lacks.

  A median is of all games of the study that have a human score, or is not
  there: others could not be compared.
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
      rows.append(row | {'published': text(published)})
    for contender in found:
      if contender.variant is None:
        row = _place(contender.label, protocol, '')
        if protocol == 'noop':
          row |= _median(study, contender, protocol)
          row['status'] = _other_status(study, contender)
        rows.append(row | {'published': ''})
  return rows


def _published(variant: study_lib.Variant, protocol: str) -> float | None:
  if variant.settings:
    return None
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
    'human_games': '0',
    'runs': '0',
  }


def _median(
  study: study_lib.Study, contender: contenders.Contender, protocol: str
) -> Row:
  runs = contenders.human_normalised(contender, protocol)
  row = {**_counts(contender, protocol), 'study_games': str(len(study.games))}
  if not runs or runs.keys() != _human_games(study):
    return row
  estimate = estimates.median(list(runs.values()))
  return row | columns('median low high', estimate)


def _counts(contender: contenders.Contender, protocol: str) -> Row:
  """How many games and runs have a score, a human one or not."""
  scores = contender.scores.get(protocol, {})
  return {
    'games': str(len(scores)),
    'human_games': str(sum(map(atari57.has_human_score, scores))),
    'runs': str(sum(map(len, scores.values()))),
  }


def _human_games(study: study_lib.Study) -> set[str]:
  return set(filter(atari57.has_human_score, study.games))


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
    status for status in (FAILED, UNFINISHED, NOT_RUN) if status in states
  )


def _other_status(
  study: study_lib.Study, contender: contenders.Contender
) -> str:
  if not contender.scores['noop']:
    return UNFINISHED
  if not _human_games(study):
    return _NO_HUMAN
  has_all = contender.scores['noop'].keys() == set(study.games)
  return results_lib.DONE if has_all else _PARTIAL


def scores(
  study: study_lib.Study,
  results: list[results_lib.Result],
  found: list[contenders.Contender],
) -> list[Row]:
  """The raw mean of each game, with the 95% interval over seeds."""
  return [
    _score(results, contender, protocol, game)
    for protocol in study.protocols
    for game in study.games
    for contender in found
    if protocol in contender.scores
  ]


def _score(
  results: list[results_lib.Result],
  contender: contenders.Contender,
  protocol: str,
  game: str,
) -> Row:
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
    'learned_at_the_end': _ends(contender, game),
  }
  for network in ('shallow', 'deep'):
    published = atari57.published_impala(game, network)
    row[f'published_impala_{network}'] = _raw(
      published if protocol == 'noop' else None
    )
  if raw is None:
    return row | {'mean': _missing_score(results, contender, game)}
  row |= columns('mean low high', estimates.mean(raw), digits=2)
  if atari57.has_human_score(game):
    row['human_normalised'] = text(
      atari57.human_normalised(game, float(np.mean(raw)), protocol)
    )
  return row


def _missing_score(
  results: list[results_lib.Result], contender: contenders.Contender, game: str
) -> str:
  if contender.variant is None:
    return _NO_SCORE
  states = {
    result.status
    for result in results
    if result.run.game == game and result.run.variant == contender.variant
  }
  missing = (FAILED, UNFINISHED)
  return next((status for status in missing if status in states), NOT_RUN)


def aggregates(
  study: study_lib.Study, found: list[contenders.Contender]
) -> list[Row]:
  """Interquartile mean, and probability of improvement over {}.

  Both are of all games of the study or are not there; the first of those with a
  human score.
  """
  rows = []
  for protocol in study.protocols:
    for contender in found:
      runs = contenders.human_normalised(contender, protocol)
      mean = None
      if runs and runs.keys() == _human_games(study):
        mean = estimates.interquartile_mean(list(runs.values()))
      rows.append(
        {
          'protocol': protocol,
          'variant': contender.title,
          **_counts(contender, protocol),
          **columns('iqm iqm_low iqm_high', mean),
          **_improvement(study, contender, protocol, found),
        }
      )
  return rows


def _improvement(
  study: study_lib.Study,
  contender: contenders.Contender,
  protocol: str,
  found: list[contenders.Contender],
) -> Row:
  over, games, estimate = '', [], None
  other = contenders.baseline(contender, found)
  if other:
    over = other.title
    games = contenders.common_games(contender, other, protocol)
    if set(games) == set(study.games):
      estimate = estimates.probability_of_improvement(
        [contender.scores[protocol][game] for game in games],
        [other.scores[protocol][game] for game in games],
      )
  return {
    'over': over,
    'common_games': str(len(games)),
    **columns(
      'probability probability_low probability_high', estimate, digits=2
    ),
  }


def runs(results: list[results_lib.Result]) -> list[Row]:
  """How every run of the study stands."""
  return [
    {
      'game': result.run.game,
      'variant': result.run.variant.title,
      'seed': str(result.run.seed),
      'status': result.status,
      'env_frames': str(result.env_frames),
      **_evaluations(result),
      'seconds': text(result.cost.seconds, 0),
      'frames_per_s': text(result.cost.frames_per_s, 0),
      'commit': result.machine.commit,
      'reason': result.reason,
    }
    for result in results
  ]


def _evaluations(result: results_lib.Result) -> Row:
  """The mean of each protocol, and its 95% interval over episodes."""
  row = {}
  for protocol, evaluation in result.evaluations.items():
    row[f'{protocol}_mean'] = _raw(evaluation.mean)
    row[f'{protocol}_low'] = _raw(evaluation.low)
    row[f'{protocol}_high'] = _raw(evaluation.high)
    row[f'{protocol}_episodes'] = str(evaluation.episodes)
  return row


def columns(
  names: str,
  estimate: estimates.Estimate | estimates.Difference | None,
  digits: int = 1,
) -> Row:
  """An estimate in three columns, empty without one."""
  values = estimate[:3] if estimate else (None, None, None)
  texts = [text(value, digits) for value in values]
  return dict(zip(names.split(), texts))


def text(value: float | None, digits: int = 1) -> str:
  """A number's text; empty without one, or where it is not finite."""
  if value is None or not np.isfinite(value):
    return ''
  return f'{value:.{digits}f}'


def _ends(contender: contenders.Contender, game: str) -> str:
  """The learned values at the end of training: mean, and range of the runs."""
  parts = []
  for name in contender.variant.learned if contender.variant else ():
    ends = [run[name][-1] for run in contender.learned.get(game, [])]
    if ends:
      low, high = (f'{f(ends):.4g}' for f in (min, max))
      spread = f' ({low} to {high})' if low != high else ''
      plain = name.rstrip('_').replace('_', ' ')
      parts.append(f'{plain} {np.mean(ends):.4g}{spread}')
  return ', '.join(parts)


def _raw(score: float | None) -> str:
  return text(score, digits=2)
