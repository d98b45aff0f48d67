"""30 minutes of Pong: an actor killed every 20 s, the learner every 5 minutes.

SOAK_MINUTES and SOAK_ENV (catch) make it shorter; the learner is then killed
every sixth of the time.
"""

import csv
import itertools
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

from absl.testing import absltest
import pytest

from learner.storage import checkpoints
from tests.repository import sources
from tests.support import fakes

_SECS = 60 * float(os.environ.get('SOAK_MINUTES', '30'))
_ENV = os.environ.get('SOAK_ENV', 'pong')
_ACTOR_SECS = 20.0  # Between kills of an actor,
_LEARNER_SECS = _SECS / 6  # and of the learner.
_CHECKPOINT_SECS = 5.0
_NUM_ACTORS = 2
_START_SECS = 300.0


class TrainingSoak(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = self.folder / 'workdir'
    with socket.create_server(('127.0.0.1', 0)) as free:
      self.address = f'127.0.0.1:{free.getsockname()[1]}'
    self.lost = []  # Frames, at each kill of the learner.

  def start(self, module, *arguments):
    with open(self.folder / 'log', 'ab') as log:
      process = subprocess.Popen(
        [
          sys.executable,
          '-m',
          module,
          f'--env={_ENV}',
          f'--address={self.address}',
          *arguments,
        ],
        cwd=sources.ROOT,
        stderr=log,
      )
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    return process

  def start_learner(self):
    preset = 'smoke' if _ENV == 'catch' else 'local'
    return self.start(
      'learner.main',
      f'--preset={preset}',
      '--total_env_frames=1000000000',
      f'--checkpoint_secs={_CHECKPOINT_SECS}',
      '--metrics_secs=1',
      '--lease_secs=10',
      f'--workdir={self.workdir}',
    )

  def start_actor(self, index):
    return self.start('actors.main', f'--index={index}', '--envs_per_group=8')

  def frames(self):
    """env_frames of every row, in order."""
    path = self.workdir / 'metrics.csv'
    if not path.exists():
      return []
    with open(path, encoding='utf-8') as file:
      return [int(row['env_frames']) for row in csv.DictReader(file)]

  def newest(self):
    """The newest checkpoint, or None."""
    paths = checkpoints.paths(self.workdir / 'checkpoints')
    return paths[0] if paths else None

  def resumes(self):
    """The frames at which the learner went on."""
    return [
      int(frames)
      for frames in re.findall(
        r'Resumed at (\d+) frames', (self.folder / 'log').read_text()
      )
    ]

  def restart(self, learner):
    """Kills the learner and waits until its successor has saved."""
    learner.kill()
    learner.wait()
    before, newest = self.frames()[-1], self.newest()
    successor = self.start_learner()
    fakes.wait_until(lambda: self.newest() != newest, _START_SECS)
    self.lost.append(max(0, before - self.resumes()[-1]))
    return successor

  @pytest.mark.timeout(2 * _SECS + 3600)
  def test_training_goes_on(self):
    learner = self.start_learner()
    actors = [self.start_actor(index) for index in range(_NUM_ACTORS)]
    fakes.wait_until(self.newest, _START_SECS)
    end = time.monotonic() + _SECS
    next_learner = time.monotonic() + _LEARNER_SECS
    kills = 0
    for index in itertools.cycle(range(_NUM_ACTORS)):
      next_actor = time.monotonic() + _ACTOR_SECS
      fakes.wait_until(
        lambda due=next_actor: time.monotonic() > due, 2 * _ACTOR_SECS
      )
      actors[index].kill()
      actors[index].wait()
      actors[index] = self.start_actor(index)
      kills += 1
      if time.monotonic() > next_learner:
        next_learner += _LEARNER_SECS
        learner = self.restart(learner)
        self.assertTrue(all(actor.poll() is None for actor in actors))
      if time.monotonic() > end:
        break
    learner.terminate()
    self.assertEqual(learner.wait(60), 0)
    self.assert_consistent()
    print(
      f'{kills} kills of actors, {len(self.lost)} of the learner, which'
      f' lost {self.lost} frames of {self.frames()[-1]}.',
      file=sys.stderr,
    )

  def assert_consistent(self):
    """Rows are in order, none is twice; all files agree on the end."""
    frames = self.frames()
    self.assertEqual(frames, sorted(set(frames)))
    summary = json.loads((self.workdir / 'summary.json').read_text())
    self.assertEqual(summary['env_frames'], frames[-1])
    self.assertEqual(self.newest().stem, f'checkpoint_{summary["num_updates"]}')
    with open(self.workdir / 'episodes.csv', encoding='utf-8') as file:
      episodes = [int(row['env_frames']) for row in csv.DictReader(file)]
    self.assertEqual(episodes, sorted(episodes))
    self.assertLen(episodes, summary['episodes'])


if __name__ == '__main__':
  absltest.main()
