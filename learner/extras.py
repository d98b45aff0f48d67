"""Optional packages, each of an extra of this one."""

from collections.abc import Iterator
import contextlib


@contextlib.contextmanager
def needed(name: str) -> Iterator[None]:
  """Says which extra to install where an import in the block fails.

  Raises:
    ValueError: a module is not installed.
  """
  try:
    yield
  except ModuleNotFoundError as error:
    raise ValueError(
      f"{error}: it needs pip install 'seed-metagrad[{name}]'."
    ) from None
