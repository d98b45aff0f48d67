"""Reports on a study: one HTML page, and its tables and pictures as files.

Next to --out=report.html comes a folder report_files with CSV and PNG. What
was not run is shown as not run; call it again as more runs are done.
"""

import csv
import dataclasses
import io
import pathlib

from absl import flags

from experiments.comparison import external
from experiments.comparison import report_figures as report_pictures
from experiments.comparison import report_page
from experiments.comparison import report_tables
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from learner.storage import files
from seed_metagrad import config as config_lib

_ABOUT_MEDIANS = (
  'Median over games of the mean over seeds of human-normalised scores, once'
  " each of the study's games has a score, with a 95% interval: a bootstrap"
  ' stratified by game, where every game has at least two seeds. With few'
  ' seeds it is too narrow. Rows: which hypers are learned; {} is plain'
  ' IMPALA. Columns: how episodes begin, and the reference discount.'
  ' Published: Xu et al. 2018, table 1 (191.8: Espeholt et al. 2018): 57'
  ' games, 200M frames, the deep network; comparable only with a study of the'
  ' same.'
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
_ABOUT_PICTURES = (
  'Improvement: 100 (score - baseline) / (max(human, baseline) - random).'
  ' Curves: finished runs; mean over seeds with its 95% bootstrap interval,'
  ' which of two seeds is from one to the other.'
)
_BEGINNINGS = {'noop': '1 to 30 no-ops', 'start_states': 'start states'}
_ABOUT_STARTS = (
  'The human start points of the paper were never published: its columns of'
  ' human starts are not what was evaluated here. Start states: {}.'
)
_ABOUT_OTHERS = (
  'Other systems: {}. Their own mean return of training after as many frames,'
  ' not evaluated here.'
)


def define_flags(flag_values: flags.FlagValues):
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'workdir',
    None,
    'The folder of `compare`.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'out', 'report.html', 'The page to write.', flag_values=flag_values
  )
  flags.DEFINE_multi_string(
    'external',
    [],
    'NAME:PATH, runs of another system: a CSV file (game,'
    ' seed, env_frames, mean_return) or a folder of TensorBoard events'
    ' (<game>/<seed>/).',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'external_tag',
    '',
    'The scalar of mean returns in the events.',
    flag_values=flag_values,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Reads the study, writes the report; returns the exit status."""
  workdir = pathlib.Path(flag_values.workdir)
  study = results_lib.read_study(workdir)
  results = results_lib.read(study, workdir)
  others = [
    external.read(argument, flag_values.external_tag)
    for argument in flag_values.external
  ]
  _write(pathlib.Path(flag_values.out), workdir, study, results, others)
  return 0


def _write(
  out: pathlib.Path,
  workdir: pathlib.Path,
  study: study_lib.Study,
  results: list[results_lib.Result],
  others: list[tuple[str, external.Runs]],
):
  found = report_tables.contenders(study, results, others)
  tables = {
    'medians': report_tables.medians(study, results, found),
    'aggregates': report_tables.aggregates(study, found),
    'scores': report_tables.scores(study, results, found),
    'runs': report_tables.runs(results),
  }
  pngs, images = {}, [report_page.paragraph(_ABOUT_PICTURES)]
  for name, (title, drawn) in report_pictures.all_pictures(
    study.games, found
  ).items():
    pngs[name], image = report_page.picture(drawn, title)
    images.append(f'<h3>{title}</h3>\n{image}')
  sections = _sections(
    study,
    results,
    others,
    tables,
    '\n'.join(images),
    (workdir / results_lib.STUDY).read_text('utf-8'),
  )
  folder = out.with_name(f'{out.stem}_files')
  folder.mkdir(parents=True, exist_ok=True)
  for name, rows in tables.items():
    files.write_atomic(folder / f'{name}.csv', _csv(rows))
  for name, png in pngs.items():
    files.write_atomic(folder / f'{name}.png', png)
  files.write_atomic(out, report_page.page(study.title, sections))
  print(f'{_count(results)} See {out} and {folder}.')


def _sections(
  study, results, others, tables, images: str, study_text: str
) -> list[tuple[str, str]]:
  notes = [_ABOUT_MEDIANS]
  if 'start_states' in study.protocols:
    notes.append(_ABOUT_STARTS.format(_starts(results)))
  if others:
    notes.append(_ABOUT_OTHERS.format(', '.join(name for name, _ in others)))
  return [
    ('Budget', report_page.paragraph(_budget(study, results))),
    (
      'Median human-normalised scores',
      ''.join(map(report_page.paragraph, notes))
      + report_page.medians(tables['medians']),
    ),
    (
      'Interquartile mean and probability of improvement',
      report_page.paragraph(_ABOUT_AGGREGATES)
      + report_page.table(tables['aggregates'], 'aggregates'),
    ),
    (
      'Scores by game',
      report_page.paragraph(_ABOUT_SCORES)
      + report_page.table(tables['scores'], 'scores'),
    ),
    ('Pictures', images),
    ('Runs', report_page.table(tables['runs'], 'runs')),
    (
      'Settings',
      report_page.paragraph(
        f"The study, and what differs from the paper's settings: "
        f'{_differences(study)}.'
      )
      + report_page.preformatted(study_text),
    ),
  ]


def _budget(study: study_lib.Study, results: list[results_lib.Result]) -> str:
  frames = study.config(results[0].run).total_env_frames
  episodes = (
    f'{study.episodes} episodes'
    if study.episodes
    else "the papers' numbers of episodes"
  )
  return (
    f'Games: {len(study.games)}. Variants: {len(study.variants)}. Seeds:'
    f' {len(study.seeds)}. {frames:,} frames a run, each evaluated'
    f' with {episodes} of the sampled policy from'
    f' {" and ".join(map(_BEGINNINGS.get, study.protocols))}.'
    f' {_count(results)}'
  )


def _count(results: list[results_lib.Result]) -> str:
  counts = {
    status: sum(result.status == status for result in results)
    for status in (
      results_lib.DONE,
      results_lib.UNFINISHED,
      results_lib.FAILED,
      results_lib.NOT_RUN,
    )
  }
  return (
    f'{len(results)} runs: '
    + ', '.join(f'{n} {status}' for status, n in counts.items())
    + '.'
  )


def _starts(results: list[results_lib.Result]) -> str:
  sources = {
    result.evaluations['start_states']['starts']
    for result in results
    if 'start_states' in result.evaluations
  }
  return '; '.join(sorted(sources)) or 'none yet'


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


def _csv(rows: list[report_tables.Row]) -> str:
  text = io.StringIO()
  writer = csv.DictWriter(
    text, report_tables.columns(rows), restval='', lineterminator='\n'
  )
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()
