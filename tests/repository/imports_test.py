"""Who may import whom."""

import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

from tests.repository import sources

_ANY = ('any third party',)
_TF = ('seed_metagrad.types', 'tensorflow')

# For a file or a folder, what it may import beside the standard library.
_ALLOWED = {
  'seed_metagrad': (),
  'seed_metagrad.config': ('seed_metagrad.presets',),
  'seed_metagrad.presets': (),
  'seed_metagrad.types': (),
  'seed_metagrad.environments': (
    'seed_metagrad.environments',
    'seed_metagrad.types',
    'ale_py',
    'envpool',
    'gymnasium',
    'minatar',
    'numpy',
  ),
  'seed_metagrad.returns': _TF,
  'seed_metagrad.optimizers': _TF,
  'seed_metagrad.networks.frames': (*_TF, 'numpy'),
  'seed_metagrad.networks.lstm': _TF,
  'seed_metagrad.networks.policies': (*_TF, 'tensorflow_probability'),
  'seed_metagrad.networks.torsos': (*_TF, 'keras'),
  'seed_metagrad.networks': (*_TF, 'keras', 'numpy', 'seed_metagrad.networks'),
  'seed_metagrad.losses': (
    *_TF,
    'seed_metagrad.networks.policies',
    'seed_metagrad.returns',
    'tensorflow_probability',
  ),
  'seed_metagrad.meta_gradients': (
    *_TF,
    'seed_metagrad.meta_gradients',
    'seed_metagrad.optimizers',
  ),
  'seed_metagrad.meta_gradients.meta_parameters': (
    *_TF,
    'seed_metagrad.config',
  ),
  'seed_metagrad.meta_gradients.outer': (
    *_TF,
    'seed_metagrad.losses',
    'seed_metagrad.networks.policies',
  ),
  'seed_metagrad.agent': ('seed_metagrad', *_TF),
  'seed_metagrad.agent_rules': ('seed_metagrad', *_TF),
  'protos': (
    'protos',
    'seed_metagrad.types',
    'google.protobuf',
    'grpc',
    'numpy',
  ),
  'actors': (
    'actors',
    'protos',
    'seed_metagrad.config',
    'seed_metagrad.types',
    'seed_metagrad.environments',
    'absl',
    'grpc',
    'numpy',
  ),
  'learner': ('learner', 'protos', 'seed_metagrad', *_ANY),
  'experiments': (
    'actors',
    'benchmarks',
    'experiments',
    'learner',
    'protos',
    'seed_metagrad',
    *_ANY,
  ),
  'benchmarks': (
    'actors',
    'benchmarks',
    'experiments',
    'learner',
    'protos',
    'seed_metagrad',
    *_ANY,
  ),
}

_NOT_PURE = frozenset(
  (
    'asyncio',
    'logging',
    'multiprocessing',
    'queue',
    'socket',
    'subprocess',
    'threading',
  )
)

_WITHOUT_TENSORFLOW = ('actors', 'protos', 'seed_metagrad.environments')


def _within(name, folder):
  return name == folder or name.startswith(f'{folder}.')


def _allowed(module):
  return _ALLOWED[
    max((key for key in _ALLOWED if _within(module, key)), key=len)
  ]


def _may_import(module, name):
  top = name.partition('.')[0]
  if top in sys.stdlib_module_names:
    return not (_within(module, 'seed_metagrad') and top in _NOT_PURE)
  allowed = _allowed(module)
  if any(_within(name, folder) for folder in allowed):
    return True
  return _ANY[0] in allowed and top not in sources.PACKAGES


class ImportsTest(parameterized.TestCase):
  def test_every_import_is_allowed(self):
    wrong = [
      f'{path} imports {name}'
      for path in sources.paths()
      if not path.startswith('tests/')
      for name in sources.imports(path)
      if not _may_import(sources.module(path), name)
    ]
    self.assertEmpty(wrong, '\n'.join(wrong))

  def test_nothing_imports_a_main(self):
    wrong = [
      f'{path} imports {name}'
      for path in sources.paths()
      if not path.startswith('tests/')
      for name in sources.imports(path)
      if name in ('actors.main', 'learner.main', 'experiments.cli')
    ]
    self.assertEmpty(wrong, '\n'.join(wrong))

  @parameterized.parameters(
    ('seed_metagrad.returns', 'seed_metagrad.losses'),
    ('seed_metagrad.meta_gradients.meta', 'threading'),
    ('seed_metagrad.environments.catch', 'tensorflow'),
    ('actors.actor', 'learner.serving.server'),
    ('actors.client', 'tensorflow.keras'),
    ('learner.serving.server', 'actors'),
    ('learner.serving.server', 'experiments.launch.train'),
    ('experiments.launch.train', 'tests.support.reference'),
  )
  def test_import_is_refused_when_the_table_lacks_it(self, module, name):
    self.assertFalse(_may_import(module, name))

  def test_actors_start_without_tensorflow(self):
    modules = ['seed_metagrad.config', 'seed_metagrad.types']
    modules += [
      module
      for module in map(sources.module, sources.paths())
      if any(_within(module, folder) for folder in _WITHOUT_TENSORFLOW)
    ]
    program = (
      f'import sys, {", ".join(modules)}\n'
      'print([name for name in ("keras", "tensorflow") '
      'if name in sys.modules])'
    )
    done = subprocess.run(
      [sys.executable, '-c', program],
      cwd=sources.ROOT,
      text=True,
      capture_output=True,
      timeout=60,
    )
    self.assertEqual(done.stdout, '[]\n', done.stderr)


if __name__ == '__main__':
  absltest.main()
