"""Files that are whole or not there."""

import os
import pathlib


def write_whole(path: str | os.PathLike, contents: bytes | str):
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
