"""Tests of learner/serving/leases.py."""

import asyncio
from unittest import mock

from absl.testing import absltest

from learner.serving import leases as leases_lib


class LeasesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.now = 100.0
    self.leases = leases_lib.Leases(6, 60.0, lambda: self.now)

  def test_join_leases_the_lowest_free_slots(self):
    a = self.leases.join('a/0', 1, 2)
    self.leases.join('b/0', 2, 2)
    self.leases.end(a, 'tested')
    c = self.leases.join('c/0', 3, 3)
    self.assertEqual(c.env_ids.tolist(), [0, 1, 4])

  def test_join_refuses_more_than_the_free_slots(self):
    self.leases.join('a/0', 1, 4)
    with self.assertRaisesRegex(leases_lib.Full, '3 .* asked for, 2 of 6'):
      self.leases.join('b/0', 2, 3)

  def test_join_refuses_a_run_id_that_was_used(self):
    lease = self.leases.join('a/0', 1, 1)
    with self.assertRaisesRegex(ValueError, 'got 1 again'):
      self.leases.join('b/0', 1, 1)
    self.leases.end(lease, 'tested')
    with self.assertRaisesRegex(ValueError, 'got 1 again'):
      self.leases.join('b/0', 1, 1)

  def test_join_of_the_same_peer_supersedes(self):
    self.leases.join('a/0', 1, 4)
    other = self.leases.join('a/1', 2, 2)
    new = self.leases.join('a/0', 3, 4)
    self.assertEqual(new.env_ids.tolist(), [0, 1, 2, 3])
    with self.assertRaisesRegex(leases_lib.Ended, 'a/0 ended: supers') as e:
      self.leases.find(1)
    self.assertTrue(e.exception.superseded)
    self.assertIs(self.leases.find(2), other)

  def test_a_silence_is_logged_once(self):
    lease = self.leases.join('a/0', 1, 2)
    self.leases.join('b/0', 2, 2).wait_for(mock.Mock(asyncio.Future))
    for _ in range(2):  # Silent, heard, silent again.
      self.now += 11.0
      with self.assertLogs(level='WARNING') as logs:
        self.leases.log_silent(10.0)
        self.leases.log_silent(10.0)
      self.assertLen(logs.output, 1)
      self.assertRegex(
        logs.output[0], r'a/0 is silent for 11 s, since \d\d:\d\d:\d\d'
      )
      self.leases.answered(lease)

  def test_a_lease_expires_when_it_is_silent(self):
    self.leases.join('a/0', 1, 2)
    self.now += 59.0
    self.leases.expire()
    self.assertLen(self.leases, 1)
    self.assertEqual(
      [(lease.peer, secs) for lease, secs in self.leases.silent(30.0)],
      [('a/0', 59.0)],
    )
    self.now += 1.0
    with self.assertLogs(level='INFO') as logs:
      self.leases.expire()
    self.assertRegex(logs.output[0], 'a/0 .*silent for 60 s, since .*: expired')
    with self.assertRaisesRegex(leases_lib.Ended, 'expired') as e:
      self.leases.find(1)
    self.assertFalse(e.exception.superseded)

  def test_a_lease_lives_while_its_actor_pings(self):
    self.leases.join('a/0', 1, 2)
    self.leases.join('b/0', 2, 2)
    for _ in range(10):
      self.now += 59.0
      self.leases.ping(1)
      self.leases.expire()
    self.assertEqual([lease.peer for lease in self.leases.all()], ['a/0'])
    self.now += 60.0
    self.leases.expire()
    self.assertEmpty(self.leases.all())
    self.leases.ping(1)  # Of an ended lease: ignored.

  def test_an_expired_lease_makes_room_for_a_join(self):
    self.leases.join('a/0', 1, 6)
    self.now += 60.0
    self.assertLen(self.leases.join('b/0', 2, 6).env_ids, 6)

  def test_a_lease_does_not_expire_while_its_request_waits_here(self):
    async def wait():
      lease = self.leases.join('a/0', 1, 1)
      answer = asyncio.get_running_loop().create_future()
      lease.wait_for(answer)
      self.now += 1e6
      self.leases.expire()
      self.assertLen(self.leases, 1)
      self.leases.answered(lease)
      self.assertEmpty(self.leases.silent(1.0))

    asyncio.run(wait())

  def test_end_takes_back_the_request_that_waits(self):
    async def wait():
      lease = self.leases.join('a/0', 1, 1)
      answer = asyncio.get_running_loop().create_future()
      lease.wait_for(answer)
      self.leases.join('a/0', 2, 1)
      self.assertTrue(answer.cancelled())

    asyncio.run(wait())

  def test_end_actor_ends_the_leases_of_all_its_groups(self):
    for run_id, peer in enumerate(('a/0', 'a/1', 'ab/0')):
      self.leases.join(peer, run_id, 1)
    self.leases.end_actor(1, 'tested')
    self.assertEqual([lease.peer for lease in self.leases.all()], ['ab/0'])

  def test_find_refuses_an_unknown_run(self):
    with self.assertRaisesRegex(leases_lib.Ended, 'no lease has run_id 5'):
      self.leases.find(5)

  def test_begin_admits_each_sequence_once_and_in_order(self):
    lease = self.leases.join('a/0', 1, 1)
    self.assertTrue(lease.begin(0))
    self.assertFalse(lease.begin(1))
    for wrong in (0, 1, 3):
      with self.assertRaisesRegex(ValueError, f'must be 2, got {wrong}'):
        lease.begin(wrong)
    self.assertFalse(lease.begin(2))

  def test_begin_refuses_a_second_request_before_the_answer(self):
    async def wait():
      lease = self.leases.join('a/0', 1, 1)
      lease.begin(0)
      answer = asyncio.get_running_loop().create_future()
      lease.wait_for(answer)
      with self.assertRaisesRegex(ValueError, '1 came before 0 was answered'):
        lease.begin(1)

    asyncio.run(wait())


if __name__ == '__main__':
  absltest.main()
