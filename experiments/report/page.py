"""A report as one HTML page that needs nothing else.

The templates are Jinja2's, which escapes what is put into them. Two libraries
are inside the page, as their authors publish them: uPlot draws the curves,
sortable-tablesort sorts the tables (templates/LICENSES.txt).
"""

import pathlib
import re
from typing import Any, NamedTuple

import jinja2
import markupsafe

from experiments.comparison import csv_files
from experiments.report import tables

PROTOCOLS = {'start_states': 'Start states', 'noop': 'No-op starts'}
_TEMPLATES = pathlib.Path(__file__).parent / 'templates'
_LARGE = re.compile(r'\d{5,}')
_NUMBER = re.compile(r'[<+-]?[\d.,]+%?')
# Headings that are not the column's name with spaces.
_WORDS = {
  'against': 'against what',
  'common_games': 'games that both have',
  'corrected_p_value': 'p, corrected for many tests',
  'end': 'at the end',
  'end_high': 'highest run',
  'end_low': 'lowest run',
  'env_frames': 'frames',
  'frames_per_s': 'frames per second',
  'high': '95% interval, to',
  'human_games': 'games with a human score',
  'human_normalised': 'human-normalised, %',
  'iqm': 'interquartile mean, %',
  'iqm_high': '95% interval, to',
  'iqm_low': '95% interval, from',
  'is': 'fixed or learned',
  'low': '95% interval, from',
  'meta_parameter': 'meta-parameter',
  'noop_episodes': 'episodes',
  'noop_high': '95% interval over episodes, to',
  'noop_low': '95% interval over episodes, from',
  'noop_mean': 'score',
  'over': 'against what',
  'p_value': 'p',
  'paper': "the paper's",
  'percent': 'improvement, %',
  'percent_high': '95% interval, to',
  'percent_low': '95% interval, from',
  'possible': 'logits it could have travelled',
  'probability': 'probability of improvement',
  'probability_high': '95% interval, to',
  'probability_low': '95% interval, from',
  'published_impala_deep': 'published IMPALA, deep',
  'published_impala_shallow': 'published IMPALA, shallow',
  'relative_speed': 'speed, % of the one compared with',
  'return_here': 'return here',
  'says': 'what can be said',
  'seconds': 'seconds a run',
  'sign_agreement': 'halves agree in sign',
  'spread': '+- standard deviation',
  'start': 'started at',
  'start_states_episodes': 'episodes from start states',
  'start_states_high': 'its 95% interval over episodes, to',
  'start_states_low': 'its 95% interval over episodes, from',
  'start_states_mean': 'score from start states',
  'travelled': 'logits travelled',
}


_ABOUT_MEDIANS = (
  'Median over games of the mean over seeds of human-normalised scores, once'
  " each of the study's games that have a human score was played, with a 95%"
  ' interval: a bootstrap stratified by game, where every game has at least two'
  ' seeds. With few seeds it is too narrow. Rows: which meta-parameters are'
  ' learned; {} learns none, with the settings of the study, which may differ'
  " from IMPALA's: see Details. Columns: how episodes begin, and the reference"
  ' discount. Published: Xu et al. 2018, table 1 (191.8: Espeholt et al. 2018):'
  ' 57 games, 200M frames, the deep network; comparable only with a study of'
  ' the same.'
)
ABOUT = {
  'improvement': (
    '100 (score - other) / (max(human, other) - random) on Atari, and in % of'
    " the other's score elsewhere; the mean over games for all of them."
    " Interval and p: Welch's t-test over seeds. Arrows: the interval goes on."
    ' Probability of improvement: that a run beats one of the other, bootstrap'
    ' interval (Agarwal et al. 2021), too narrow with few seeds. Better or'
    ' worse: p below .05 after the correction for all tests shown here'
    ' (Benjamini and Hochberg 1995); perhaps: only before it. Speeds hold only'
    ' where runs did not share a machine.'
  ),
  'scores': (
    'Mean over seeds of the evaluation, with the 95% bootstrap interval where'
    ' there are two or more; of two it is just from one to the other. Filled'
    ' dots learn something, hollow ones do not.'
  ),
  'starts': (
    'The same scores by the value that the hyperparameter had at the start:'
    ' hollow dots keep it, filled ones learn it. The shade is the interval of'
    ' the best that keeps it.'
  ),
  'curves': (
    'Finished runs: mean over seeds and its 95% bootstrap interval, which of'
    ' two seeds is from one to the other. Point at a curve for its values, drag'
    ' to zoom, double-click to zoom out; a button hides a variant.'
  ),
  'gauges': (
    'Means over the finished runs. Logits it could have travelled: meta'
    ' learning rate x updates; below 1 the value is a constant. Signal to'
    ' noise: running mean over running standard deviation of one meta-gradient,'
    ' at the end. Halves agree: share of looks at which both halves of the'
    ' outer batch gave the meta-gradient the same sign; .5 is noise. Outer'
    ' advantage: mean over the last tenth of the run; about 0 where the'
    ' baseline of the outer objective is right. Columns that no run logged are'
    ' left out.'
  ),
  'published': (
    'Published returns, and the training return here after as many frames of'
    ' the variant that is alike. Settings differ: see Details.'
  ),
}
# Title and note of a table, in the order of the page.
DETAILS = {
  'scores': (
    'Scores by game',
    'Raw scores: mean over seeds with the 95% bootstrap interval, which holds'
    ' the true mean of two seeds about half the time. Published IMPALA: no-op'
    ' starts, 200M frames, discount .99 (Espeholt et al. 2018, table C.1).',
  ),
  'starts': ('Scores by the value at the start', ''),
  'pairs': (
    'Every pair',
    "Welch's t-test, corrected after Benjamini and Hochberg 1995: those against"
    ' the variant that learns nothing and the others, those of single games and'
    ' those over all games, each by themselves.',
  ),
  'aggregates': (
    'Interquartile mean and probability of improvement',
    'Interquartile mean of human-normalised scores over all runs (%), and the'
    ' probability that a run beats one of the baseline on the raw score of a'
    ' game drawn among the common ones; both once all games have a score; 95%'
    ' stratified bootstrap intervals (Agarwal et al. 2021), too narrow with few'
    ' seeds.',
  ),
  'costs': (
    'Cost',
    'Means over the runs that say it. Runs that share a machine slow each'
    ' other down.',
  ),
  'runs': ('Runs', 'The intervals are of one run, over its episodes.'),
  'settings': (
    "Settings that are not the paper's",
    'As a run wrote them down; where none did, as the preset has them today.',
  ),
  'variants': ('Variants, as flags', ''),
}


class Medians(NamedTuple):
  """The paper's table 1."""

  places: list[tuple[str, str]]  # Columns: protocol, reference discount.
  rows: list[tuple[str, list['Cell']]]
  notes: list[str]
  is_open: bool


class Cell(NamedTuple):
  """A place of the table."""

  text: str
  missing: str = ''  # missing or failed.
  small: tuple[str, ...] = ()


class Detail(NamedTuple):
  """A table that is folded."""

  name: str
  title: str
  note: str
  rows: list[tables.Row]


def detail(name: str, rows: list[tables.Row]) -> Detail | None:
  """One of `DETAILS`; None without a row."""
  return Detail(name, *DETAILS[name], rows) if rows else None


def medians(rows: list[tables.Row], notes: list[str]) -> Medians:
  """The cells of `tables.medians` in the paper's layout.

  It is open where the study has a game with a human score.
  """
  places = list(
    dict.fromkeys(
      (row['protocol'], row['reference_discount'])
      for row in rows
      if row['reference_discount']
    )
  )
  by_place = {
    (row['learned'], row['protocol'], row['reference_discount']): row
    for row in rows
  }
  lines = []
  for label in dict.fromkeys(row['learned'] for row in rows):
    cells = []
    for protocol, discount in places:
      # Another system has no reference discount: the same in both columns.
      row = by_place.get((label, protocol, discount)) or by_place.get(
        (label, protocol, '')
      )
      cells.append(_median(row) if row else _cell('not run'))
    lines.append((label, cells))
  has_human = any(row['human_games'] != '0' for row in rows)
  return Medians(places, lines, [_ABOUT_MEDIANS, *notes], has_human)


def _median(row: tables.Row) -> Cell:
  small = []
  if row['runs'] != '0':
    human = f' ({row["human_games"]} with a human score)'
    small.append(
      f'{row["games"]} of {row["study_games"]} games'
      f'{human if row["human_games"] != row["games"] else ""},'
      f' {row["runs"]} runs'
    )
  if row['published']:
    small.append(f'published {row["published"]}%')
  if not row['median']:
    return _cell(row['status'], *small)
  interval = f' [{row["low"]}, {row["high"]}]' if row['low'] else ''
  partial = '' if row['status'] == 'done' else f', {row["status"]}'
  return _cell(f'{row["median"]}%{interval}{partial}', *small)


def _cell(text: str, *small: str) -> Cell:
  missing = 'missing' if text in tables.STATUSES else ''
  return Cell(text, 'failed' if text == tables.FAILED else missing, small)


def words(column: str) -> str:
  """A column's heading."""
  return _WORDS.get(column, column.replace('_', ' '))


def shown(text: str) -> str:
  """A cell's text: large whole numbers with commas."""
  return f'{int(text):,}' if _LARGE.fullmatch(text) else text


def columns(rows: list[tables.Row]) -> list[str]:
  """The columns that a row has something in."""
  return [
    column
    for column in csv_files.columns(rows)
    if any(row.get(column) for row in rows)
  ]


def render(**context: Any) -> str:
  """The page; `report.html` says what it uses.

  Raises:
    jinja2.UndefinedError: something is missing.
  """
  return environment().get_template('report.html').render(**context)


def environment() -> jinja2.Environment:
  """The templates, and what they may call."""
  made = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
  )
  made.globals.update(
    columns=columns,
    file=_file,
    is_number=_is_number,
    protocols=PROTOCOLS,
    shown=shown,
    statuses=tables.STATUSES,
    words=words,
  )
  return made


def _file(name: str) -> markupsafe.Markup:
  """A script or a style of ours, as it is."""
  return markupsafe.Markup((_TEMPLATES / name).read_text(encoding='utf-8'))


def _is_number(rows: list[tables.Row], column: str) -> bool:
  """Whether what there is in a column are numbers."""
  cells = [row[column] for row in rows if row.get(column)]
  known = [cell for cell in cells if cell not in tables.STATUSES]
  return bool(known) and all(map(_NUMBER.fullmatch, known))
