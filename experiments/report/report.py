"""Reports on a study: one HTML page, and its tables and figures as files.

Next to --out=report.html comes a folder report_files with CSV and PNG. What
was not run is shown as not run; call it again as more runs are done.
"""

import pathlib
from typing import Any, NamedTuple

from absl import flags

from experiments.comparison import csv_files
from experiments.comparison import external
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import curves
from experiments.report import facts
from experiments.report import figures
from experiments.report import forests
from experiments.report import gauges
from experiments.report import page
from experiments.report import starts
from experiments.report import tables as tables_lib
from experiments.report import verdicts
from learner.reporting import trackers
from learner.storage import files


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'workdir',
    None,
    'Folder that `compare` filled.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'out', 'report.html', 'Page to write.', flag_values=flag_values
  )
  flags.DEFINE_multi_string(
    'external',
    [],
    'Runs of another system as NAME:PATH: a CSV file (game, seed, env_frames,'
    ' mean_return) or a folder of TensorBoard events (<game>/<seed>/).',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'external_tag',
    '',
    'Scalar of the mean return in these events.',
    flag_values=flag_values,
  )
  trackers.define_flags(flag_values)


class _Contents(NamedTuple):
  """What is known of a study."""

  study: study_lib.Study
  study_text: str  # The file.
  results: list[results_lib.Result]
  others: contenders.Others
  found: list[contenders.Contender]
  verdicts: list[verdicts.Verdict]
  starts: list[starts.Group]
  gauges: list[gauges.Gauge]
  tables: dict[str, list[tables_lib.Row]]


def run(flag_values: flags.FlagValues) -> int:
  """Reads the study, writes the report; returns the exit status."""
  workdir = pathlib.Path(flag_values.workdir)
  others = [
    external.read(argument, flag_values.external_tag)
    for argument in flag_values.external
  ]
  contents = _read(workdir, others)
  out = pathlib.Path(flag_values.out)
  _write(out, contents)
  if flag_values.track:
    _track(flag_values, workdir, out)
  return 0


def _track(
  flag_values: flags.FlagValues, workdir: pathlib.Path, out: pathlib.Path
) -> None:
  """Sends the page, where a tracker shows pages, and the figures."""
  tracker = trackers.Tracker(
    flag_values.track, workdir, project=flag_values.track_project, config={}
  )
  for path in [out, *sorted(_folder(out).glob('*.png'))]:
    tracker.file(f'report/{path.stem}', path)
  tracker.close()


def _folder(out: pathlib.Path) -> pathlib.Path:
  return out.with_name(f'{out.stem}_files')


def _read(workdir: pathlib.Path, others: contenders.Others) -> _Contents:
  study = results_lib.read_study(workdir)
  results = results_lib.read(study, workdir)
  found = contenders.find(study, results, others)
  judged = verdicts.find(study, found)
  groups = starts.find(study, found)
  health = gauges.find(study, found)
  tables = {
    'verdicts': verdicts.rows(verdicts.main(judged)),
    'scores': tables_lib.scores(study, results, found),
    'starts': starts.rows(groups),
    'gauges': gauges.rows(health),
    'published': facts.published(study, found),
    'medians': tables_lib.medians(study, results, found),
    'pairs': verdicts.rows(judged),
    'aggregates': tables_lib.aggregates(study, found),
    'costs': facts.costs(found),
    'runs': tables_lib.runs(results),
    'settings': facts.settings(study, results),
    'variants': facts.variants(study),
  }
  text = files.read_text(workdir / results_lib.STUDY)
  return _Contents(
    study, text, results, others, found, judged, groups, health, tables
  )


def _write(out: pathlib.Path, contents: _Contents) -> None:
  folder = _folder(out)
  html = page.render(**_context(contents, folder.name))
  pngs = figures.pngs(contents.study, contents.found, contents.verdicts)
  folder.mkdir(parents=True, exist_ok=True)
  for name, rows in contents.tables.items():
    if rows:
      files.write_atomic(folder / f'{name}.csv', csv_files.to_text(rows))
  for name, png in pngs.items():
    files.write_atomic(folder / f'{name}.png', png)
  files.write_atomic(out, html)
  for note in contenders.left_out(contents.study, contents.others):
    print(note)
  for finding in _findings(contents):
    print(finding)
  print(f'{facts.count(contents.results)} See {out} and {folder}.')


def _findings(contents: _Contents) -> list[str]:
  return [
    *verdicts.findings(contents.study, contents.verdicts),
    *starts.findings(contents.starts),
    *gauges.findings(contents.gauges),
    *facts.costs_finding(contents.tables['costs']),
  ]


def _context(contents: _Contents, folder: str) -> dict[str, Any]:
  """What the template uses."""
  study, tables = contents.study, contents.tables
  return {
    'study': study,
    'study_text': contents.study_text,
    'about': page.ABOUT,
    'budget': facts.budget(study, contents.results),
    'machines': facts.machines(contents.results),
    'findings': _findings(contents),
    'verdicts': forests.of_verdicts(
      verdicts.main(contents.verdicts), tables['costs']
    ),
    'scores': forests.of_scores(study, contents.found, tables['scores']),
    'starts': forests.of_starts(contents.starts),
    'curves': curves.charts(study, contents.found),
    'gauges': tables['gauges'],
    'published': tables['published'],
    'medians': page.medians(
      tables['medians'], facts.notes(study, contents.results, contents.others)
    ),
    'details': [
      part for name in page.DETAILS if (part := page.detail(name, tables[name]))
    ],
    'folder': folder,
  }
