"""Tests of actors/main.py: real processes."""

import os
import signal
import subprocess
import sys
import tempfile
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized

from seed_metagrad import environments
from seed_metagrad import types
from tests.repository import sources
from tests.support import fakes

# Prints what an actor should not import.
_MODULES = """
import sys
import actors.main
print([name for name in ('tensorflow', 'keras') if name in sys.modules])
"""


class ActorsMainTest(parameterized.TestCase):
  def start(self, *flags):
    process = subprocess.Popen(
      [
        sys.executable,
        '-m',
        'actors.main',
        '--env=catch',
        '--envs_per_group=2',
        *flags,
      ],
      stderr=subprocess.PIPE,
      text=True,
      cwd=sources.ROOT,
    )
    self.addCleanup(self._end, process)
    return process

  def _end(self, process):
    process.kill()
    process.communicate()

  def learner(self):
    learner = fakes.FakeLearner()
    self.addCleanup(learner.close)
    return learner, f'--address=localhost:{learner.port}'

  def assert_exits(self, process, status, message):
    _, stderr = process.communicate(timeout=fakes.DEADLINE_SECS)
    self.assertEqual(process.returncode, status, stderr)
    self.assertRegex(stderr, message)
    self.assertNotIn('Traceback', stderr)

  def test_actors_act_until_the_learner_is_done(self):
    learner, address = self.learner()
    processes = [self.start(address, f'--index={i}') for i in range(2)]
    fakes.wait_until(lambda: len({r.peer for r in learner.requests}) == 4)
    learner.wait_for_requests(200)
    self.assertEqual(
      {request.peer for request in learner.requests},
      {'actor-0/0', 'actor-0/1', 'actor-1/0', 'actor-1/1'},
    )
    self.assertTrue(learner.server.finish(fakes.DEADLINE_SECS))
    for process in processes:
      self.assert_exits(process, 0, 'Training is over')

  def test_signals_stop_it_quietly(self):
    learner, address = self.learner()
    for number in (signal.SIGTERM, signal.SIGINT):
      process = self.start(address)
      learner.wait_for_requests(len(learner.requests) + 10)
      process.send_signal(number)
      self.assert_exits(process, 0, 'joined')

  def noted(self):
    """A file that environments write to, and who was closed by it."""
    folder = self.enterContext(tempfile.TemporaryDirectory())
    path = os.path.join(folder, 'notes')
    self.enterContext(mock.patch.dict(os.environ, NOTED=path))

    def lines():
      if not os.path.exists(path):
        return []
      with open(path, encoding='utf-8') as file:
        return file.read().splitlines()

    return lines

  @parameterized.parameters(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
  def test_signals_close_the_environments(self, number):
    lines = self.noted()
    env = 'gym:tests.support.gym_cases:NotedTest-v0'
    spec = environments.spec(env)
    learner = fakes.FakeLearner(task=types.Task(env, spec, {}))
    self.addCleanup(learner.close)
    process = self.start(f'--address=localhost:{learner.port}', f'--env={env}')
    fakes.wait_until(lambda: 'step 4' in lines())
    process.send_signal(number)
    self.assert_exits(process, 0, 'joined')
    made = {f'closed {number}' for number in range(1, 5)}
    self.assertContainsSubset(made, lines())

  def test_environments_are_closed_where_a_later_one_fails(self):
    lines = self.noted()
    process = self.start('--env=gym:tests.support.gym_cases:ThirdFailsTest-v0')
    _, stderr = process.communicate(timeout=fakes.DEADLINE_SECS)
    self.assertEqual(process.returncode, 1)
    self.assertIn(
      'ThirdFailsTest-v0 failed in its constructor: RuntimeError: no licence'
      ' left',
      stderr.splitlines()[-1],
    )
    self.assertContainsSubset({'closed 1', 'closed 2'}, lines())

  def test_what_an_environment_raises_is_the_last_line(self):
    env = 'gym:tests.support.gym_cases:RaisesTest-v0'
    spec = environments.spec(env)
    learner = fakes.FakeLearner(task=types.Task(env, spec, {}))
    self.addCleanup(learner.close)
    process = self.start(f'--address=localhost:{learner.port}', f'--env={env}')
    _, stderr = process.communicate(timeout=fakes.DEADLINE_SECS)
    self.assertEqual(process.returncode, 1)
    self.assertIn('Traceback', stderr)
    self.assertRegex(
      stderr.splitlines()[-1],
      r'RaisesTest-v0 failed at step 3 .*: RuntimeError: fell over',
    )

  def test_a_refused_actor_exits_with_2(self):
    _, address = self.learner()
    self.assert_exits(
      self.start(address, '--env=chain'), 2, "env must be 'catch'"
    )

  def test_an_actor_whose_name_is_held_exits_with_3(self):
    learner, address = self.learner()
    first = self.start(address)
    learner.wait_for_requests(10)
    second = self.start(address, '--reconnect_secs=1')
    self.assert_exits(second, 3, "has the name 'actor-0' and is alive")
    self.assertIsNone(first.poll())

  def test_without_a_learner_it_exits_with_3(self):
    process = self.start('--address=unix:/nonexistent/s', '--reconnect_secs=1')
    self.assert_exits(process, 3, 'no answer from the learner for 1 s')

  def test_bad_flags_exit_with_1(self):
    for flag, message in (
      ('--env=catchh', 'catchh'),
      ('--address=nowhere', "address must be .*got 'nowhere'"),
      (
        '--address=10.0.0.1:5',
        '10.0.0.1:5 is not of this machine alone: give --ca_file',
      ),
      ('--envs_per_group=0', 'envs_per_group'),
      ('--token_file=/nonexistent', '/nonexistent'),
      ('--cert_file=a.pem', "cert_file 'a.pem', key_file '', ca_file ''"),
      ('--reconnect_secs=0', 'reconnect_secs'),
    ):
      with self.subTest(flag):
        self.assert_exits(self.start(flag), 1, message)

  def test_no_tensorflow_is_imported(self):
    output = subprocess.run(
      [sys.executable, '-c', _MODULES],
      check=True,
      capture_output=True,
      cwd=sources.ROOT,
      text=True,
    ).stdout
    self.assertEqual(output.strip(), '[]')


if __name__ == '__main__':
  absltest.main()
