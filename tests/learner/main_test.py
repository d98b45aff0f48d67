"""Tests of learner/main.py: what a user can get wrong, and signals."""

import csv
import json
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from urllib import request

from absl.testing import absltest
import pytest

from learner.storage import checkpoints
from seed_metagrad import config as config_lib
from tests.repository import sources
from tests.support import fakes

pytestmark = pytest.mark.integration

_DEADLINE_SECS = 120.0


class LearnerMainTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = self.folder / 'workdir'

  def start(self, module, *flags):
    process = subprocess.Popen(
      [sys.executable, '-m', module, *flags],
      cwd=sources.ROOT,
      text=True,
      stderr=subprocess.PIPE,
    )

    def end():
      process.kill()
      process.communicate()

    self.addCleanup(end)
    return process

  def learner(self, *flags):
    return self.start(
      'learner.main', '--preset=smoke', f'--workdir={self.workdir}', *flags
    )

  def assert_refused(self, process, pattern):
    _, stderr = process.communicate(timeout=_DEADLINE_SECS)
    self.assertEqual(process.returncode, 1, stderr)
    self.assertNotIn('Traceback', stderr)
    self.assertRegex(stderr, pattern)

  def test_a_network_that_was_not_named_fits(self):
    learner = self.start(
      'learner.main',
      '--preset=local',
      '--env=catch',
      f'--workdir={self.workdir}',
      '--network=nature',
    )
    self.assert_refused(learner, "'nature' needs .* 36 x 36, got 10 x 5")
    path = self.folder / 'address'
    learner = self.start(  # The same workdir: nothing has run on it.
      'learner.main',
      '--preset=local',
      '--env=catch',
      f'--workdir={self.workdir}',
      f'--address_file={path}',
    )
    fakes.wait_until(path.exists, _DEADLINE_SECS)
    fields = json.loads((self.workdir / 'config.json').read_text())
    self.assertEqual(fields['network'], 'mlp')
    learner.send_signal(signal.SIGHUP)
    _, stderr = learner.communicate(timeout=_DEADLINE_SECS)
    self.assertEqual(learner.returncode, 0, stderr)

  def test_what_a_user_gets_wrong_is_named(self):
    with socket.create_server(('127.0.0.1', 0)) as taken:
      port = taken.getsockname()[1]
      refused = [  # All at once: each takes a while to import TensorFlow.
        (self.learner(f'--workdir={self.folder / str(i)}', flag), pattern)
        for i, (flag, pattern) in enumerate(
          (
            ('--env=breakuot', 'breakuot.*breakout'),
            ('--trace_decay=1.5', 'trace_decay.*1.5'),
            (f'--address=127.0.0.1:{port}', f'{port}.*in use'),
            ('--address=0.0.0.0:0', '0.0.0.0.*insecure'),
            ('--cert_file=a.pem', "go together.*'a.pem', '' and ''"),
            ('--workdir=/proc/workdir', '/proc/workdir'),
            ('--init_from=nowhere', 'no checkpoint nowhere'),
          )
        )
      ]
      for process, pattern in refused:
        with self.subTest(pattern):
          self.assert_refused(process, pattern)

  @pytest.mark.timeout(300)
  def test_goes_on_while_the_disk_is_full_and_saves_when_there_is_room(self):
    address, log = self.folder / 'address', self.folder / 'log'
    no_limit = (resource.RLIM_INFINITY,) * 2
    with open(log, 'wb') as stderr:
      learner = subprocess.Popen(
        [
          sys.executable,
          '-m',
          'learner.main',
          '--preset=smoke',
          f'--workdir={self.workdir}',
          f'--address_file={address}',
          '--total_env_frames=1000000000',
          '--checkpoint_secs=0.5',
        ],
        cwd=sources.ROOT,
        stderr=stderr,
        preexec_fn=lambda: resource.setrlimit(
          resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY)
        ),
      )
    self.addCleanup(learner.wait)
    self.addCleanup(learner.kill)
    fakes.wait_until(address.exists)
    self.start(
      'actors.main',
      f'--address={address.read_text()}',
      '--env=catch',
      '--envs_per_group=16',
    )
    full = 'the earlier ones stay: File too large'
    fakes.wait_until(lambda: log.read_text().count(full) > 1)
    self.assertEmpty(checkpoints.paths(self.workdir / 'checkpoints'))
    resource.prlimit(learner.pid, resource.RLIMIT_FSIZE, no_limit)
    fakes.wait_until(lambda: checkpoints.paths(self.workdir / 'checkpoints'))
    learner.terminate()
    self.assertEqual(learner.wait(_DEADLINE_SECS), 0, log.read_text())

  def test_leaves_at_once_before_the_first_update(self):
    # The first update takes long to trace, and there is nothing to save.
    address = self.folder / 'address'
    learner = self.learner(f'--address_file={address}', '--inner_updates=30')
    fakes.wait_until(address.exists)
    actor = self.start(
      'actors.main',
      f'--address={address.read_text()}',
      '--env=catch',
      '--envs_per_group=16',
    )
    line = ''
    while 'joined' not in line:
      line = actor.stderr.readline()
    learner.send_signal(signal.SIGTERM)
    self.assertEqual(learner.wait(timeout=10.0), 0)
    self.assertEmpty(checkpoints.paths(self.workdir / 'checkpoints'))

  @pytest.mark.timeout(300)
  def test_saves_on_a_signal_and_resumes(self):
    address = self.folder / 'address'
    with socket.create_server(('127.0.0.1', 0)) as free:
      port = free.getsockname()[1]
    learner = self.learner(
      f'--address_file={address}', f'--metrics_port={port}'
    )
    fakes.wait_until(address.exists)
    actor = self.start(
      'actors.main',
      f'--address={address.read_text()}',
      '--env=catch',
      '--envs_per_group=16',
    )
    rows = self.workdir / 'metrics.csv'
    fakes.wait_until(
      lambda: rows.exists() and len(rows.read_text().splitlines()) > 1
    )
    with request.urlopen(f'http://127.0.0.1:{port}/metrics') as page:
      self.assertIn('seed_metagrad_env_frames_total', page.read().decode())
    # As where all processes are asked to stop, and `train` passes it on.
    learner.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    learner.send_signal(signal.SIGTERM)
    _, stderr = learner.communicate(timeout=10.0)
    self.assertEqual(learner.returncode, 0, stderr)
    summary = json.loads((self.workdir / 'summary.json').read_text())
    self.assertGreater(summary['env_frames'], 0)
    [newest] = checkpoints.paths(self.workdir / 'checkpoints')[:1]
    self.assertEqual(newest.stem, f'checkpoint_{summary["num_updates"]}')
    self.assertIsNone(actor.poll())  # It waits for the learner to be back.
    self.assert_refused(self.learner('--learned='), 'learned was.*is now')
    again = self.learner(f'--address={address.read_text()}')
    fakes.wait_until(
      lambda: (
        checkpoints.paths(self.workdir / 'checkpoints')[0] != newest
        or again.poll() is not None
      )
    )
    again.kill()  # Between two saves.
    _, stderr = again.communicate(timeout=_DEADLINE_SECS)
    self.assertIn(f'Resumed at {summary["env_frames"]} frames', stderr)
    newest = checkpoints.paths(self.workdir / 'checkpoints')[0]
    third = self.learner(f'--address={address.read_text()}')
    fakes.wait_until(
      lambda: (
        newest != checkpoints.paths(self.workdir / 'checkpoints')[0]
        or third.poll() is not None
      )
    )
    third.send_signal(signal.SIGTERM)
    _, stderr = third.communicate(timeout=_DEADLINE_SECS)
    self.assertEqual(third.returncode, 0, stderr)
    frames = [
      int(row['env_frames'])
      for row in csv.DictReader(rows.read_text().splitlines())
    ]
    self.assertEqual(frames, sorted(set(frames)))
    num_updates = newest.stem.partition('_')[2]
    config = config_lib.preset('smoke')
    resumed = int(num_updates) * config.batch_size * config.unroll_length
    self.assertIn(f'Resumed at {resumed} frames', stderr)


if __name__ == '__main__':
  absltest.main()
