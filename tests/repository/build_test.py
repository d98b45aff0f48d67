"""BUILD says what the files are and what they import."""

import ast
import re
import sys
import tomllib

from absl.testing import absltest

from tests.repository import sources

# Where the name to import is not the name to install.
_DISTRIBUTIONS = {
  'PIL': 'pillow',
  'absl': 'absl_py',
  'google': 'protobuf',
  'grpc': 'grpcio',
  'grpc_health': 'grpcio_health_checking',
  'grpc_tools': 'grpcio_tools',
}


def _label(path):
  return sources.module(path).replace('.', '_')


def _dep(name, modules):
  """The label of an imported name; None in the standard library."""
  top = name.partition('.')[0]
  if top in sys.stdlib_module_names:
    return None
  if top in sources.PACKAGES:
    return ':' + _label(modules[name])
  return '@pypi//' + _DISTRIBUTIONS.get(top, top).lower()


def _expected():
  """The target of every file: {name: (rule, attributes)}."""
  targets = {}
  modules = {sources.module(path): path for path in sources.paths()}
  for path in modules.values():
    deps = {_dep(name, modules) for name in sources.imports(path)} - {None}
    attributes = {'srcs': [path], 'deps': sorted(deps)}
    rule = 'py_library'
    if path.endswith(('_test.py', '_soak.py')):
      rule = 'py_test'
    elif sources.is_main(path):
      rule = 'py_binary'
    if rule != 'py_library':
      attributes['main'] = [path]
    targets[_label(path)] = rule, attributes
  for proto in (sources.ROOT / 'protos').glob('*.proto'):
    targets[f'protos_{proto.stem}_proto'] = (
      'proto_library',
      {'srcs': [proto.relative_to(sources.ROOT).as_posix()], 'deps': []},
    )
  return targets


def _declared():
  """The targets in BUILD, with the attributes that _expected knows."""
  targets = {}
  for node in ast.parse((sources.ROOT / 'BUILD').read_text()).body:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
      continue  # A docstring or a package default.
    values = {word.arg: word.value for word in node.value.keywords}
    if 'name' not in values:
      continue
    attributes = {
      key: ast.literal_eval(values[key])
      for key in ('srcs', 'main', 'deps')
      if key in values
    }
    if 'main' in attributes:
      attributes['main'] = [attributes['main']]
    attributes['deps'] = sorted(attributes.get('deps', ()))
    name = ast.literal_eval(values['name'])
    assert name not in targets, f'BUILD has two targets {name}.'
    targets[name] = node.value.func.id, attributes
  return targets


def _text(name, rule, attributes):
  """A target as BUILD should have it."""
  lines = [
    f'{rule}(',
    f'    name = "{name}",',
    f'    srcs = ["{attributes["srcs"][0]}"],',
  ]
  if 'main' in attributes:
    lines.append(f'    main = "{attributes["main"][0]}",')
  deps = attributes['deps']
  if len(deps) == 1:
    lines.append(f'    deps = ["{deps[0]}"],')
  elif deps:
    inner = ''.join(f'        "{dep}",\n' for dep in deps)
    lines.append(f'    deps = [\n{inner}    ],')
  return '\n'.join([*lines, ')', ''])


class BuildTest(absltest.TestCase):
  def test_targets_are_those_of_the_files(self):
    expected, declared = _expected(), _declared()
    stale = sorted(set(declared) - set(expected))
    wrong = [
      _text(name, *target)
      for name, target in sorted(expected.items())
      if declared.get(name) != target
    ]
    self.assertEmpty(
      stale + wrong,
      f'BUILD has targets without a file: {stale}\n'
      'It should have these targets:\n\n' + '\n'.join(wrong),
    )

  def test_third_party_imports_are_direct_requirements(self):
    text = (sources.ROOT / 'requirements.txt').read_text()
    direct = text.partition('# What those need.')[0]
    pinned = {
      name.lower().replace('-', '_')
      for name in re.findall(r'^([\w-]+)==', direct, re.MULTILINE)
    }
    project = tomllib.loads((sources.ROOT / 'pyproject.toml').read_text())
    extras = set(project['project']['optional-dependencies'])
    for name, (_, attributes) in _expected().items():
      used = {
        dep.removeprefix('@pypi//')
        for dep in attributes['deps']
        if dep.startswith('@')
      }
      self.assertLessEqual(used, pinned | extras, name)

  def test_requirements_are_pinned(self):
    for line in (sources.ROOT / 'requirements.txt').read_text().splitlines():
      self.assertRegex(line, r'^$|^#|^[\w-]+==[\w.]+$|^[\w-]+==[\w.]+ +# \w')


if __name__ == '__main__':
  absltest.main()
