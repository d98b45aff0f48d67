"""Tests of learner/serving/leases.py."""

import asyncio
from unittest import mock

from absl.testing import absltest

from learner.serving import leases as leases_lib

_HERE, _THERE = 'ipv4:10.0.0.1:1000', 'ipv4:10.0.0.2:1000'


def _stream():
  return mock.Mock(asyncio.Task)


class LeasesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.now = 100.0
    self.leases = leases_lib.Leases(6, 60.0, 6, lambda: self.now)

  def test_join_leases_the_lowest_free_slots(self):
    a = self.leases.join('a/0', 1, 2, _HERE)
    self.leases.join('b/0', 2, 2, _HERE)
    self.leases.end(a, 'tested')
    c = self.leases.join('c/0', 3, 3, _HERE)
    self.assertEqual(c.env_ids.tolist(), [0, 1, 4])

  def test_join_refuses_more_than_the_free_slots(self):
    self.leases.join('a/0', 1, 4, _HERE)
    with self.assertRaisesRegex(leases_lib.Full, '3 .* asked for, 2 of 6'):
      self.leases.join('b/0', 2, 3, _HERE)

  def test_join_refuses_a_run_id_that_was_used(self):
    lease = self.leases.join('a/0', 1, 1, _HERE)
    with self.assertRaisesRegex(ValueError, 'got 1 again'):
      self.leases.join('b/0', 1, 1, _HERE)
    self.leases.end(lease, 'tested')
    with self.assertRaisesRegex(ValueError, 'got 1 again'):
      self.leases.join('b/0', 1, 1, _HERE)

  def test_join_of_the_same_peer_supersedes(self):
    self.leases.join('a/0', 1, 4, _HERE)
    other = self.leases.join('a/1', 2, 2, _HERE)
    new = self.leases.join('a/0', 3, 4, _HERE)
    self.assertEqual(new.env_ids.tolist(), [0, 1, 2, 3])
    with self.assertRaisesRegex(leases_lib.Ended, 'a/0 ended: supers') as e:
      self.leases.find(1)
    self.assertTrue(e.exception.superseded)
    self.assertIs(self.leases.find(2), other)

  def test_a_name_is_held_while_its_stream_may_come(self):
    lease = self.leases.join('a/0', 1, 1, _HERE)
    self.now += 29.9
    with self.assertRaisesRegex(leases_lib.Held, f"{_HERE} has the name 'a'"):
      self.leases.join('a/0', 2, 1, _THERE)
    self.assertIs(self.leases.find(1), lease)
    self.now += 0.1  # Half of the time that a lease waits for its stream.
    self.leases.join('a/0', 2, 1, _THERE)

  def test_a_name_is_held_while_its_stream_is_open(self):
    self.leases.join('a/0', 1, 1, _HERE)
    self.leases.open(1, _HERE, _stream())
    self.now += 1e6
    with self.assertRaises(leases_lib.Held):
      self.leases.join('a/0', 2, 1, _THERE)
    self.leases.join('a/0', 2, 1, _HERE)  # Its own connection.

  def test_a_name_is_free_once_its_connection_is_gone(self):
    self.leases.join('a/0', 1, 1, _HERE)
    self.leases.cut_off(lambda connection: connection == _THERE)
    with self.assertRaises(leases_lib.Held):
      self.leases.join('a/0', 2, 1, _THERE)
    self.leases.cut_off(lambda connection: connection == _HERE)
    self.leases.find(1)  # It may go on by another connection.
    self.leases.join('a/0', 2, 1, _THERE)

  def test_a_name_is_held_by_who_has_another_connection_now(self):
    self.leases.join('a/0', 1, 1, _HERE)
    self.leases.cut_off(lambda connection: True)
    self.leases.open(1, 'ipv4:10.0.0.1:1001', _stream())
    with self.assertRaises(leases_lib.Held):
      self.leases.join('a/0', 2, 1, _THERE)

  def test_one_actor_has_a_quota_in_all_its_groups(self):
    leases = leases_lib.Leases(100, 60.0, 4)
    leases.join('a/0', 1, 2, _HERE)
    leases.join('a/1', 2, 2, _HERE)
    with self.assertRaisesRegex(leases_lib.Full, 'a asked for 1 .* has 4;.* 4'):
      leases.join('a/2', 3, 1, _HERE)
    with self.assertRaisesRegex(leases_lib.Full, 'ab asked for 5 .* has 0'):
      leases.join('ab/0', 3, 5, _HERE)
    leases.join('ab/0', 3, 4, _HERE)
    leases.join('a/0', 4, 2, _HERE)  # In the place of its older one.

  def test_a_silence_is_logged_once(self):
    lease = self.leases.join('a/0', 1, 2, _HERE)
    self.leases.join('b/0', 2, 2, _HERE).begin(0)  # It waits for an answer.
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
    self.leases.join('a/0', 1, 2, _HERE)
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

  def test_a_lease_lives_while_its_stream_is_open(self):
    self.leases.join('a/0', 1, 2, _HERE)
    self.leases.join('b/0', 2, 2, _HERE)
    self.leases.open(1, _HERE, _stream())
    self.now += 1e6
    self.leases.expire()
    self.assertEqual([lease.peer for lease in self.leases.all()], ['a/0'])
    self.assertLen(self.leases.silent(60.0), 1)  # But it is silent.

  def test_a_lease_has_one_stream(self):
    self.leases.join('a/0', 1, 2, _HERE)
    self.leases.open(1, _HERE, _stream())
    with self.assertRaisesRegex(ValueError, 'a/0 has a stream already'):
      self.leases.open(1, _HERE, _stream())
    with self.assertRaisesRegex(leases_lib.Ended, 'no lease has run_id 5'):
      self.leases.open(5, _HERE, _stream())

  def test_an_expired_lease_makes_room_for_a_join(self):
    self.leases.join('a/0', 1, 6, _HERE)
    self.now += 60.0
    self.assertLen(self.leases.join('b/0', 2, 6, _HERE).env_ids, 6)

  def test_who_waits_for_an_answer_is_not_silent(self):
    lease = self.leases.join('a/0', 1, 1, _HERE)
    lease.begin(0)
    self.now += 1e6
    self.assertEmpty(self.leases.silent(1.0))
    self.leases.answered(lease)
    self.assertEmpty(self.leases.silent(1.0))
    self.now += 1.0
    self.assertLen(self.leases.silent(1.0), 1)

  def test_the_end_interrupts_a_stream_that_reads_or_waits(self):
    for interruptible in (True, False):
      lease = self.leases.join('a/0', 1 + interruptible, 1, _HERE)
      stream = _stream()
      self.leases.open(
        lease.run_id, _HERE, stream
      ).interruptible = interruptible
      self.leases.end(lease, 'tested')
      self.assertEqual(stream.cancel.called, interruptible)

  def test_end_actor_ends_the_leases_of_all_its_groups(self):
    for run_id, peer in enumerate(('a/0', 'a/1', 'ab/0')):
      self.leases.join(peer, run_id, 1, _HERE)
    self.leases.end_actor(1, 'tested')
    self.assertEqual([lease.peer for lease in self.leases.all()], ['ab/0'])

  def test_find_refuses_an_unknown_run(self):
    with self.assertRaisesRegex(leases_lib.Ended, 'no lease has run_id 5'):
      self.leases.find(5)

  def test_begin_admits_each_sequence_once_and_in_order(self):
    lease = self.leases.join('a/0', 1, 1, _HERE)
    self.assertTrue(lease.begin(0))
    self.assertFalse(lease.begin(1))
    for wrong in (0, 1, 3):
      with self.assertRaisesRegex(ValueError, f'must be 2, got {wrong}'):
        lease.begin(wrong)
    self.assertFalse(lease.begin(2))


if __name__ == '__main__':
  absltest.main()
