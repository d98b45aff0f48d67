"""A folder that one process at a time works in."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib

NAME = 'lock'  # The file in the folder; it holds the pid of the last holder.


class InUseError(ValueError):
  """Another process holds the folder."""


@contextlib.contextmanager
def held(folder: str | os.PathLike[str]) -> Iterator[None]:
  """Holds a folder until the end of the block, or of the process.

  Raises:
    InUseError: another process holds it.
  """
  with open(pathlib.Path(folder) / NAME, 'a+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      file.seek(0)
      raise InUseError(
        f'{folder} is in use by the process with pid {file.read().strip()}.'
      ) from None
    file.truncate(0)
    file.write(f'{os.getpid()}\n')
    file.flush()
    yield
