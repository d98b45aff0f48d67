"""Atomic writes, texts, and JSON as the standard has it."""

import codecs
from collections.abc import Mapping
import json
import math
import os
import pathlib
from typing import Any


def write_atomic(path: str | os.PathLike[str], contents: bytes | str) -> None:
  """Makes `path` hold `contents`, on the disk, or leaves it as it was.

  Raises:
    OSError: nothing was changed.
  """
  path = pathlib.Path(path)
  if isinstance(contents, str):
    contents = contents.encode()
  temporary = path.with_name(f'{path.name}.tmp')
  try:
    with open(temporary, 'wb') as file:
      file.write(contents)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except OSError:
    temporary.unlink(missing_ok=True)
    raise
  folder = os.open(path.parent, os.O_RDONLY)
  try:
    os.fsync(folder)
  finally:
    os.close(folder)


def to_json(value: Any, *, indent: int | None = 2) -> str:
  """JSON of dicts, lists, tuples, strings and numbers.

  NaN and infinity, which JSON lacks, become null.
  """
  return json.dumps(_finite(value), indent=indent, allow_nan=False)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """Writes `to_json`, atomically.

  Raises:
    OSError: nothing was changed.
  """
  write_atomic(path, f'{to_json(value)}\n')


def read_json(path: str | os.PathLike[str]) -> Any:
  """Reads a JSON file.

  Raises:
    OSError: it cannot be read.
    ValueError: it is no JSON, with its path.
  """
  try:
    return json.loads(pathlib.Path(path).read_bytes())
  except RecursionError:
    raise ValueError(f'{path} is nested too deeply.') from None
  except ValueError as error:  # The encoding or the syntax is wrong.
    raise ValueError(f'{path} is not JSON: {error}.') from None


def read_text(path: str | os.PathLike[str]) -> str:
  """Reads a text in UTF-8, or in UTF-16 with a byte-order mark.

  Raises:
    OSError: it cannot be read.
    ValueError: it is no such text, with its path.
  """
  contents = pathlib.Path(path).read_bytes()
  encoding = 'utf-8-sig'
  if contents.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
    encoding = 'utf-16'
  try:
    return contents.decode(encoding)
  except UnicodeDecodeError as error:
    raise ValueError(f'{path} is no text: {error}.') from None


def _finite(value: Any) -> Any:
  if isinstance(value, float) and not math.isfinite(value):
    return None
  if isinstance(value, Mapping):
    return {key: _finite(part) for key, part in value.items()}
  if isinstance(value, (list, tuple)):
    return [_finite(part) for part in value]
  return value
