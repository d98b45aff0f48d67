"""README, the other pages and deploy/ name what is there."""

import functools
import importlib
import re
import subprocess
import sys
import tomllib

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
import yaml

from experiments import cli
from tests.repository import pages
from tests.repository import sources

_COMMANDS = {**cli.COMMANDS, **cli.PROCESSES}
_PATH = re.compile(
  rf'(?<![\w/.-])(?:{"|".join(sources.PACKAGES)}|docs|results)/[\w./-]*\w/?'
)
_DEPLOY = sources.ROOT / 'deploy'
_HELP = {'help'}  # The console script's own.
_EXTERNAL = ('https://', 'http://', 'mailto:')


@functools.cache
def _flags(command: str) -> set[str]:
  """The names of a command's flags."""
  module = _COMMANDS[command].module
  if command in cli.COMMANDS:
    values = flags.FlagValues()
    importlib.import_module(module).define_flags(values)
    return set(values) | _HELP
  # A process defines absl's global flags, of which there is one set a process.
  shown = subprocess.run(
    [sys.executable, '-m', 'experiments.cli', command, '--help'],
    cwd=sources.ROOT,
    text=True,
    capture_output=True,
    check=True,
    timeout=100,
  )
  found = re.findall(r'^  --(\[no\])?(\w+):', shown.stdout, re.MULTILINE)
  return {name for _, name in found} | _HELP


def _calls(line: str):
  """(command, flags) of each call in a line of a shell."""
  for part in re.split(r'[;&|#]', line):
    if make := re.search(r'\bmake train(?:\s+ARGS="([^"]*)")?', part):
      command, arguments = 'train', make[1] or ''
    elif call := re.search(r'\bseed-metagrad ([\w-]+)(.*)', part):
      command, arguments = call.groups()
    else:
      continue
    yield command, re.findall(r'(?<!\S)--(\w+)', arguments)


class DocsTest(parameterized.TestCase):
  def test_links_lead_somewhere(self):
    wrong = []
    for page in pages.paths():
      for link in pages.links(page.read_text()):
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        if link.startswith(_EXTERNAL):
          continue
        if not target.exists():
          wrong.append(f'{pages.name(page)}: {link}')
        elif anchor and anchor not in pages.anchors(target.read_text()):
          wrong.append(f'{pages.name(page)}: no heading {link}')
    self.assertEmpty(wrong, '\n'.join(wrong))

  def test_commands_have_the_flags(self):
    wrong, calls = [], 0
    for page in pages.paths():
      for text in pages.code(page.read_text()):
        for command, names in (
          call for line in text.splitlines() for call in _calls(line)
        ):
          calls += 1
          if command not in _COMMANDS:
            wrong.append(f'{pages.name(page)}: no command {command}')
            continue
          wrong += [
            f'{pages.name(page)}: {command} has no --{name}'
            for name in names
            if not {name, name.removeprefix('no')} & _flags(command)
          ]
    self.assertEmpty(wrong, '\n'.join(wrong))
    self.assertGreater(calls, 20)  # So the pages were read.

  def test_flags_alone_are_flags_of_some_command(self):
    known = set().union(*map(_flags, _COMMANDS))
    wrong = [
      f'{pages.name(page)}: --{name}'
      for page in pages.paths()
      for text in pages.code(page.read_text())
      if text.startswith('--')
      for name in re.findall(r'(?<!\S)--(\w+)', text)
      if not {name, name.removeprefix('no')} & known
    ]
    self.assertEmpty(wrong, '\n'.join(wrong))

  def test_paths_are_there(self):
    wrong = sorted(
      {
        f'{pages.name(page)}: {path}'
        for page in pages.paths()
        for text in pages.code(page.read_text())
        for path in _PATH.findall(text)
        if not (sources.ROOT / path).exists()
      }
    )
    self.assertEmpty(wrong, '\n'.join(wrong))

  def test_files_named_without_a_folder_are_somewhere(self):
    known = {path.rpartition('/')[2] for path in sources.paths()}
    known |= {'echo.py', 'my_games.py'}  # In examples.
    for page in pages.paths():
      for text in pages.code(page.read_text()):
        if re.fullmatch(r'[a-z]\w*\.py', text):
          self.assertIn(text, known, pages.name(page))

  def test_targets_are_there(self):
    makefile = (sources.ROOT / 'Makefile').read_text()
    known = set(re.findall(r'^([a-z-]+):', makefile, re.MULTILINE))
    named = {
      target
      for page in pages.paths()
      for text in pages.code(page.read_text())
      for target in re.findall(r'(?:^|\s)make ([a-z-]+)', text)
    }
    self.assertLessEqual(named, known)

  def test_modules_are_there(self):
    for page in pages.paths():
      for text in pages.code(page.read_text()):
        for module in re.findall(r'python -m ([\w.]+)', text):
          path = module.replace('.', '/')
          if path.partition('/')[0] in sources.PACKAGES:
            self.assertTrue((sources.ROOT / f'{path}.py').exists(), module)

  def test_reference_has_every_module_and_no_other(self):
    named = [
      module
      for path in (sources.ROOT / 'docs' / 'api').glob('*.md')
      for module in re.findall(r'^::: (\S+)$', path.read_text(), re.MULTILINE)
    ]
    modules = {
      sources.module(path)
      for path in sources.paths()
      if not path.startswith(('benchmarks/', 'tests/'))
      and not path.endswith(('__init__.py', '_pb2.py', '_pb2_grpc.py'))
    }
    packages = {'seed_metagrad.environments', 'seed_metagrad.networks'}
    self.assertCountEqual(named, modules | packages)

  @parameterized.parameters(
    (
      'seed-metagrad train --env=pong --learned=',
      [('train', ['env', 'learned'])],
    ),
    ('make train ARGS="--preset=smoke"  # Catch.', [('train', ['preset'])]),
    ('make train', [('train', [])]),
    ('ls --all', []),
  )
  def test_calls_are_found_in_a_line(self, line, expected):
    self.assertEqual(list(_calls(line)), expected)


def _manifests(name: str):
  return list(yaml.safe_load_all((_DEPLOY / name).read_text()))


def _wrong_flags(arguments: list[str]) -> list[str]:
  command, *others = arguments
  known = _flags(command)
  names = (other.removeprefix('--').partition('=')[0] for other in others)
  return [f'{command} has no --{name}' for name in names if name not in known]


class DeployTest(absltest.TestCase):
  def test_compose_starts_commands_that_there_are(self):
    (compose,) = _manifests('compose.yaml')
    services = compose['services']
    self.assertCountEqual(services, ['certs', 'learner', 'actor_0', 'actor_1'])
    for name, service in services.items():
      if 'entrypoint' not in service:
        self.assertEmpty(_wrong_flags(service['command']), name)
      for volume in service['volumes']:
        self.assertIn(volume.partition(':')[0], compose['volumes'])
    self.assertEmpty(list(_wrong_calls(services['certs']['command'][0])))
    (built,) = {service['build']['dockerfile'] for service in services.values()}
    self.assertTrue((sources.ROOT / built).exists())

  def test_kubernetes_starts_commands_that_there_are(self):
    manifests = {one['kind']: one for one in _manifests('kubernetes.yaml')}
    self.assertCountEqual(manifests, ['Service', 'StatefulSet', 'Job'])
    for kind in ('StatefulSet', 'Job'):
      pod = manifests[kind]['spec']['template']['spec']
      (container,) = pod['containers']
      self.assertEmpty(_wrong_flags(container['args']), kind)
      claims = manifests[kind]['spec'].get('volumeClaimTemplates', [])
      volumes = {volume['name'] for volume in pod['volumes']}
      volumes |= {claim['metadata']['name'] for claim in claims}
      self.assertEqual(
        {mount['name'] for mount in container['volumeMounts']}, volumes
      )
      self.assertTrue(pod['securityContext']['runAsNonRoot'])
    # Actors find the pod that the service selects.
    (service,) = (manifests['Service']['metadata']['name'],)
    self.assertIn(
      f'--address={service}:50051',
      manifests['Job']['spec']['template']['spec']['containers'][0]['args'],
    )
    self.assertEqual(
      manifests['Service']['spec']['selector'],
      manifests['StatefulSet']['spec']['template']['metadata']['labels'],
    )

  def test_slurm_script_parses_and_calls_what_there_is(self):
    path = _DEPLOY / 'slurm.sh'
    subprocess.run(['bash', '-n', path], check=True, timeout=10)
    text = path.read_text().replace('\\\n', ' ')
    self.assertLen(re.findall(r'\bseed-metagrad (?:actor|learner)', text), 2)
    self.assertEmpty(list(_wrong_calls(text)))

  def test_image_copies_every_package(self):
    text = (_DEPLOY / 'Dockerfile').read_text()
    with open(sources.ROOT / 'pyproject.toml', 'rb') as file:
      found = tomllib.load(file)['tool']['setuptools']['packages']['find']
    self.assertEqual(
      re.findall(r'^COPY (\w+) \1$', text, re.MULTILINE),
      sorted(name.removesuffix('*') for name in found['include']),
    )


def _wrong_calls(text: str):
  """The flags in a script that a command does not have."""
  for line in text.splitlines():
    for command, names in _calls(line):
      yield from _wrong_flags([command, *names])


if __name__ == '__main__':
  absltest.main()
