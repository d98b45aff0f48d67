"""A report as one HTML page that needs nothing else."""

import base64
import html
import io

from matplotlib import figure

from experiments.comparison import csv_files
from experiments.report import tables

_STYLE = """
body {font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto;
      padding: 0 1rem; color: #222}
table {border-collapse: collapse; margin: 1rem 0}
th, td {border: 1px solid #ccc; padding: .25rem .6rem; text-align: right}
th, td:first-child {text-align: left; background: #f4f4f4}
.missing {color: #999; font-style: italic}
.failed {color: #b00; font-style: italic}
small {color: #666; display: block}
img {max-width: 100%}
pre {background: #f4f4f4; padding: 1rem; overflow-x: auto}
"""
_PROTOCOLS = {'start_states': 'Start states', 'noop': 'No-op starts'}


def page(title: str, sections: list[tuple[str, str]]) -> str:
  """A page of (heading, HTML) sections."""
  body = '\n'.join(
    f'<h2>{html.escape(heading)}</h2>\n{content}'
    for heading, content in sections
  )
  return (
    f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    f'<title>{html.escape(title)}</title>'
    f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>'
    f'<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body></html>\n'
  )


def paragraph(text: str) -> str:
  """Plain text as a paragraph."""
  return f'<p>{html.escape(text)}</p>'


def preformatted(text: str) -> str:
  """Plain text as it is."""
  return f'<pre>{html.escape(text)}</pre>'


def table(rows: list[tables.Row], name: str) -> str:
  """Rows as they are, a column for each of their columns."""
  columns = csv_files.columns(rows)
  head = ''.join(
    f'<th>{html.escape(column.replace("_", " "))}</th>' for column in columns
  )
  lines = [
    ''.join(_cell(row.get(column, '')) for column in columns) for row in rows
  ]
  return _table(name, [head, *lines])


def medians(rows: list[tables.Row]) -> str:
  """The cells of `tables.medians` in the paper's layout."""
  places = list(
    dict.fromkeys(
      (row['protocol'], row['reference_discount'])
      for row in rows
      if row['reference_discount']
    )
  )
  head = '<th>learned</th>' + ''.join(
    f'<th>{_PROTOCOLS[protocol]}, {discount}</th>'
    for protocol, discount in places
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
    lines.append(f'<td>{html.escape(label)}</td>{"".join(cells)}')
  return _table('medians', [head, *lines])


def image(drawn: figure.Figure, title: str) -> tuple[bytes, str]:
  """A figure as PNG and as HTML that holds it."""
  buffer = io.BytesIO()
  drawn.savefig(buffer, format='png', dpi=110)
  png = buffer.getvalue()
  data = base64.b64encode(png).decode()
  return png, (
    f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
  )


def _median(row: tables.Row) -> str:
  published = (
    f'<small>published {row["published"]}%</small>' if row['published'] else ''
  )
  counts = ''
  if row['runs'] != '0':
    human = f' ({row["human_games"]} with a human score)'
    counts = (
      f'<small>{row["games"]} of {row["study_games"]} games'
      f'{human if row["human_games"] != row["games"] else ""},'
      f' {row["runs"]} runs</small>'
    )
  if not row['median']:
    return _cell(row['status'], counts + published)
  interval = f' [{row["low"]}, {row["high"]}]' if row['low'] else ''
  partial = '' if row['status'] == 'done' else f', {row["status"]}'
  return _cell(f'{row["median"]}%{interval}{partial}', counts + published)


def _cell(text: str, after: str = '') -> str:
  style = {'failed': ' class="failed"'}.get(
    text, ' class="missing"' if text in tables.STATUSES else ''
  )
  return f'<td{style}>{html.escape(text)}{after}</td>'


def _table(name: str, lines: list[str]) -> str:
  rows = '\n'.join(f'<tr>{line}</tr>' for line in lines)
  return f'<table id="{name}">\n{rows}\n</table>'
