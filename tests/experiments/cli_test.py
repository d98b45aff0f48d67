"""The console script finds its commands and explains itself."""

import contextlib
import importlib
import io
import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

from experiments import cli
from tests.repository import sources
from tests.support import command_flags


def _run(*arguments: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, '-m', 'experiments.cli', *arguments],
    cwd=sources.ROOT,
    text=True,
    capture_output=True,
    timeout=60,
  )


class CliTest(parameterized.TestCase):
  @parameterized.parameters(((), 2), (('--help',), 0), (('help',), 0))
  def test_usage_lists_the_commands(self, arguments, status):
    with (
      contextlib.redirect_stdout(io.StringIO()) as stdout,
      self.assertRaises(SystemExit) as ended,
    ):
      cli.main(['seed-metagrad', *arguments])
    self.assertEqual(ended.exception.code, status)
    for name, command in {**cli.COMMANDS, **cli.PROCESSES}.items():
      self.assertRegex(stdout.getvalue(), f'  {name} +{command.summary}')

  @parameterized.parameters(('trian', 'train'), ('actors', 'actor'))
  def test_an_unknown_command_gets_the_nearest(self, name, near):
    with self.assertRaises(SystemExit) as ended:
      cli.main(['seed-metagrad', name])
    self.assertEqual(
      ended.exception.code,
      f"seed-metagrad: no command '{name}'. Did you mean {near}?",
    )

  def test_examples_are_calls_that_the_commands_take(self):
    for name, command in cli.COMMANDS.items():
      self.assertNotEmpty(command.examples, name)
      module = importlib.import_module(command.module)
      for example in command.examples:
        with self.subTest(f'{name} {example}'):
          command_flags.parse(module, *example.split())

  def test_help_of_a_command_has_its_examples_before_its_flags(self):
    shown = _run('play', '--help').stdout
    example = 'seed-metagrad play --checkpoint=runs/pong --out=pong.gif'
    self.assertIn(example, shown)
    self.assertLess(shown.index(example), shown.index('--max_episode_frames:'))

  def test_every_command_has_its_module(self):
    for command in {**cli.COMMANDS, **cli.PROCESSES}.values():
      path = sources.ROOT / f'{command.module.replace(".", "/")}.py'
      self.assertTrue(path.exists(), path)

  @parameterized.parameters('train', 'actor')
  def test_help_of_a_command_lists_its_flags(self, name):
    ended = _run(name, '--help')
    self.assertEqual(ended.returncode, 0, ended.stderr)
    self.assertStartsWith(ended.stdout, f'seed-metagrad {name}: ')
    self.assertIn('--envs_per_group: ', ended.stdout)
    self.assertNotIn('pdb', ended.stdout)  # One of absl's own.

  def test_a_process_gets_its_flags_and_gives_its_status(self):
    ended = _run('actor', '--env=pnog')
    self.assertEqual(ended.returncode, 1)
    self.assertIn('pnog', ended.stderr)
    self.assertNotIn('Traceback', ended.stderr)

  @parameterized.parameters(
    ('compare', '--study=no.toml', '--workdir=w'),
    ('export', '--checkpoint=c', '--out=.'),
    ('evaluate', '--checkpoint=c', '--out=.'),
    ('illustrative', '--experiment=chain', '--mu=1'),
    ('make-certs', '--folder=.'),
    ('play', '--checkpoint=c', '--out=.'),
    ('record-starts', '--out=.'),
    ('report', '--workdir=no.toml'),
    ('train', '--discount=2'),
    ('benchmark', 'more'),
  )
  def test_what_a_user_can_mend_is_told_in_a_line(self, name, *arguments):
    ended = _run(name, *arguments)
    self.assertEqual(ended.returncode, 1)
    self.assertRegex(
      ended.stderr.splitlines()[-1], f'^seed-metagrad {name}: .*(no|[.])'
    )
    self.assertNotIn('Traceback', ended.stderr)

  def test_verbosity_shows_the_traceback(self):
    ended = _run('report', '--workdir=no.toml', '--verbosity=1')
    self.assertEqual(ended.returncode, 1)
    self.assertIn('Traceback', ended.stderr)
    self.assertIn('FileNotFoundError', ended.stderr)

  def test_ctrl_c_needs_no_traceback(self):
    with (
      absltest.mock.patch.object(
        cli.importlib, 'import_module', side_effect=KeyboardInterrupt
      ),
      self.assertRaises(SystemExit) as ended,
    ):
      cli.main(['seed-metagrad', 'evaluate'])
    self.assertEqual(ended.exception.code, 130)

  def test_choosing_train_imports_nothing_slow(self):
    program = (
      'import sys\nfrom experiments import cli\n'
      'from experiments.launch import train\n'
      'sys.exit({"numpy", "tensorflow", "grpc"} & set(sys.modules)'
      ' or 0)'
    )
    ended = subprocess.run(
      [sys.executable, '-c', program],
      cwd=sources.ROOT,
      text=True,
      capture_output=True,
      timeout=60,
    )
    self.assertEqual(ended.returncode, 0, ended.stderr)


if __name__ == '__main__':
  absltest.main()
