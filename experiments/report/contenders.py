"""What a report compares: the variants of a study, and other systems."""

import difflib
from typing import NamedTuple

import numpy as np

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import external
from experiments.scores import atari57

Others = list[tuple[str, external.Runs]]  # Other systems, by name.


class Contender(NamedTuple):
  """A variant of the study, or another system."""

  label: str
  variant: study_lib.Variant | None  # None: another system.
  scores: dict[str, dict[str, np.ndarray]]  # [protocol][game]: raw, per seed.
  curves: dict[str, list[external.Curve]]  # [game]: finished runs.
  learned: dict[str, list[results_lib.Columns]]  # [game]: over training.

  @property
  def title(self) -> str:
    """With the reference discount."""
    return self.variant.title if self.variant else self.label


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
  """The {} that a contender is compared with, if the study has it."""
  plain = [
    other
    for other in found
    if other.variant and not other.variant.learned and other is not contender
  ]
  if contender.variant is None:
    return plain[0] if plain else None
  if not contender.variant.learned:
    return None
  reference = contender.variant.reference_discount
  return next(
    (
      other
      for other in plain
      if other.variant and other.variant.reference_discount == reference
    ),
    None,
  )


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
  return Contender(variant.label, variant, scores, curves, learned)


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
  return Contender(name, None, {'noop': scores}, curves, {})
