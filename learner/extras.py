"""Optional packages, each of an extra of this one."""

from collections.abc import Iterator
import contextlib
from importlib import util


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


def find(module: str, extra: str) -> None:
  """Raises ValueError where a module, of an extra, is not installed."""
  if not util.find_spec(module):
    with needed(extra):
      raise ModuleNotFoundError(f'No module named {module!r}')
