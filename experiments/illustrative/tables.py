"""Tables of the experiments, as CSV files."""

from collections.abc import Iterable, Sequence
import csv
import pathlib

EVERY = 10  # Updates between two rows of a curve.


def write(
  path: pathlib.Path, columns: Sequence[str], rows: Iterable[Iterable[object]]
) -> None:
  """Writes a header and rows."""
  with open(path, 'w', newline='', encoding='utf-8') as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(rows)
