"""BUILD files say what the files beside them are and what they import."""

import collections
from collections.abc import Iterator
import functools
import graphlib
import re
import sys
import tomllib

from absl.testing import absltest

from tests.repository import build_files
from tests.repository import sources

# Where the name to import is not the name to install.
_DISTRIBUTIONS = {
  'PIL': 'pillow',
  'absl': 'absl_py',
  'google': 'protobuf',
  'grpc': 'grpcio',
  'grpc_health': 'grpcio_health_checking',
  'grpc_tools': 'grpcio_tools',
  'yaml': 'pyyaml',
}
# Imported by what we import, and required by nothing that is installed.
_UNDECLARED = {'tensorflow_probability': ['tf_keras']}
_COMMANDS = 'experiments/cli.py'
_INTEGRATION = '\npytestmark = pytest.mark.integration\n'


def _distributions(path: str) -> Iterator[str]:
  """The third-party packages that a file needs."""
  for name in sources.imports(path):
    top = name.partition('.')[0]
    if top not in sources.PACKAGES and top not in sys.stdlib_module_names:
      yield _DISTRIBUTIONS.get(top, top).lower()
      yield from _UNDECLARED.get(top, ())


@functools.cache
def _extras() -> set[str]:
  """The packages that only extras need."""
  project = tomllib.loads((sources.ROOT / 'pyproject.toml').read_text())
  extras = project['project']['optional-dependencies']
  needed = [line for lines in extras.values() for line in lines]
  names = {re.match(r'[\w-]+', line)[0].replace('-', '_') for line in needed}
  return names - _pinned()


@functools.cache
def _pinned() -> set[str]:
  """The direct requirements."""
  text = (sources.ROOT / 'requirements.txt').read_text()
  direct = text.partition('# What those need.')[0]
  return {
    name.lower().replace('-', '_')
    for name in re.findall(r'^([\w-]+)==', direct, re.MULTILINE)
  }


@functools.cache
def _owners() -> dict[str, str]:
  """The target of every file."""
  return {
    path: target.label
    for target in reversed(build_files.targets())
    for path in target.srcs
  }


def _needed(target: build_files.Target) -> set[str]:
  """The labels of what a target's files import, or start by name."""
  modules = {sources.module(path): path for path in _owners()}
  labels = set()
  for path in target.srcs:
    for name in sources.imports(path) | sources.named(path):
      file = modules.get(name)
      # What starts a command is itself run by one.
      if file and (file != _COMMANDS or path.startswith('tests/')):
        labels.add(_owners()[file])
    # Bazel knows the packages of requirements.txt, so no extra.
    labels |= {f'@pypi//{name}:{name}' for name in _distributions(path)}
  extras = {f'@pypi//{name}:{name}' for name in _extras()}
  return labels - extras - {target.label}


def _is_test(path: str) -> bool:
  return path.endswith(('_test.py', '_soak.py'))


class BuildTest(absltest.TestCase):
  def test_every_file_has_a_target(self):
    # Bazel makes the packages of tests itself.
    empty = {
      path
      for path in sources.paths()
      if path.startswith('tests/') and path.endswith('/__init__.py')
    }
    self.assertEqual(_owners().keys() | empty, {*sources.paths()})

  def test_no_file_has_two_targets(self):
    counts = collections.Counter(
      path
      for target in build_files.targets()
      for path in target.srcs
      if 'args' not in target.attributes  # A second name for a binary.
    )
    self.assertEmpty([path for path, count in counts.items() if count > 1])

  def test_rules_are_those_of_the_files(self):
    for target in build_files.targets():
      for path in target.srcs:
        rules = ('py_library', 'py_proto_library')
        if _is_test(path):
          rules = ('py_test',)
        elif sources.is_main(path):
          rules = ('py_binary',)
        self.assertIn(target.rule, rules, path)

  def test_deps_are_what_the_files_import(self):
    wrong = [
      f'{target.label} lacks {sorted(needed - target.deps)}, '
      f'has in excess {sorted(target.deps - needed)}'
      for target in build_files.targets()
      if target.rule in ('py_binary', 'py_library', 'py_test')
      and (needed := _needed(target)) != target.deps
    ]
    self.assertEmpty(wrong, '\n'.join(wrong))

  def test_libraries_do_not_depend_on_each_other_in_a_circle(self):
    graphlib.TopologicalSorter(
      {target.label: target.deps for target in build_files.targets()}
    ).prepare()

  def test_tests_have_size_and_tags(self):
    for target in build_files.targets():
      if target.rule == 'py_test':
        (path,) = target.srcs
        tags = []
        if path.startswith('tests/soak/'):
          tags = ['manual']
        elif _INTEGRATION in (sources.ROOT / path).read_text():
          tags = ['integration']
        self.assertEqual(target.attributes.get('tags', []), tags, path)
        self.assertIn('size', target.attributes, path)

  def test_suites_of_all_folders_are_in_those_of_the_root(self):
    root = {
      suite.label: {
        build_files.absolute(label, '') for label in suite.attributes['tests']
      }
      for suite in build_files.read('')
      if suite.rule == 'test_suite'
    }
    for kind in ('unit', 'integration'):
      suites = {
        target.label
        for target in build_files.targets()
        if target.rule == 'test_suite' and target.label.endswith(f':{kind}')
      }
      self.assertEqual(root[f'//:{kind}'], suites)

  def test_third_party_imports_are_direct_requirements(self):
    known = _pinned() | _extras()
    for path in sources.paths():
      self.assertLessEqual({*_distributions(path)}, known, path)

  def test_requirements_are_pinned(self):
    for line in (sources.ROOT / 'requirements.txt').read_text().splitlines():
      self.assertRegex(line, r'^$|^#|^[\w-]+==[\w.]+$|^[\w-]+==[\w.]+ +# \w')


if __name__ == '__main__':
  absltest.main()
