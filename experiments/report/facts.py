"""What a study was: budget, costs, machines, settings; what was published."""

from collections.abc import Iterable, Mapping
import dataclasses
import math
from typing import Any

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import tables
from experiments.scores import successors
from seed_metagrad import config as config_lib

_OWN_STARTS = ('its own', 'its own starts')  # In summaries of old and new.
_ABOUT_STARTS = (
  'The human start points of the paper were never published: its columns of'
  ' human starts are not what was evaluated here. Start states: {}.'
)
_ABOUT_OTHERS = (
  'Other systems: {}. Their own mean return of training after as many frames,'
  ' not evaluated here.'
)
_NOT_SETTINGS = ('workdir', 'seed', 'env')


def count(results: list[results_lib.Result]) -> str:
  """How many runs stand how, in a sentence."""
  counts = {
    status: sum(result.status == status for result in results)
    for status in (
      results_lib.DONE,
      results_lib.UNFINISHED,
      results_lib.FAILED,
      results_lib.NOT_RUN,
    )
  }
  stands = ', '.join(f'{n} {status}' for status, n in counts.items())
  return f'{len(results)} runs: {stands}.'


def budget(study: study_lib.Study, results: list[results_lib.Result]) -> str:
  """How large the study is, and how its runs stand."""
  env_frames = study.config(results[0].run).total_env_frames
  episodes = (
    f'{study.episodes} episodes'
    if study.episodes
    else "the papers' numbers of episodes"
  )
  found = starts(results, study.protocols)
  begun = f' Episodes began with: {"; ".join(found)}.' if found else ''
  return (
    f'Games: {len(study.games)}. Variants: {len(study.variants)}. Seeds:'
    f' {len(study.seeds)}. {env_frames:,} frames a run, each evaluated'
    f' with {episodes} of the sampled policy.{begun} {count(results)}'
  )


def notes(
  study: study_lib.Study,
  results: list[results_lib.Result],
  others: contenders.Others,
) -> list[str]:
  """What else is to be said of the paper's table."""
  said = []
  if 'start_states' in study.protocols:
    found = starts(results, ('start_states',)) or ['none yet']
    said.append(_ABOUT_STARTS.format('; '.join(found)))
  if others:
    names = ', '.join(name for name, _ in others)
    said.append(_ABOUT_OTHERS.format(names))
    said += contenders.left_out(study, others)
  return said


def starts(
  results: list[results_lib.Result], protocols: tuple[str, ...]
) -> list[str]:
  """How the episodes that were played began, as their summaries say it."""
  said = {
    evaluation.starts
    for result in results
    for protocol, evaluation in result.evaluations.items()
    if protocol in protocols
  }
  return sorted(
    "the environment's own starts" if starts in _OWN_STARTS else starts
    for starts in said
  )


def machines(results: list[results_lib.Result]) -> str:
  """Where the runs were trained, and at which commit, as far as it is known."""
  trained = [result for result in results if result.curves is not None]
  counts: dict[str, int] = {}
  for result in trained:
    commit, cpu, cores = result.machine
    where = f'commit {commit or "unknown"} on {cores} cores of {cpu}'
    if result.machine == results_lib.Machine():
      where = 'a commit and on a machine that were not recorded'
    counts[where] = counts.get(where, 0) + 1
  if not counts:
    return 'Nothing is trained yet.'
  parts = (
    where if len(counts) == 1 else f'{where} ({n} runs)'
    for where, n in counts.items()
  )
  return f'Trained at {"; ".join(parts)}.'


def costs(found: list[contenders.Contender]) -> list[tables.Row]:
  """What a run of each variant took, and that of its {} as 100%."""
  rows = []
  for contender in found:
    if contender.variant is None:
      continue
    speeds, seconds = (
      contender.costs(name) for name in ('frames_per_s', 'seconds')
    )
    other = contenders.baseline(contender, found)
    theirs = other.costs('frames_per_s') if other else []
    relative = 100 * _mean(speeds) / _mean(theirs)
    rows.append(
      {
        'variant': contender.title,
        'timed_runs': str(len(seconds)),
        'frames_per_s': tables.text(_mean(speeds), 0),
        'relative_speed': tables.text(relative, 0),
        'seconds': tables.text(_mean(seconds), 0),
      }
    )
  return rows


def costs_finding(rows: Iterable[tables.Row]) -> list[str]:
  """How fast each variant is beside its {}, in a sentence."""
  told = [row for row in rows if row['relative_speed']]
  if not told:
    return []
  speeds = ', '.join(
    f'{row["relative_speed"]}% for {row["variant"]}' for row in told
  )
  return [f'Frames per second, of those of what it is compared with: {speeds}.']


def settings(
  study: study_lib.Study, results: list[results_lib.Result]
) -> list[tables.Row]:
  """Settings of all runs that are not the paper's.

  Those that a run wrote down itself, as far as there are any.
  """
  config = study.config(study.runs()[0])
  wrote: Mapping[str, Any] = next(
    (result.config for result in results if result.config), {}
  )
  paper = config_lib.preset('paper')
  own = {name for variant in study.variants for name, _ in variant.settings}
  return [
    {
      'setting': field.name,
      'here': _shown(here),
      'paper': _shown(getattr(paper, field.name)),
    }
    for field in dataclasses.fields(config)
    if field.name not in {*study_lib.OWN, *own}
    and (here := _wrote(wrote, field.name, getattr(config, field.name)))
    != getattr(paper, field.name)
  ]


def variants(study: study_lib.Study) -> list[tables.Row]:
  """What each variant sets, as flags of `train`."""
  rows = []
  for variant in study.variants:
    run = study_lib.Run(study.games[0], variant, study.seeds[0])
    fields = study.fields(run)
    rows.append(
      {
        'variant': variant.title,
        'flags': ' '.join(
          f'--{name}={_shown(value)}'
          for name, value in fields.items()
          if name not in _NOT_SETTINGS and name not in study.settings
        ),
      }
    )
  return rows


def published(
  study: study_lib.Study, found: list[contenders.Contender]
) -> list[tables.Row]:
  """What was published of Snake and MinAtar, and the returns here beside it."""
  rows = []
  for game in study.games:
    alike = contenders.published(study, game, found)
    for point in successors.published(game):
      ours = alike.get(point.variant)
      rows.append(
        {
          'game': game,
          'published_variant': point.variant,
          'env_frames': str(point.env_frames),
          'published': tables.text(point.mean),
          'spread': tables.text(point.spread),
          'ours': ours.title if ours else '',
          **_here(ours, game, point.env_frames),
          'source': point.source,
        }
      )
  return rows


def _wrote(wrote: Mapping[str, Any], name: str, default: Any) -> Any:
  value = wrote.get(name, default)
  return tuple(value) if isinstance(value, list) else value


def _here(
  contender: contenders.Contender | None, game: str, env_frames: int
) -> tables.Row:
  """The training return after so many frames, if there were as many."""
  returns = [
    score
    for curve in (contender.curves.get(game, []) if contender else [])
    if (score := curve.score(env_frames)) is not None
  ]
  return {
    'return_here': tables.text(_mean(returns)),
    'seeds': str(len(returns)),
  }


def _mean(values: list[float]) -> float:
  """NaN without a value: no text in a table."""
  return sum(values) / len(values) if values else math.nan


def _shown(value: object) -> str:
  return ','.join(value) if isinstance(value, tuple) else str(value)
