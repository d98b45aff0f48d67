"""The repository's Python files and what they import."""

import ast
from collections.abc import Iterator
import functools
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = (
  'actors',
  'benchmarks',
  'experiments',
  'learner',
  'protos',
  'seed_metagrad',
  'tests',
)


@functools.cache
def paths() -> tuple[str, ...]:
  """Every Python file, relative to the root, sorted."""
  files = (path for name in PACKAGES for path in (ROOT / name).rglob('*.py'))
  return tuple(sorted(path.relative_to(ROOT).as_posix() for path in files))


def module(path: str) -> str:
  """The dotted name of a file: actors/__init__.py is actors."""
  return path.removesuffix('.py').removesuffix('/__init__').replace('/', '.')


def imports(path: str) -> set[str]:
  """The dotted names that a file imports, also inside functions.

  What a file takes out of a module of the repository is cut to the module.
  """
  modules = {module(other) for other in paths()}
  return {_cut(name, modules) for name in _names(_tree(path))}


def named(path: str) -> set[str]:
  """The modules that a file names in strings, to import or start them."""
  modules = {module(other) for other in paths()} - {*PACKAGES}
  return modules & {
    node.value
    for node in ast.walk(_tree(path))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
  }


def is_main(path: str) -> bool:
  """Whether running the file does something."""
  return any(
    isinstance(node, ast.If) and '__main__' in ast.unparse(node.test)
    for node in _tree(path).body
  )


@functools.cache
def _tree(path: str) -> ast.Module:
  return ast.parse((ROOT / path).read_text())


def _names(tree: ast.AST) -> Iterator[str]:
  for node in ast.iter_child_nodes(tree):
    if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING':
      continue  # To annotate: nothing is imported.
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f'{node.module}.{alias.name}' for alias in node.names)
    yield from _names(node)


def _cut(name: str, modules: set[str]) -> str:
  parent = name.rpartition('.')[0]
  return parent if name not in modules and parent in modules else name
