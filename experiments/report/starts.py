"""The final score against the value that a hyperparameter started from.

Fixed and learned side by side: may one start anywhere, and is the learned value
as good as the best fixed one?
"""

import dataclasses
from typing import Any, NamedTuple

from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import tables
from experiments.report import verdicts
from experiments.scores import estimates
from seed_metagrad import config as config_lib

# What makes no difference where nothing is learned, beside outer_* and meta_*.
_OF_LEARNING = (
  'bootstrap_updates',
  'bootstrap_value_cost',
  'conditioning',
  'embedding_size',
  'eta',
  'inner_updates',
  'learned',
  'max_meta_gradient_norm',
  'mixed_meta_gradients',
  'outer',
  'reference_discount',
  'reference_lambda',
  'trace_decay',
)


class Start(NamedTuple):
  """What a contender scored on a game, and where it started."""

  protocol: str
  game: str
  name: str  # The hyperparameter's.
  value: float  # At the start.
  is_learned: bool
  title: str
  seeds: int
  score: estimates.Estimate


class Group(NamedTuple):
  """Contenders that differ in one hyperparameter, and in how it is learned."""

  name: str
  starts: list[Start]  # By game, value, and whether it is learned.

  def best_fixed(self, protocol: str, game: str) -> Start | None:
    """The one with the highest mean, of those that do not learn it."""
    fixed = [
      start
      for start in self.starts
      if (start.protocol, start.game) == (protocol, game)
      and not start.is_learned
    ]
    return max(fixed, key=lambda start: start.score.value, default=None)


def find(
  study: study_lib.Study, found: list[contenders.Contender]
) -> list[Group]:
  """The groups in which something is learned and the values differ."""
  variants = [contender for contender in found if contender.variant]
  names = dict.fromkeys(
    name
    for contender in variants
    if contender.variant
    for name in contender.variant.learned
  )
  groups = []
  for name in names:
    alike: dict[Any, list[contenders.Contender]] = {}
    for contender in variants:
      alike.setdefault(_rest(study, contender, name), []).append(contender)
    for members in alike.values():
      scored = _starts(study, members, name)
      if _is_of_interest(scored):
        groups.append(Group(name, scored))
  return groups


def findings(groups: list[Group]) -> list[str]:
  """Whether each learned one is within the interval of the best fixed one."""
  sentences = []
  for group in groups:
    plain = group.name.rstrip('_').replace('_', ' ')
    learned = dict.fromkeys(
      (start.protocol, start.title, start.value)
      for start in sorted(group.starts, key=lambda start: start.value)
      if start.is_learned
    )
    for protocol, title, value in learned:
      about = f'{title} ({plain} from {value:g})'
      sentences.append(_finding(group, protocol, title, about))
  return list(filter(None, sentences))


def rows(groups: list[Group]) -> list[tables.Row]:
  """A row for each start, for a table."""
  return [
    {
      'protocol': start.protocol,
      'game': start.game,
      'hyperparameter': start.name.rstrip('_'),
      'start': f'{start.value:g}',
      'is': 'learned' if start.is_learned else 'fixed',
      'variant': start.title,
      'seeds': str(start.seeds),
      **tables.columns('mean low high', start.score, 2),
    }
    for group in groups
    for start in group.starts
  ]


def _finding(group: Group, protocol: str, title: str, about: str) -> str:
  inside, games, few = [], 0, False
  for start in group.starts:
    best = group.best_fixed(protocol, start.game)
    if (start.protocol, start.title) != (protocol, title) or not best:
      continue
    games += 1
    few |= min(start.seeds, best.seeds) < verdicts.ENOUGH_SEEDS
    low = best.score.low if best.score.low is not None else best.score.value
    if start.score.value >= low:
      inside.append(start.game)
  if not games:
    return ''
  if few:
    return (
      f'{about} and the best fixed value: not enough seeds to say which is'
      f' better; at least {verdicts.ENOUGH_SEEDS} are needed.'
    )
  return (
    f'{about} is within the interval of the best fixed value, or above it, on'
    f' {len(inside)} of {games} games.'
  )


def _starts(
  study: study_lib.Study, members: list[contenders.Contender], name: str
) -> list[Start]:
  starts = [
    Start(
      protocol,
      game,
      name,
      _value(study, contender, name),
      _learns(contender, name),
      contender.title,
      len(scores),
      estimates.mean(scores),
    )
    for protocol in study.protocols
    for game in study.games
    for contender in members
    if (scores := contender.scores[protocol].get(game)) is not None
  ]
  order = {game: number for number, game in enumerate(study.games)}
  return sorted(
    starts,
    key=lambda start: (
      start.protocol,
      order[start.game],
      start.value,
      start.is_learned,
    ),
  )


def _is_of_interest(scored: list[Start]) -> bool:
  """Whether several values were scored, and one of them learned."""
  values = {start.value for start in scored}
  return len(values) > 1 and any(start.is_learned for start in scored)


def _learns(contender: contenders.Contender, name: str) -> bool:
  return contender.variant is not None and name in contender.variant.learned


def _value(
  study: study_lib.Study, contender: contenders.Contender, name: str
) -> float:
  return float(getattr(_config(study, contender), name))


def _rest(
  study: study_lib.Study, contender: contenders.Contender, name: str
) -> tuple[Any, ...]:
  """What else matters of the config, and what else is learned."""
  assert contender.variant
  config = _config(study, contender)
  others = sorted({*contender.variant.learned} - {name})
  return tuple(others), *(
    getattr(config, field.name)
    for field in dataclasses.fields(config)
    if field.name not in (*_OF_LEARNING, name)
    and not field.name.startswith(('outer_', 'meta_'))
  )


def _config(
  study: study_lib.Study, contender: contenders.Contender
) -> config_lib.Config:
  assert contender.variant
  run = study_lib.Run(study.games[0], contender.variant, study.seeds[0])
  return study.config(run)
