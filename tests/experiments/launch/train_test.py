"""Processes start together and end together, with fakes in their place."""

import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from protos import address
from tests.repository import sources

_DEADLINE_SECS = 30.0

# Reports what happens to it, a line each, and does what FAKE_<kind> says.
_FAKE = """
import os, pathlib, signal, sys, time
kind = pathlib.Path(__file__).stem
report = os.open(os.environ['REPORT'], os.O_WRONLY)
def say(what):
  os.write(report, f'{kind} {what}\\n'.encode())
def end(*_):
  say('asked')
  if os.environ[f'FAKE_{kind}'] != 'stubborn':
    sys.exit(0)
if os.environ[f'FAKE_{kind}'] != 'unready':
  signal.signal(signal.SIGTERM, end)
flags = dict(flag[2:].split('=') for flag in sys.argv[1:])
if kind == 'learner' and os.environ['FAKE_learner'] not in ('early', 'unready'):
  pathlib.Path(flags['workdir']).mkdir()
  address = pathlib.Path(flags['address_file'])
  address.with_suffix('.tmp').write_text('127.0.0.1:1234')
  address.with_suffix('.tmp').rename(address)
say(f'{os.getpid()} {" ".join(sys.argv[1:])}')
if os.environ[f'FAKE_{kind}'] == 'threads':
  say(os.environ['TF_NUM_INTRAOP_THREADS'])
  sys.exit(0)
if os.environ[f'FAKE_{kind}'].isdigit():
  sys.exit(int(os.environ[f'FAKE_{kind}']))
if os.environ[f'FAKE_{kind}'] == 'until_actors':
  while not any(pathlib.Path(flags['workdir']).glob('logs/*')):
    time.sleep(.01)
  sys.exit(4)
time.sleep(60)
"""

_DRIVER = """
import sys
from experiments import cli
from experiments.launch import supervisor
from experiments.launch import train

train._LEARNER, train._ACTOR = 'fakes.learner', 'fakes.actor'
supervisor._FIRST_PAUSE_SECS = train._POLL_SECS = .01
train._ACTOR_GRACE_SECS = supervisor._LONGEST_PAUSE_SECS = .3
cli.main(['seed-metagrad', 'train', *sys.argv[1:]])
"""


class TrainTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.folder / 'fakes').mkdir()
    for kind in ('learner', 'actor'):
      (self.folder / 'fakes' / f'{kind}.py').write_text(_FAKE)
    os.mkfifo(self.folder / 'report')
    self.report = os.fdopen(
      os.open(self.folder / 'report', os.O_RDWR), 'rb', buffering=0
    )
    self.addCleanup(self.report.close)

  def _train(
    self,
    *arguments,
    learner: str = '',
    actor: str = '',
    stderr: int = subprocess.PIPE,
  ):
    process = subprocess.Popen(
      [
        sys.executable,
        '-c',
        _DRIVER,
        '--preset=smoke',
        f'--workdir={self.folder / "run"}',
        *arguments,
      ],
      stderr=stderr,
      text=True,
      env={
        **os.environ,
        'FAKE_learner': learner,
        'FAKE_actor': actor,
        'REPORT': str(self.folder / 'report'),
        'PYTHONPATH': f'{sources.ROOT}{os.pathsep}{self.folder}',
      },
    )
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    if process.stderr:
      self.addCleanup(process.stderr.close)
    return process

  def _next_report(self) -> list[str]:
    ready, _, _ = select.select([self.report], [], [], _DEADLINE_SECS)
    self.assertTrue(ready, 'no process reported')
    return self.report.readline().decode().split()

  def _reports(self, count: int) -> list[list[str]]:
    return sorted(self._next_report() for _ in range(count))

  def _assert_ended(self, pid: str):
    try:
      process = os.pidfd_open(int(pid))
    except ProcessLookupError:
      return
    ready, _, _ = select.select([process], [], [], _DEADLINE_SECS)
    os.close(process)
    self.assertTrue(ready, f'process {pid} still runs')

  def test_tensorflow_leaves_cores_to_the_actors(self):
    self.enterContext(mock.patch.dict(os.environ))
    os.environ.pop('TF_NUM_INTRAOP_THREADS', None)
    self._train(learner='threads')
    report = self._next_report()
    while report[0] != 'learner' or len(report) > 2:
      report = self._next_report()
    self.assertEqual(report[1], str(max(1, os.cpu_count() // 2)))

  def test_the_learner_gets_the_flags_and_the_actors_the_config(self):
    process = self._train(
      '--seed=7', '--learned=', '--num_actors=3', '--metrics_port=9090'
    )
    *actors, learner = self._reports(4)
    self.assertEqual(
      learner[2:-2],
      [
        '--preset=smoke',
        '--metrics_port=9090',
        '--learned=',
        '--seed=7',
        '--num_actors=3',
        f'--workdir={self.folder}/run',
        '--actor_envs=16',
        '--address=127.0.0.1:0',
      ],
    )
    actors = sorted(actor[2:] for actor in actors)
    for index, arguments in enumerate(actors):
      self.assertEqual(
        arguments,
        [
          '--address=127.0.0.1:1234',
          learner[-1],  # The token's file.
          f'--index={index}',
          '--env=catch',
          '--seed=7',
          '--envs_per_group=8',
          '--env_threads=1',
          '--env_settings={}',
        ],
      )
      self.assertTrue((self.folder / f'run/logs/actor-{index}.log').exists())
    process.terminate()
    self.assertEqual(process.wait(_DEADLINE_SECS), 0)

  def test_a_token_is_in_a_file_of_ours_until_the_end(self):
    process = self._train()
    *actors, learner = self._reports(3)
    path = pathlib.Path(learner[-1].removeprefix('--token_file='))
    self.assertEqual(path.stat().st_mode & 0o777, 0o600)
    self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)
    token = address.read_token(str(path))
    self.assertGreaterEqual(len(token), 32)
    for _, pid, *arguments in (learner, *actors):
      self.assertIn(f'--token_file={path}', arguments)
      for told in ('cmdline', 'environ'):
        told = pathlib.Path(f'/proc/{pid}/{told}').read_bytes()
        self.assertNotIn(token.encode(), told)
    process.terminate()
    process.wait(_DEADLINE_SECS)
    self.assertFalse(path.parent.exists())

  @parameterized.parameters(
    ('0', 0), ('3', 3), ('until_actors', 4), ('early', 0), ('unready', 0)
  )
  def test_the_status_is_that_of_the_learner(self, learner, status):
    process = self._train(learner=learner)
    if learner in ('early', 'unready'):
      self._next_report()
      process.terminate()
    self.assertEqual(process.wait(_DEADLINE_SECS), status)

  @parameterized.parameters(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  def test_a_signal_asks_the_learner_once_and_ends_all(self, number):
    process = self._train()
    reports = self._reports(3)
    process.send_signal(number)
    self.assertEqual(process.wait(_DEADLINE_SECS), 0)
    self.assertEqual(
      self._reports(3), [['actor', 'asked']] * 2 + [['learner', 'asked']]
    )
    for _, pid, *_ in reports:
      self._assert_ended(pid)

  def test_a_terminal_that_is_closed_asks_the_learner_to_save(self):
    terminal, end = os.openpty()
    process = self._train(stderr=end)
    os.close(end)
    self._reports(3)
    os.close(terminal)  # Writing to it fails from now on.
    process.send_signal(signal.SIGHUP)
    self.assertEqual(process.wait(_DEADLINE_SECS), 0)
    self.assertIn(['learner', 'asked'], self._reports(3))

  def test_a_second_signal_ends_a_learner_that_hangs(self):
    process = self._train(learner='stubborn', actor='stubborn')
    reports = self._reports(3)
    process.send_signal(signal.SIGINT)
    self.assertEqual(self._next_report(), ['learner', 'asked'])
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=_DEADLINE_SECS)
    self.assertEqual(process.returncode, 128 + signal.SIGKILL)
    self.assertIn('The learner was ended by SIGKILL.', stderr)
    for _, pid, *_ in reports:
      self._assert_ended(pid)

  def test_an_actor_starts_again_when_it_is_killed(self):
    process = self._train('--num_actors=1')
    actor, _ = self._reports(2)
    os.kill(int(actor[1]), signal.SIGKILL)
    again = self._next_report()
    self.assertEqual(again[2:], actor[2:])
    self.assertNotEqual(again[1], actor[1])
    process.terminate()
    _, stderr = process.communicate(timeout=_DEADLINE_SECS)
    self.assertIn('actor-0 ended with status -9 and starts again', stderr)

  def test_an_actor_that_somebody_ended_starts_again_after_a_while(self):
    process = self._train('--num_actors=1')
    actor, _ = self._reports(2)
    os.kill(int(actor[1]), signal.SIGTERM)
    self.assertEqual(self._next_report(), ['actor', 'asked'])
    self.assertEqual(self._next_report()[2:], actor[2:])
    process.terminate()
    _, stderr = process.communicate(timeout=_DEADLINE_SECS)
    self.assertIn('actor-0 ended with status 0 and starts again', stderr)

  def test_training_stops_when_no_actor_can_live(self):
    process = self._train('--num_actors=1', actor='2')
    _, stderr = process.communicate(timeout=_DEADLINE_SECS)
    self.assertEqual(process.returncode, 1)
    self.assertIn('actor-0 ended 6 times in a row, with status 2', stderr)
    self.assertIn('logs/actor-0.log', stderr)
    self.assertIn('No actor is left: stopping.', stderr)

  def test_children_end_when_the_launcher_is_killed(self):
    process = self._train()
    reports = self._reports(3)
    process.kill()
    self.assertEqual(
      self._reports(3), [['actor', 'asked']] * 2 + [['learner', 'asked']]
    )
    for _, pid, *_ in reports:
      self._assert_ended(pid)

  @parameterized.parameters(
    ('--discount=2', 'seed-metagrad train: discount must be in [0, 1], got'),
    ('--gamma=1', "FATAL Flags parsing error: Unknown command line flag 'ga"),
    ('more', "seed-metagrad train: unknown arguments ['more']."),
    ('--workdir=', "seed-metagrad train: workdir must be a path, got ''"),
    (
      '--envs_per_group=300',
      'seed-metagrad train: envs_per_group must be at most inference_max_envs '
      '(256), got 300',
    ),
    ('--num_actors=257', 'seed-metagrad train: num_actors must be such that'),
    ('--env=gym:ALE/Pong-v5', 'seed-metagrad train: '),
    (
      '--env=gym:tests.support.gym_cases:UnmakeableTest-v0',
      'seed-metagrad train: gym:tests.support.gym_cases:UnmakeableTest-v0 '
      'failed in its constructor: RuntimeError: no licence left\n',
    ),
  )
  def test_bad_flags_get_a_sentence_and_start_nothing(self, argument, text):
    process = self._train(argument)
    _, stderr = process.communicate(timeout=_DEADLINE_SECS)
    self.assertEqual(process.returncode, 1)
    self.assertStartsWith(stderr, text)
    self.assertFalse((self.folder / 'run').exists())


if __name__ == '__main__':
  absltest.main()
