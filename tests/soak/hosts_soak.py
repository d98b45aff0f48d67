"""Catch across three hosts with TLS: 20 ms delay, 1% loss, and a partition."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from absl import flags
from absl.testing import absltest
import pytest

from experiments.launch import make_certs
from tests.repository import sources
from tests.support import fakes
from tests.support import wire

_FRAMES = 120_000
_PARTITION_SECS = 30.0
_DEADLINE_SECS = 900.0
_LEARNER, _NEAR, _FAR = range(3)


class HostsSoak(absltest.TestCase):
  def setUp(self):
    super().setUp()
    if reason := wire.missing():
      self.skipTest(reason)
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.wire = self.enterContext(wire.Wire(3, delay_secs=0.02, loss=0.01))
    self.certs = self.folder / 'certs'
    flag_values = flags.FlagValues()
    make_certs.define_flags(flag_values)
    flag_values(
      [
        'make-certs',
        f'--folder={self.certs}',
        f'--hosts={self.wire.address(_LEARNER)}',
      ]
    )
    make_certs.run(flag_values)

  def start(self, host, module, *arguments):
    with open(self.log(host), 'wb') as log:
      process = subprocess.Popen(
        [
          *self.wire.on(host),
          sys.executable,
          '-m',
          module,
          f'--token_file={self.certs / "token"}',
          *arguments,
        ],
        cwd=sources.ROOT,
        stderr=log,
        env={**os.environ, 'PYTHONUNBUFFERED': '1'},
      )
    self.addCleanup(process.wait)
    self.addCleanup(process.kill)
    return process

  def start_actor(self, host):
    return self.start(
      host,
      'actors.main',
      '--env=catch',
      '--envs_per_group=16',
      f'--name=host-{host}',
      f'--address={self.address.read_text()}',
      f'--ca_file={self.certs / "ca.pem"}',
      f'--cert_file={self.certs / "actor.pem"}',
      f'--key_file={self.certs / "actor.key"}',
    )

  def log(self, host):
    return self.folder / f'log-{host}'

  def joins(self, host):
    return len(re.findall('joined as', self.log(host).read_text()))

  def frames(self):
    rows = self.folder / 'workdir/metrics.csv'
    lines = rows.read_text().splitlines() if rows.exists() else []
    return int(lines[-1].split(',')[0]) if len(lines) > 1 else 0

  @pytest.mark.timeout(2400)
  def test_catch_is_learned_over_a_bad_wire(self):
    self.address = self.folder / 'address'
    learner = self.start(
      _LEARNER,
      'learner.main',
      '--preset=smoke',
      '--learned=discount',
      f'--total_env_frames={_FRAMES}',
      '--lease_secs=20',
      f'--workdir={self.folder / "workdir"}',
      f'--address={self.wire.address(_LEARNER)}:0',
      f'--address_file={self.address}',
      f'--cert_file={self.certs / "learner.pem"}',
      f'--key_file={self.certs / "learner.key"}',
      f'--client_ca_file={self.certs / "ca.pem"}',
    )
    fakes.wait_until(self.address.exists, _DEADLINE_SECS)
    near, far = self.start_actor(_NEAR), self.start_actor(_FAR)
    fakes.wait_until(
      lambda: self.frames() and self.joins(_FAR) == 2, _DEADLINE_SECS
    )
    before, until = self.frames(), time.monotonic() + _PARTITION_SECS
    self.wire.cut.add(_FAR)
    fakes.wait_until(lambda: time.monotonic() > until, 2 * _PARTITION_SECS)
    during = self.frames() - before
    self.wire.cut.clear()
    fakes.wait_until(lambda: self.joins(_FAR) == 4, _DEADLINE_SECS)
    self.assertIsNone(learner.poll(), 'It ended before the host was back.')
    back = self.frames()
    self.assertEqual(learner.wait(_DEADLINE_SECS), 0)
    self.assertEqual(near.wait(_DEADLINE_SECS), 0)
    self.assertEqual(far.wait(_DEADLINE_SECS), 0)
    self.assertEqual(self.joins(_NEAR), 2)
    summary = json.loads((self.folder / 'workdir/summary.json').read_text())
    print(
      f'{during} of {_FRAMES} frames during the partition of'
      f' {_PARTITION_SECS:g} s; the host was back at {back}; return'
      f' {summary["mean_return_100"]}; {self.wire.num_lost} of'
      f' {self.wire.num_frames} frames lost on the wire.',
      file=sys.stderr,
    )
    self.assertGreater(during, 0)
    self.assertGreaterEqual(summary['env_frames'], _FRAMES)
    self.assertGreaterEqual(summary['mean_return_100'], 0.8)
    self.assertRegex(self.log(_LEARNER).read_text(), f'host-{_FAR}/. is silent')


if __name__ == '__main__':
  absltest.main()
