"""Tests of learner/inference/batcher.py."""

from concurrent import futures
import threading

from absl.testing import absltest
import numpy as np

from learner.inference import batcher as batcher_lib

_DEADLINE_SECS = 20.0


def _request(peer, num_envs=1):
  return batcher_lib.Request(np.zeros(num_envs, np.int32), False, None, peer)


def _peers(batch):
  return [waiting.request.peer for waiting in batch]


class BatcherTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.now = 0.0
    self.pool = futures.ThreadPoolExecutor()
    self.addCleanup(self.pool.shutdown)

  def make(self, min_envs, max_envs, timeout_ms):
    batcher = batcher_lib.Batcher(
      min_envs, max_envs, timeout_ms, lambda: self.now
    )
    self.addCleanup(batcher.close)  # Before the pool's shutdown.
    return batcher

  def test_get_returns_when_min_envs_wait(self):
    batcher = self.make(3, 8, timeout_ms=None)
    got = self.pool.submit(batcher.get)
    batcher.submit(_request('a', 2))
    self.assertFalse(got.done())
    batcher.submit(_request('b', 1))
    self.assertEqual(_peers(got.result(_DEADLINE_SECS)), ['a', 'b'])

  def test_get_returns_what_waits_at_the_timeout(self):
    batcher = self.make(3, 8, timeout_ms=10.0)
    batcher.submit(_request('a', 2))
    self.now = 0.02
    self.assertEqual(_peers(batcher.get()), ['a'])

  def test_the_timeout_counts_from_the_first_request(self):
    batcher = self.make(8, 8, timeout_ms=10.0)
    batcher.submit(_request('a'))
    self.now = 0.009
    batcher.submit(_request('b'))
    self.now = 0.011
    self.assertEqual(_peers(batcher.get(patience_secs=0.0)), ['a', 'b'])

  def test_the_timeout_wakes_get(self):
    batcher = batcher_lib.Batcher(8, 8, timeout_ms=1.0)  # The real clock.
    self.addCleanup(batcher.close)
    got = self.pool.submit(batcher.get)
    batcher.submit(_request('a'))
    self.assertEqual(_peers(got.result(_DEADLINE_SECS)), ['a'])

  def test_get_is_empty_where_patience_ends(self):
    batcher = self.make(2, 4, timeout_ms=None)
    batcher.submit(_request('a'))
    self.assertEqual(batcher.get(patience_secs=0.0), [])
    batcher.submit(_request('b'))
    self.assertEqual(_peers(batcher.get(patience_secs=0.0)), ['a', 'b'])

  def test_a_batch_holds_at_most_max_envs_and_splits_no_request(self):
    batcher = self.make(1, 4, timeout_ms=None)
    for peer in 'abc':
      batcher.submit(_request(peer, 2 if peer == 'a' else 3))
    self.assertEqual(
      [_peers(batcher.get()) for _ in range(3)], [['a'], ['b'], ['c']]
    )

  def test_a_batch_is_ordered_by_peer_not_by_arrival(self):
    batcher = self.make(3, 3, timeout_ms=None)
    for peer in ('b/1', 'a/0', 'b/0'):
      batcher.submit(_request(peer))
    self.assertEqual(_peers(batcher.get()), ['a/0', 'b/0', 'b/1'])

  def test_a_cancelled_request_is_in_no_batch_and_counts_for_none(self):
    batcher = self.make(2, 2, timeout_ms=None)
    self.assertTrue(batcher.submit(_request('cancelled')).cancel())
    batcher.submit(_request('a'))
    got = self.pool.submit(batcher.get)
    with self.assertRaises(TimeoutError):
      got.result(0.1)
    batcher.submit(_request('b'))
    self.assertEqual(_peers(got.result(_DEADLINE_SECS)), ['a', 'b'])

  def test_a_request_in_a_batch_cannot_be_cancelled(self):
    batcher = self.make(1, 1, timeout_ms=None)
    future = batcher.submit(_request('a'))
    batcher.get()
    self.assertFalse(future.cancel())

  def test_submit_refuses_more_environments_than_a_batch_holds(self):
    batcher = self.make(1, 4, timeout_ms=None)
    with self.assertRaisesRegex(ValueError, '1 to 4 environments, got 5'):
      batcher.submit(_request('a', 5))
    future = batcher.submit(_request('b', 4))  # The others continue.
    self.assertEqual(_peers(batcher.get()), ['b'])
    self.assertTrue(future.running())

  def test_close_fails_what_waits_and_ends_get(self):
    batcher = self.make(2, 2, timeout_ms=None)
    waiting = batcher.submit(_request('a'))
    got = self.pool.submit(batcher.get)
    batcher.close()
    self.assertIsNone(got.result(_DEADLINE_SECS))
    for future in (waiting, batcher.submit(_request('late'))):
      with self.assertRaises(batcher_lib.Closed):
        future.result(_DEADLINE_SECS)

  def test_every_request_of_many_threads_is_answered_once(self):
    batcher = batcher_lib.Batcher(4, 8, timeout_ms=1.0)
    self.addCleanup(batcher.close)

    def answer():
      while (batch := batcher.get()) is not None:
        for request, future, _ in batch:
          future.set_result(request.peer)

    threading.Thread(target=answer, daemon=True).start()

    def ask(i):
      return batcher.submit(_request(f'{i}')).result(_DEADLINE_SECS)

    self.assertEqual(
      list(self.pool.map(ask, range(500))), [f'{i}' for i in range(500)]
    )

  def test_min_envs_must_fit_a_batch(self):
    with self.assertRaisesRegex(ValueError, r'in \[1, 4\], got 5'):
      batcher_lib.Batcher(5, 4, timeout_ms=None)


if __name__ == '__main__':
  absltest.main()
