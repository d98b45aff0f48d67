"""A fault of one actor, a real process, disturbs no other actor."""

import signal
import subprocess
import sys

from absl.testing import absltest
import numpy as np
import pytest

from tests.repository import sources
from tests.support import fakes

pytestmark = pytest.mark.integration

_UNREACHABLE = 3  # Exit status.
_COMERS = 100


class ActorFaultsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.learner = fakes.FakeLearner(max_envs=64, lease_secs=6.0)
    self.addCleanup(self.learner.close)

  def start(self, name, *arguments):
    """Starts an actor of 2 environments and waits for its first steps."""
    actor = subprocess.Popen(
      [
        sys.executable,
        '-m',
        'actors.main',
        '--env=catch',
        f'--name={name}',
        f'--address=localhost:{self.learner.port}',
        *arguments,
      ],
      cwd=sources.ROOT,
      stderr=subprocess.DEVNULL,
    )
    self.addCleanup(actor.wait)
    self.addCleanup(actor.kill)
    self.wait_for_steps(name)
    return actor

  def seen(self, name):
    """The requests of an actor until now."""
    return [
      request
      for request in list(self.learner.requests)
      if request.peer.startswith(f'{name}/')
    ]

  def wait_for_steps(self, name):
    """Waits until an actor has taken 10 more steps."""
    before = len(self.seen(name))
    fakes.wait_until(lambda: len(self.seen(name)) >= before + 10)

  def advance(self, secs):
    """Lets a little of the leases' time pass, and ann show that she lives."""
    self.learner.now += secs
    self.wait_for_steps('ann')

  def wait_until_alone(self):
    """Lets time pass until ann's leases alone are in force."""
    fakes.wait_until(
      lambda: self.learner.server.num_actors() == 1 or self.advance(5.0)
    )

  def assert_was_not_disturbed(self, name):
    """Every environment began once and keeps its slot."""
    self.wait_for_steps(name)
    seen = self.seen(name)
    self.assertEqual(sum(request.reset for request in seen), 2)
    self.assertLen({(request.peer, *request.env_ids) for request in seen}, 2)

  def test_a_killed_actor_frees_its_slots_and_comes_back(self):
    self.start('ann')
    bob = self.start('bob')
    slots = {int(request.env_ids[0]) for request in self.seen('bob')}
    bob.kill()
    self.wait_until_alone()
    self.learner.requests.clear()
    self.start('bob')
    self.assertEqual(
      {int(request.env_ids[0]) for request in self.seen('bob')}, slots
    )
    self.assertEqual(sum(request.reset for request in self.seen('bob')), 2)
    self.assertFalse(any(request.reset for request in self.seen('ann')))

  def test_an_actor_that_hangs_is_named_expires_and_comes_back(self):
    self.start('ann')
    bob = self.start('bob')
    with self.assertLogs(level='WARNING') as logs:
      bob.send_signal(signal.SIGSTOP)
      fakes.wait_until(
        lambda: self.learner.server.silent(10.0) or self.advance(11.0)
      )
      fakes.wait_until(lambda: any('bob' in line for line in logs.output))
      self.wait_until_alone()
    text = '\n'.join(logs.output)
    self.assertRegex(text, r'bob/\d is silent for .* since')
    self.assertNotRegex(text, 'ann')
    before = len(self.seen('bob'))
    bob.send_signal(signal.SIGCONT)
    fakes.wait_until(lambda: len(self.seen('bob')) > before + 10)
    self.assertTrue(any(request.reset for request in self.seen('bob')[before:]))
    self.assert_was_not_disturbed('ann')

  def test_of_two_with_one_name_the_first_goes_on(self):
    self.start('bob')
    second = self.start('bob', '--reconnect_secs=1')  # Sees the first's steps.
    self.assertEqual(second.wait(fakes.DEADLINE_SECS), _UNREACHABLE)
    self.assert_was_not_disturbed('bob')

  def test_a_killed_actor_comes_back_at_once(self):
    self.start('ann')
    for _ in range(5):  # Its groups step or wait at that moment.
      bob = self.start('bob')
      bob.kill()  # The clock of the leases stands still.
    self.assert_was_not_disturbed('ann')

  def test_a_hundred_that_come_and_go_leave_nothing_behind(self):
    self.start('ann')
    for number in range(_COMERS):
      comer = fakes.Client(
        f'localhost:{self.learner.port}', num_envs=12, name=f'comer-{number}'
      )
      comer.join()  # There is room for five at a time.
      comer.send(fakes.outputs(12))
      if number % 2:  # Some go before they are answered.
        np.testing.assert_array_equal(comer.receive().actions.shape, [12])
        comer.send(fakes.outputs(12))
      comer.close()
      self.advance(25.0)
    self.wait_until_alone()
    self.assert_was_not_disturbed('ann')


if __name__ == '__main__':
  absltest.main()
