"""Who is better than whom, by how much, and whether the seeds can say so."""

from collections.abc import Iterable
import itertools
from typing import NamedTuple

import numpy as np

from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import tables
from experiments.scores import atari57
from experiments.scores import estimates

ENOUGH_SEEDS = 3  # Fewer say nothing about the spread of seeds.
_SIGNIFICANT = 0.05
_MOST_IN_PAIRS = 8  # Contenders; of more, each with its baseline alone.

BETTER, WORSE = 'better', 'worse'
NOT_ENOUGH = 'not enough seeds to say'
NO_DIFFERENCE = 'no difference to be seen'
PERHAPS = 'perhaps '  # Better or worse, before the correction.


class Verdict(NamedTuple):
  """A contender against another, on a game or over all."""

  protocol: str
  game: str  # '': over all games that both have.
  ours: str
  theirs: str
  is_baseline: bool  # The other is the contender's {}.
  games: int
  seeds: int  # The fewest that either has of a game.
  raw: estimates.Difference | None  # On one game.
  percent: estimates.Difference | None  # See `scale`.
  probability: estimates.Estimate
  corrected: float | None  # The p-value, for as many tests as there are.

  @property
  def p_value(self) -> float | None:
    """Of no difference, before the correction."""
    found = self.raw or self.percent
    return found.p_value if found else None

  @property
  def says(self) -> str:
    """What can be said of it, in words."""
    found = self.raw or self.percent
    if self.seeds < ENOUGH_SEEDS or not found or self.corrected is None:
      return NOT_ENOUGH
    kind = BETTER if found.value > 0 else WORSE
    if self.corrected < _SIGNIFICANT:
      return kind
    is_perhaps = self.p_value is not None and self.p_value < _SIGNIFICANT
    return PERHAPS + kind if is_perhaps else NO_DIFFERENCE


def find(
  study: study_lib.Study, found: list[contenders.Contender]
) -> list[Verdict]:
  """All pairs that are compared, each over all games first.

  p-values are corrected for all tests of a family: against a contender's {} or
  others, of single games or over all.
  """
  pairs = list(_pairs(found))
  verdicts = [
    verdict
    for protocol in study.protocols
    for ours, theirs, is_baseline in pairs
    for verdict in _of_pair(study, protocol, ours, theirs, is_baseline)
  ]
  corrected: dict[int, float | None] = {}
  for family in itertools.product((True, False), repeat=2):
    chosen = [
      number
      for number, verdict in enumerate(verdicts)
      if (bool(verdict.game), verdict.is_baseline) == family
    ]
    p_values = [verdicts[number].p_value for number in chosen]
    corrected |= dict(zip(chosen, estimates.corrected(p_values)))
  return [
    verdict._replace(corrected=corrected[number])
    for number, verdict in enumerate(verdicts)
  ]


def main(verdicts: list[Verdict]) -> list[Verdict]:
  """Those against a contender's {}."""
  return [verdict for verdict in verdicts if verdict.is_baseline]


def findings(study: study_lib.Study, verdicts: list[Verdict]) -> list[str]:
  """A sentence for each contender and its {}: over all, or of the one game."""
  chosen = main(verdicts)
  whole = {
    (verdict.protocol, verdict.ours) for verdict in chosen if not verdict.game
  }
  return [
    sentence(study, verdict)
    for verdict in chosen
    if not verdict.game or (verdict.protocol, verdict.ours) not in whole
  ]


def sentence(study: study_lib.Study, verdict: Verdict) -> str:
  """{discount} against {}: +4.1% [-3.0, +11.2] on 2 games, ..."""
  found, unit, digits = verdict.percent, '%', 1
  if found is None:
    found, unit, digits = verdict.raw, '', 2
  size = f'{found.value:+.{digits}f}{unit}' if found else 'no percentage'
  interval = ''
  if found and found.low is not None:
    interval = f' [{found.low:+.{digits}f}, {found.high:+.{digits}f}]'
  where = verdict.game or f'{verdict.games} games'
  if not verdict.game and verdict.games < len(study.games):
    where = f'{verdict.games} of {len(study.games)} games'
  says = verdict.says
  if says == NOT_ENOUGH:
    says += f' ({verdict.seeds} a game; at least {ENOUGH_SEEDS} are needed)'
  elif verdict.corrected is not None:
    says += f' (p {p_text(verdict.corrected, "= ")})'
  return (
    f'{verdict.ours} against {verdict.theirs}: {size}{interval} on {where},'
    f' probability of improvement {verdict.probability.value:.2f}: {says}.'
  )


def rows(verdicts: list[Verdict]) -> list[tables.Row]:
  """A row each, for a table."""
  return [
    {
      'protocol': verdict.protocol,
      'game': verdict.game or 'all games',
      'variant': verdict.ours,
      'against': verdict.theirs,
      'games': str(verdict.games),
      'seeds': str(verdict.seeds),
      **tables.columns('difference low high', verdict.raw, 2),
      **tables.columns('percent percent_low percent_high', verdict.percent),
      **tables.columns(
        'probability probability_low probability_high', verdict.probability, 2
      ),
      'p_value': '' if verdict.p_value is None else p_text(verdict.p_value),
      'corrected_p_value': (
        '' if verdict.corrected is None else p_text(verdict.corrected)
      ),
      'says': verdict.says,
    }
    for verdict in verdicts
  ]


def p_text(p_value: float, before: str = '') -> str:
  """Three digits, none of them made up; `before` stands before an equal one."""
  return '<0.001' if p_value < 0.001 else f'{before}{p_value:.3f}'


def scale(game: str, baseline: np.ndarray, protocol: str) -> float | None:
  """What 100% of improvement are, in raw score: max(human, other's) - random.

  As in Wang et al. 2016 (1511.06581, eq. 10), with |human - random| as in
  `atari57.human_normalised`; of other games the baseline's own score, where
  that is above 0.
  """
  mean = float(np.mean(baseline))
  if not atari57.has_human_score(game):
    return mean if mean > 0 else None
  zero, one, theirs = (
    atari57.human_normalised(game, score, protocol) for score in (0, 1, mean)
  )
  # Normalised scores: random is 0, |human - random| is 100.
  return max(100.0, theirs) / (one - zero)


def _pairs(
  found: list[contenders.Contender],
) -> Iterable[tuple[contenders.Contender, contenders.Contender, bool]]:
  """(contender, other, is it the baseline), a contender's baseline first."""
  main = [
    (contender, other, True)
    for contender in found
    if (other := contenders.baseline(contender, found))
  ]
  yield from main
  if len(found) <= _MOST_IN_PAIRS:
    seen = {frozenset((id(ours), id(theirs))) for ours, theirs, _ in main}
    for theirs, ours in itertools.combinations(found, 2):
      if frozenset((id(ours), id(theirs))) not in seen:
        yield ours, theirs, False


def _of_pair(
  study: study_lib.Study,
  protocol: str,
  ours: contenders.Contender,
  theirs: contenders.Contender,
  is_baseline: bool,
) -> Iterable[Verdict]:
  games = contenders.common_games(ours, theirs, protocol)
  samples = [
    (ours.scores[protocol][game], theirs.scores[protocol][game])
    for game in games
  ]
  scales = [
    scale(game, baseline, protocol)
    for game, (_, baseline) in zip(games, samples)
  ]
  if len(games) > 1:
    whole = None
    if None not in scales:
      whole = _percent(samples, [size for size in scales if size])
    yield _verdict(
      protocol, '', ours, theirs, is_baseline, samples, None, whole
    )
  for game, sample, size in zip(games, samples, scales):
    yield _verdict(
      protocol,
      game,
      ours,
      theirs,
      is_baseline,
      [sample],
      estimates.difference(*sample),
      _percent([sample], [size]) if size else None,
    )


_Samples = list[tuple[np.ndarray, np.ndarray]]


def _percent(samples: _Samples, scales: list[float]) -> estimates.Difference:
  return estimates.mean_difference(
    [ours for ours, _ in samples],
    [theirs for _, theirs in samples],
    [size / 100 for size in scales],
  )


def _verdict(
  protocol: str,
  game: str,
  ours: contenders.Contender,
  theirs: contenders.Contender,
  is_baseline: bool,
  samples: _Samples,
  raw: estimates.Difference | None,
  percent: estimates.Difference | None,
) -> Verdict:
  return Verdict(
    protocol,
    game,
    ours.title,
    theirs.title,
    is_baseline,
    len(samples),
    min(len(scores) for sample in samples for scores in sample),
    raw,
    percent,
    estimates.probability_of_improvement(
      [ours for ours, _ in samples], [theirs for _, theirs in samples]
    ),
    None,
  )
