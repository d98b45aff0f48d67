"""The targets of the BUILD files.

A BUILD file is Starlark; what is used of it here is Python too, and so it is
executed with functions in the rules' places.
"""

from collections.abc import Iterable
import functools
from typing import Any, NamedTuple

from tests.repository import sources

_ROOT = sources.ROOT
_RULES = (
  'alias',
  'proto_library',
  'py_binary',
  'py_library',
  'py_proto_library',
  'py_test',
  'test_suite',
)


class Target(NamedTuple):
  """A target; labels are absolute, paths start at the root."""

  label: str
  rule: str
  srcs: tuple[str, ...]
  deps: frozenset[str]
  attributes: dict[str, Any]  # All the others.


@functools.cache
def targets() -> list[Target]:
  """The targets of all folders but the root."""
  files = (
    path for top in sources.PACKAGES for path in (_ROOT / top).rglob('BUILD')
  )
  folders = sorted(file.parent.relative_to(_ROOT).as_posix() for file in files)
  return [target for folder in folders for target in read(folder)]


def absolute(label: str, folder: str) -> str:
  """Spells a label out: //a/b is //a/b:b, and :b when said within a/b."""
  path, _, name = label.partition(':')
  path = path or f'//{folder}'
  return f'{path}:{name or path.rpartition("/")[2]}'


def read(folder: str) -> list[Target]:
  """The targets of one folder; that of the root is ''."""
  path = _ROOT / folder
  found: list[Target] = []

  def declare(
    rule: str,
    *,
    name: str,
    srcs: Iterable[str] = (),
    deps: Iterable[str] = (),
    **attributes: Any,
  ) -> None:
    if rule == 'py_proto_library':
      srcs = [f'{name}.py']  # Generated, and checked in.
    elif rule == 'proto_library':
      srcs = []  # No Python.
    found.append(
      Target(
        absolute(f':{name}', folder),
        rule,
        tuple(f'{folder}/{source}' for source in srcs),
        frozenset(absolute(dep, folder) for dep in deps),
        attributes,
      )
    )

  def glob(patterns: Iterable[str], exclude: Iterable[str] = ()) -> list[str]:
    names = {file.name for each in patterns for file in path.glob(each)}
    return sorted(
      names - {file.name for each in exclude for file in path.glob(each)}
    )

  def ignore(*_: Any, **__: Any) -> None:
    """Declares nothing."""

  rules = {rule: functools.partial(declare, rule) for rule in _RULES}
  others = dict.fromkeys(('filegroup', 'load', 'package'), ignore)
  exec((path / 'BUILD').read_text(), {'glob': glob, **rules, **others})
  return found
