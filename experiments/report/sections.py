"""The text of a report, around its tables and figures."""

import dataclasses
from typing import NamedTuple

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import page
from experiments.report import tables as tables_lib
from seed_metagrad import config as config_lib

_ABOUT_MEDIANS = (
  'Median over games of the mean over seeds of human-normalised scores, once'
  " each of the study's games that have a human score was played, with a 95%"
  ' interval: a bootstrap stratified by game, where every game has at least two'
  ' seeds. With few seeds it is too narrow. Rows: which meta-parameters are'
  ' learned; {} learns none, with the settings of the study, which may differ'
  " from IMPALA's: see Settings. Columns: how episodes begin, and the reference"
  ' discount. Published: Xu et al. 2018, table 1 (191.8: Espeholt et al. 2018):'
  ' 57 games, 200M frames, the deep network; comparable only with a study of'
  ' the same.'
)
_ABOUT_AGGREGATES = (
  'Interquartile mean of human-normalised scores over all runs (%), and the'
  ' probability that a run beats one of the baseline on the raw score of a'
  ' game drawn among the common ones; both once all games have a score; 95%'
  ' stratified bootstrap intervals (Agarwal et al. 2021), too narrow with few'
  ' seeds.'
)
_ABOUT_SCORES = (
  'Raw scores of the game: mean over seeds with the 95% bootstrap interval,'
  ' where there are at least two seeds. Of two seeds it is just from one to'
  ' the other, and holds the true mean about half the time. Published IMPALA:'
  ' no-op starts, 200M frames, discount .99 (Espeholt et al. 2018, table'
  ' C.1).'
)
_ABOUT_FIGURES = (
  'Improvement: 100 (score - baseline) / (max(human, baseline) - random).'
  ' Curves: finished runs; mean over seeds with its 95% bootstrap interval,'
  ' which of two seeds is from one to the other.'
)
_ABOUT_STARTS = (
  'The human start points of the paper were never published: its columns of'
  ' human starts are not what was evaluated here. Start states: {}.'
)
_ABOUT_OTHERS = (
  'Other systems: {}. Their own mean return of training after as many frames,'
  ' not evaluated here.'
)
_OWN_STARTS = ('its own', 'its own starts')  # In summaries of old and new.


class Contents(NamedTuple):
  """What the sections are about."""

  study: study_lib.Study
  study_text: str  # The file.
  results: list[results_lib.Result]
  others: contenders.Others
  tables: dict[str, list[tables_lib.Row]]
  figures: dict[str, tuple[str, str]]  # (title, HTML) by name.


def sections(contents: Contents) -> list[tuple[str, str]]:
  """(heading, HTML) of each section."""
  study, tables = contents.study, contents.tables
  notes = [_ABOUT_MEDIANS]
  if 'start_states' in study.protocols:
    starts = _starts(contents.results, ('start_states',)) or ['none yet']
    notes.append(_ABOUT_STARTS.format('; '.join(starts)))
  if contents.others:
    names = ', '.join(name for name, _ in contents.others)
    notes.append(_ABOUT_OTHERS.format(names))
    notes += contenders.left_out(study, contents.others)
  images = [
    f'<h3>{title}</h3>\n{image}' for title, image in contents.figures.values()
  ]
  about_settings = (
    "The study, and what differs from the paper's settings:"
    f' {_differences(study)}.'
  )
  return [
    ('Budget', page.paragraph(_budget(study, contents.results))),
    (
      'Median human-normalised scores',
      ''.join(map(page.paragraph, notes)) + page.medians(tables['medians']),
    ),
    (
      'Interquartile mean and probability of improvement',
      page.paragraph(_ABOUT_AGGREGATES)
      + page.table(tables['aggregates'], 'aggregates'),
    ),
    (
      'Scores by game',
      page.paragraph(_ABOUT_SCORES) + page.table(tables['scores'], 'scores'),
    ),
    ('Figures', '\n'.join([page.paragraph(_ABOUT_FIGURES), *images])),
    ('Runs', page.table(tables['runs'], 'runs')),
    (
      'Settings',
      page.paragraph(about_settings) + page.preformatted(contents.study_text),
    ),
  ]


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


def _budget(study: study_lib.Study, results: list[results_lib.Result]) -> str:
  env_frames = study.config(results[0].run).total_env_frames
  episodes = (
    f'{study.episodes} episodes'
    if study.episodes
    else "the papers' numbers of episodes"
  )
  starts = _starts(results, study.protocols)
  begun = f' Episodes began with: {"; ".join(starts)}.' if starts else ''
  return (
    f'Games: {len(study.games)}. Variants: {len(study.variants)}. Seeds:'
    f' {len(study.seeds)}. {env_frames:,} frames a run, each evaluated'
    f' with {episodes} of the sampled policy.{begun} {count(results)}'
  )


def _starts(
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


def _differences(study: study_lib.Study) -> str:
  """Settings of all runs that are not the paper's."""
  config = study.config(study.runs()[0])
  paper = config_lib.preset('paper')
  return (
    ', '.join(
      f'{field.name} {getattr(config, field.name)!r}'
      for field in dataclasses.fields(config)
      if field.name not in study_lib.OWN
      and getattr(config, field.name) != getattr(paper, field.name)
    )
    or 'none'
  )
