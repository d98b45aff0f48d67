"""CSV files as people and programs write them."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import io
import os
from typing import NamedTuple

from learner.storage import files

_DELIMITERS = (',', ';', '\t')


class Row(NamedTuple):
  """A row by the names of its columns."""

  where: str  # The file and the line, for messages.
  fields: dict[str, str]

  def number(self, name: str) -> float:
    """A column's number.

    Raises:
      ValueError: it is none.
    """
    try:
      return float(self.fields[name])
    except ValueError:
      raise ValueError(
        f'{self.where}: {name} is {self.fields[name]!r}, not a number.'
      ) from None

  def integer(self, name: str) -> int:
    """A column's whole number.

    Raises:
      ValueError: it is none.
    """
    try:
      return int(self.fields[name])
    except ValueError:
      raise ValueError(
        f'{self.where}: {name} is {self.fields[name]!r}, not a whole number.'
      ) from None


def read(path: str | os.PathLike[str], columns: Iterable[str]) -> list[Row]:
  """Reads a file with a header that has at least these columns.

  The encoding is UTF-8, or UTF-16 with a byte-order mark; fields are separated
  by commas, semicolons or tabs, whichever the header is.

  Raises:
    OSError: it cannot be read.
    ValueError: it is no such file; says what was found, and where.
  """
  text = files.read_text(path)
  if '\0' in text:
    raise ValueError(
      f'{path} holds zero bytes: it is no CSV file, or in UTF-16 without a'
      ' byte-order mark.'
    )
  header = text.partition('\n')[0]
  delimiter = max(_DELIMITERS, key=header.count)
  reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter)
  try:
    names = next(reader, [])
    missing = [name for name in columns if name not in names]
    if missing:
      raise ValueError(
        f'{path} has no column {missing[0]!r}; its first line is'
        f' {header.strip()[:80]!r}.'
      )
    rows = []
    for fields in filter(None, reader):  # Not of an empty line.
      where = f'{path}, line {reader.line_num}'
      if len(fields) != len(names):
        raise ValueError(
          f'{where}: {len(fields)} fields, expected {len(names)}.'
        )
      rows.append(Row(where, dict(zip(names, fields))))
  except csv.Error as error:
    raise ValueError(f'{path}, line {reader.line_num}: {error}.') from None
  return rows


def columns(rows: Iterable[Mapping[str, str]]) -> list[str]:
  """Every column that a row has, in the order of their first coming."""
  return list(dict.fromkeys(name for row in rows for name in row))


def to_text(rows: Sequence[Mapping[str, str]]) -> str:
  """CSV of rows by column; what a row lacks is empty."""
  text = io.StringIO()
  writer = csv.DictWriter(text, columns(rows), restval='', lineterminator='\n')
  writer.writeheader()
  writer.writerows(rows)
  return text.getvalue()
