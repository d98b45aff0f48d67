"""CSV files that a run appends to, and a resumed run as well."""

from collections.abc import Iterable, Mapping, Sequence
import csv
import io
import os
import pathlib

from absl import logging

from learner.storage import files

Row = Mapping[str, float | int]


class Table:
  """A CSV file with a header that rows are appended to.

  Rows of frames after `restored_env_frames` are truncated: a resumed run trains
  on these frames again. Where its rows have other columns than the file, new
  ones are added, with empty cells in the rows before; old ones get empty cells.

  Rows that find the disk full wait until there is room.
  """

  def __init__(
    self, path: str | os.PathLike[str], restored_env_frames: int
  ) -> None:
    self._path = pathlib.Path(path)
    self._header: list[str] = []  # In the file.
    self._columns: frozenset[str] | None = None  # Those that are appended.
    if lines := _complete_lines(self._path):
      self._header, *rows = lines
      frames = self._header.index('env_frames')
      kept = [row for row in rows if float(row[frames]) <= restored_env_frames]
      files.write_atomic(self._path, _to_csv([self._header, *kept]))
    self._file = open(self._path, 'ab', buffering=0)
    self._waiting = bytearray()

  def append(self, row: Row) -> None:
    """Appends a row, buffered.

    Raises:
      ValueError: its columns are not those of the first row appended here.
    """
    if self._columns is None:
      self._columns = frozenset(row)
      self._add_columns([name for name in row if name not in self._header])
    if row.keys() != self._columns:
      raise ValueError(
        f'{self._path} has the columns {self._header}, got a row of '
        f'{list(row)}.'
      )
    self._waiting += _to_csv(
      [[row.get(name, '') for name in self._header]]
    ).encode()

  def flush(self) -> None:
    """Gives buffered rows to the system."""
    try:
      while self._waiting:
        del self._waiting[: self._file.write(self._waiting)]
    except OSError as error:
      logging.error('Rows of %s wait: %s', self._path, error)

  def close(self) -> None:
    """Flushes and closes the file."""
    self.flush()
    self._file.close()

  def _add_columns(self, names: Sequence[str]) -> None:
    if not self._header:
      self._waiting += _to_csv([names]).encode()
    elif names:
      _, *rows = _complete_lines(self._path)
      cells = [''] * len(names)
      contents = _to_csv(
        [[*self._header, *names], *([*row, *cells] for row in rows)]
      )
      self._file.close()
      files.write_atomic(self._path, contents)
      self._file = open(self._path, 'ab', buffering=0)
    self._header += names


def _complete_lines(path: pathlib.Path) -> list[list[str]]:
  """The header and the rows; a crash may have cut the last one, left out."""
  if not path.exists():
    return []
  with open(path, newline='', encoding='utf-8') as file:
    lines = [line for line in file if line.endswith('\n')]
  return list(csv.reader(lines))


def _to_csv(rows: Iterable[Iterable[object]]) -> str:
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows(rows)
  return text.getvalue()
