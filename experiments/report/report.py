"""Reports on a study: one HTML page, and its tables and figures as files.

Next to --out=report.html comes a folder report_files with CSV and PNG. What
was not run is shown as not run; call it again as more runs are done.
"""

import pathlib

from absl import flags

from experiments.comparison import csv_files
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import external
from experiments.report import figures
from experiments.report import page as page_lib
from experiments.report import sections as sections_lib
from experiments.report import tables as tables_lib
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
  others: contenders.Others,
) -> None:
  found = contenders.find(study, results, others)
  tables = {
    'medians': tables_lib.medians(study, results, found),
    'aggregates': tables_lib.aggregates(study, found),
    'scores': tables_lib.scores(study, results, found),
    'runs': tables_lib.runs(results),
  }
  pngs, images = {}, {}
  for name, (title, drawn) in figures.all_figures(study.games, found).items():
    pngs[name], image = page_lib.image(drawn, title)
    images[name] = title, image
  sections = sections_lib.sections(
    sections_lib.Contents(
      study,
      files.read_text(workdir / results_lib.STUDY),
      results,
      others,
      tables,
      images,
    )
  )
  folder = out.with_name(f'{out.stem}_files')
  folder.mkdir(parents=True, exist_ok=True)
  for name, rows in tables.items():
    files.write_atomic(folder / f'{name}.csv', csv_files.to_text(rows))
  for name, png in pngs.items():
    files.write_atomic(folder / f'{name}.png', png)
  files.write_atomic(out, page_lib.page(study.title, sections))
  for note in contenders.left_out(study, others):
    print(note)
  print(f'{sections_lib.count(results)} See {out} and {folder}.')
