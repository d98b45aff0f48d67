"""Forest plots: values with intervals in rows, on one scale, for the page."""

from collections.abc import Iterable
from typing import NamedTuple

from matplotlib import ticker

from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import starts
from experiments.report import tables
from experiments.report import verdicts
from experiments.scores import estimates
from experiments.scores import successors

_MOST_PERCENT = 100.0  # An interval may be wider; then it points outwards.
_KINDS = {verdicts.BETTER: 'better', verdicts.WORSE: 'worse'}


class Scale(NamedTuple):
  """The scale of a forest plot."""

  low: float
  high: float
  ticks: tuple[float, ...]

  @property
  def has_zero(self) -> bool:
    """Whether 0 is on it."""
    return self.low <= 0 <= self.high

  def at(self, value: float) -> float:
    """Where a value is, in % of the width; beyond the ends at the ends."""
    inside = min(max(value, self.low), self.high)
    return round(100 * (inside - self.low) / (self.high - self.low), 2)

  def width(self, low: float, high: float) -> float:
    """The width from one value to another, in %."""
    return round(self.at(high) - self.at(low), 2)

  def text(self, value: float) -> str:
    """A tick's label."""
    return f'{value:g}'


class Strip(NamedTuple):
  """A value on a scale, with its interval."""

  value: float
  low: float | None
  high: float | None
  text: str
  published: tuple[tuple[str, float], ...] = ()
  within: tuple[float, float] | None = None  # An interval to compare with.


def scale(strips: Iterable[Strip | None], most: float | None = None) -> Scale:
  """A scale for values and intervals; of those not much beyond +-`most`."""
  found = [strip for strip in strips if strip]
  values = [value for strip in found for value in _values(strip)]
  if most is not None:
    most = max([most, *(1.2 * abs(strip.value) for strip in found)])
    values = [0.0, *(min(max(value, -most), most) for value in values)]
  low, high = min(values), max(values)
  if low == high:
    low, high = low - 1, high + 1
  ticks = ticker.MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
  shown = tuple(float(round(tick, 10)) for tick in ticks)
  return Scale(shown[0], shown[-1], shown)


def _values(strip: Strip) -> Iterable[float]:
  yield strip.value
  if strip.low is not None and strip.high is not None:
    yield from (strip.low, strip.high)
  yield from (value for _, value in strip.published)


class VerdictLine(NamedTuple):
  """A row of the first plot, and the cost beside it."""

  verdict: verdicts.Verdict
  strip: Strip | None
  kind: str  # better, worse or unsure.
  probability: str
  speed: str
  minutes: str


class ScoreLine(NamedTuple):
  """A contender's score on a game."""

  row: tables.Row  # One of the table of scores.
  strip: Strip | None
  learns: bool


class StartLine(NamedTuple):
  """A score, by where it started."""

  start: starts.Start
  strip: Strip


class Plot(NamedTuple):
  """Rows on one scale."""

  scale: Scale
  lines: list[VerdictLine] | list[ScoreLine] | list[StartLine]
  protocol: str = ''
  game: str = ''
  name: str = ''  # The hyperparameter's.


def of_verdicts(found: list[verdicts.Verdict], costs: list[tables.Row]) -> Plot:
  """Contenders against their {}: all games first, then one after the other."""
  by_variant = {row['variant']: row for row in costs}
  games = list(dict.fromkeys(verdict.game for verdict in found))
  lines = [
    _verdict_line(verdict, by_variant.get(verdict.ours, {}))
    for verdict in sorted(found, key=lambda verdict: games.index(verdict.game))
  ]
  strips = [line.strip for line in lines]
  return Plot(scale(strips, _MOST_PERCENT), lines)


def of_scores(
  study: study_lib.Study,
  found: list[contenders.Contender],
  rows: list[tables.Row],
) -> list[Plot]:
  """Every contender's raw score, a plot a game that somebody has a score of."""
  by_title = {contender.title: contender for contender in found}
  plots = []
  for protocol in study.protocols:
    for game in study.games:
      lines = [
        _score_line(study, by_title[row['variant']], row)
        for row in rows
        if (row['protocol'], row['game']) == (protocol, game)
      ]
      strips = [line.strip for line in lines]
      if any(strips):
        plots.append(Plot(scale(strips), lines, protocol, game))
  return plots


def of_starts(groups: list[starts.Group]) -> list[Plot]:
  """Fixed and learned by where they started, beside the best fixed one."""
  plots = []
  for group in groups:
    for protocol, game in dict.fromkeys(
      (start.protocol, start.game) for start in group.starts
    ):
      best = group.best_fixed(protocol, game)
      within = None
      if best and best.score.low is not None and best.score.high is not None:
        within = best.score.low, best.score.high
      lines = [
        StartLine(start, _strip(start.score, 2)._replace(within=within))
        for start in group.starts
        if (start.protocol, start.game) == (protocol, game)
      ]
      plain = group.name.rstrip('_').replace('_', ' ')
      strips = [line.strip for line in lines]
      plots.append(Plot(scale(strips), lines, protocol, game, plain))
  return plots


def _verdict_line(verdict: verdicts.Verdict, cost: tables.Row) -> VerdictLine:
  probability = f'{verdict.probability.value:.2f}'
  if verdict.probability.low is not None:
    probability += (
      f' [{verdict.probability.low:.2f}, {verdict.probability.high:.2f}]'
    )
  speed = cost.get('frames_per_s', '')
  if speed and cost['relative_speed']:
    speed = f'{int(speed):,} ({cost["relative_speed"]}%)'
  seconds = cost.get('seconds', '')
  return VerdictLine(
    verdict,
    _strip(verdict.percent, 1, '%', sign='+') if verdict.percent else None,
    _KINDS.get(verdict.says, 'unsure'),
    probability,
    speed,
    f'{float(seconds) / 60:.1f}' if seconds else '',
  )


def _score_line(
  study: study_lib.Study, contender: contenders.Contender, row: tables.Row
) -> ScoreLine:
  variant, game = contender.variant, row['game']
  scores = contender.scores[row['protocol']].get(game)
  known = []
  if variant:
    config = study.config(study_lib.Run(game, variant, study.seeds[0]))
    budget = config.total_env_frames
    known = [
      (f'published: {point.mean:g} at {point.env_frames:,} frames', point.mean)
      for point in successors.published(game)
      if point.variant == successors.variant(config)
      and point.env_frames == _nearest(game, budget)
    ]
  strip = None
  if scores is not None:
    strip = _strip(estimates.mean(scores), 2)._replace(published=tuple(known))
  return ScoreLine(row, strip, bool(variant and variant.learned))


def _nearest(game: str, env_frames: int) -> int:
  """The published number of frames that is nearest."""
  return min(
    (point.env_frames for point in successors.published(game)),
    key=lambda frames: abs(frames - env_frames),
  )


def _strip(
  estimate: estimates.Estimate | estimates.Difference,
  digits: int,
  unit: str = '',
  sign: str = '',
) -> Strip:
  text = f'{estimate.value:{sign}.{digits}f}{unit}'
  if estimate.low is not None:
    text += (
      f' [{estimate.low:{sign}.{digits}f}, {estimate.high:{sign}.{digits}f}]'
    )
  return Strip(estimate.value, estimate.low, estimate.high, text)
