"""Two learner hosts lose each other, and one continues: Catch is solved."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

from absl import logging
from absl.testing import absltest
import pytest

from tests.repository import sources
from tests.support import ray_run
from tests.support import replicas

_DEADLINE_SECS = 600
_LOST = 5  # learner.main's status.


class LearnerHostsSoak(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir = self.folder / 'run'

  def _start(self, module, log, *flags, env=None):
    with open(self.folder / log, 'wb') as file:
      process = subprocess.Popen(
        [sys.executable, '-m', module, *flags],
        cwd=sources.ROOT,
        env=env,
        stderr=file,
      )
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    return process

  def _hosts(self, environments, *flags):
    """Starts learner hosts, each with an actor; returns (learners, actors)."""
    learners, actors, addresses = [], [], []
    for index, env in enumerate(environments):
      addresses.append(self.folder / f'address-{index}')
      addresses[-1].unlink(missing_ok=True)
      learners.append(
        self._start(
          'learner.main',
          f'learner-{index}.log',
          '--preset=smoke',
          f'--workdir={self.workdir}',
          f'--address_file={addresses[-1]}',
          *flags,
          env=env,
        )
      )
    for index, address in enumerate(addresses):
      ray_run.wait_until(address.exists, _DEADLINE_SECS)
      actors.append(
        self._start(
          'actors.main',
          f'actor-{index}.log',
          '--env=catch',
          '--envs_per_group=8',
          f'--index={index}',
          '--reconnect_secs=120',
          f'--address={address.read_text()}',
        )
      )
    return learners, actors

  def _log(self, index):
    return (self.folder / f'learner-{index}.log').read_text()

  def _wait_for_frames(self, more):
    frames = ray_run.env_frames(self.workdir) + more
    ray_run.wait_until(
      lambda: ray_run.env_frames(self.workdir) >= frames, _DEADLINE_SECS
    )

  def _lose(self, lost):
    """Two hosts learn until one is killed; the other says which it was."""
    hosts, actors = self._hosts(replicas.cluster(2), '--strategy=multi_worker')
    self._wait_for_frames(3000)
    hosts[lost].kill()
    self.assertEqual(hosts[1 - lost].wait(_DEADLINE_SECS), _LOST)
    self.assertRegex(self._log(1 - lost), f'learner host {lost}, .* is lost')
    for actor in actors:
      actor.kill()
    logging.info(
      'Lost host %d at %d frames', lost, ray_run.env_frames(self.workdir)
    )

  @pytest.mark.timeout(3 * _DEADLINE_SECS)
  def test_run_survives_the_loss_of_either_host(self):
    self._lose(1)
    saved = ray_run.env_frames(self.workdir)
    self._lose(0)
    resumed = re.search(r'Resumed at (\d+)', self._log(0))
    self.assertGreaterEqual(int(resumed[1]), saved)  # The chief saved.
    (learner,), _ = self._hosts([{**os.environ}])
    self.assertEqual(learner.wait(_DEADLINE_SECS), 0)
    self.assertIn('Resumed at', self._log(0))
    summary = ray_run.summary(self.workdir)
    logging.info('%s', summary)
    self.assertGreaterEqual(summary['env_frames'], 100_000)
    self.assertGreater(summary['mean_return_100'], 0.9)


if __name__ == '__main__':
  absltest.main()
