"""What a report compares: the variants of a study, and other systems."""

import difflib
from typing import NamedTuple

import numpy as np

from experiments.comparison import external
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.scores import atari57
from experiments.scores import successors

Others = list[tuple[str, external.Runs]]  # Other systems, by name.


class Contender(NamedTuple):
  """A variant of the study, or another system."""

  label: str
  variant: study_lib.Variant | None  # None: another system.
  scores: dict[str, dict[str, np.ndarray]]  # [protocol][game]: raw, per seed.
  curves: dict[str, list[external.Curve]]  # [game]: finished runs.
  learned: dict[str, list[results_lib.Columns]]  # [game]: over training.
  results: list[results_lib.Result]  # All runs of a variant.

  @property
  def title(self) -> str:
    """With the reference discount."""
    return self.variant.title if self.variant else self.label

  def costs(self, name: str) -> list[float]:
    """The seconds or frames_per_s of its finished runs that tell them."""
    found = (
      getattr(result.cost, name)
      for result in self.results
      if result.curves is not None
    )
    return [value for value in found if value is not None]


def find(
  study: study_lib.Study, results: list[results_lib.Result], others: Others
) -> list[Contender]:
  """All that is compared: the study's variants, then other systems.

  Raises:
    ValueError: another system has no game of the study.
  """
  variants = [
    _of_variant(
      study,
      variant,
      [result for result in results if result.run.variant == variant],
    )
    for variant in study.variants
  ]
  return variants + [_of_other(study, name, runs) for name, runs in others]


def left_out(study: study_lib.Study, others: Others) -> list[str]:
  """What is not used of other systems, and why: a sentence each."""
  budget, notes = _budget(study), []
  for name, runs in others:
    for game in sorted({game for game, _ in runs} - set(study.games)):
      near = difflib.get_close_matches(game, study.games, n=1)
      hint = f' Did you mean {near[0]}?' if near else ''
      notes.append(f'{name}: {game!r} is no game of the study.{hint}')
    for (game, seed), curve in sorted(runs.items()):
      if game in study.games and curve.score(budget) is None:
        notes.append(
          f'{name}: {game}, seed {seed}, has {curve.env_frames[-1]:,.0f}'
          f' frames, fewer than the {budget:,} of the study: no score.'
        )
  return notes


def baseline(contender: Contender, found: list[Contender]) -> Contender | None:
  """The {} that a contender is compared with, if the study has it.

  It has the contender's reference discount, unless that is a preset's of its
  own; of several the one whose settings differ least, as a fixed discount does
  from one that is learned from there.
  """
  plain = [
    other
    for other in found
    if other.variant and not other.variant.learned and other is not contender
  ]
  if contender.variant is None:
    return plain[0] if plain else None
  if not contender.variant.learned:
    return None
  variant, settings = contender.variant, dict(contender.variant.settings)
  near = {
    id(other): len(set(settings.items()) ^ set(other.variant.settings))
    for other in plain
    if other.variant
    and (
      'preset' in settings
      or other.variant.reference_discount == variant.reference_discount
    )
  }
  comparable = [other for other in plain if id(other) in near]
  return min(comparable, key=lambda other: near[id(other)], default=None)


def published(
  study: study_lib.Study, game: str, found: list[Contender]
) -> dict[str, Contender]:
  """The contender of each published variant; the first of several."""
  alike: dict[str, Contender] = {}
  for contender in found:
    if contender.variant:
      run = study_lib.Run(game, contender.variant, study.seeds[0])
      name = successors.variant(study.config(run))
      if name:
        alike.setdefault(name, contender)
  return alike


def common_games(
  contender: Contender, other: Contender, protocol: str
) -> list[str]:
  """The games that both have, in the order of the first."""
  return [
    game
    for game in contender.scores.get(protocol, {})
    if game in other.scores.get(protocol, {})
  ]


def human_normalised(
  contender: Contender, protocol: str
) -> dict[str, np.ndarray]:
  """Human-normalised scores by game, where there is a human score."""
  return {
    game: np.array(
      [atari57.human_normalised(game, score, protocol) for score in scores]
    )
    for game, scores in contender.scores.get(protocol, {}).items()
    if atari57.has_human_score(game)
  }


def _budget(study: study_lib.Study) -> int:
  return study.config(study.runs()[0]).total_env_frames


def _of_variant(
  study: study_lib.Study,
  variant: study_lib.Variant,
  results: list[results_lib.Result],
) -> Contender:
  scores: dict[str, dict[str, np.ndarray]]
  scores = {protocol: {} for protocol in study.protocols}
  curves: dict[str, list[external.Curve]] = {}
  learned: dict[str, list[results_lib.Columns]] = {}
  for result in results:
    game = result.run.game
    for protocol, evaluation in result.evaluations.items():
      before = scores[protocol].get(game, np.zeros(0))
      scores[protocol][game] = np.append(before, evaluation.mean)
    if result.curves is not None:
      learned.setdefault(game, []).append(result.curves)
      returns = result.curves[results_lib.MEAN_RETURN]
      known = np.isfinite(returns)  # Not before the first episode has ended.
      if known.any():
        env_frames = result.curves[results_lib.ENV_FRAMES]
        curve = external.Curve(env_frames[known], returns[known])
        curves.setdefault(game, []).append(curve)
  return Contender(variant.label, variant, scores, curves, learned, results)


def _of_other(
  study: study_lib.Study, name: str, runs: external.Runs
) -> Contender:
  scores: dict[str, np.ndarray] = {}
  curves: dict[str, list[external.Curve]] = {}
  if not {game for game, _ in runs} & set(study.games):
    raise ValueError(
      f'{name} has no game of the study, but'
      f' {sorted({game for game, _ in runs})}.'
    )
  for (game, _), curve in sorted(runs.items()):
    score = curve.score(_budget(study))
    if game in study.games and score is not None:  # All frames, or not at all.
      scores[game] = np.append(scores.get(game, np.zeros(0)), score)
      curves.setdefault(game, []).append(curve)
  return Contender(name, None, {'noop': scores}, curves, {}, [])
