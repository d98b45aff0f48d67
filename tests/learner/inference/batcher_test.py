"""Tests of learner/inference/batcher.py."""

import asyncio
from concurrent import futures
import threading
from unittest import mock

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
    self.loop = asyncio.new_event_loop()
    self.addCleanup(self.loop.close)

  def submit(self, batcher, peer, num_envs=1):
    """Returns the future of a request."""
    future = self.loop.create_future()
    batcher.submit(_request(peer, num_envs), future)
    return future

  def result(self, future):
    """What the loop learns."""
    return self.loop.run_until_complete(
      asyncio.wait_for(future, _DEADLINE_SECS)
    )

  def make(self, min_envs, max_envs, timeout_ms):
    batcher = batcher_lib.Batcher(
      min_envs, max_envs, timeout_ms, lambda: self.now
    )
    self.addCleanup(batcher.close)  # Before the pool's shutdown.
    return batcher

  def test_get_returns_when_min_envs_wait(self):
    batcher = self.make(3, 8, timeout_ms=None)
    got = self.pool.submit(batcher.get)
    self.submit(batcher, 'a', 2)
    self.assertFalse(got.done())
    self.submit(batcher, 'b', 1)
    self.assertEqual(_peers(got.result(_DEADLINE_SECS)), ['a', 'b'])

  def test_get_returns_what_waits_at_the_timeout(self):
    batcher = self.make(3, 8, timeout_ms=10.0)
    self.submit(batcher, 'a', 2)
    self.now = 0.02
    self.assertEqual(_peers(batcher.get()), ['a'])

  def test_the_timeout_counts_from_the_first_request(self):
    batcher = self.make(8, 8, timeout_ms=10.0)
    self.submit(batcher, 'a')
    self.now = 0.009
    self.submit(batcher, 'b')
    self.now = 0.011
    self.assertEqual(_peers(batcher.get(patience_secs=0.0)), ['a', 'b'])

  def test_the_timeout_wakes_get(self):
    batcher = batcher_lib.Batcher(8, 8, timeout_ms=1.0)  # The real clock.
    self.addCleanup(batcher.close)
    got = self.pool.submit(batcher.get)
    self.submit(batcher, 'a')
    self.assertEqual(_peers(got.result(_DEADLINE_SECS)), ['a'])

  def test_get_is_empty_where_patience_ends(self):
    batcher = self.make(2, 4, timeout_ms=None)
    self.submit(batcher, 'a')
    self.assertEqual(batcher.get(patience_secs=0.0), [])
    self.submit(batcher, 'b')
    self.assertEqual(_peers(batcher.get(patience_secs=0.0)), ['a', 'b'])

  def test_a_batch_holds_at_most_max_envs_and_splits_no_request(self):
    batcher = self.make(1, 4, timeout_ms=None)
    for peer in 'abc':
      self.submit(batcher, peer, 2 if peer == 'a' else 3)
    self.assertEqual(
      [_peers(batcher.get()) for _ in range(3)], [['a'], ['b'], ['c']]
    )

  def test_a_batch_is_ordered_by_peer_not_by_arrival(self):
    batcher = self.make(3, 3, timeout_ms=None)
    for peer in ('b/1', 'a/0', 'b/0'):
      self.submit(batcher, peer)
    self.assertEqual(_peers(batcher.get()), ['a/0', 'b/0', 'b/1'])

  def test_a_cancelled_request_is_in_no_batch_and_counts_for_none(self):
    batcher = self.make(2, 2, timeout_ms=None)
    self.assertTrue(self.submit(batcher, 'cancelled').cancel())
    self.submit(batcher, 'a')
    got = self.pool.submit(batcher.get)
    with self.assertRaises(TimeoutError):
      got.result(0.1)
    self.submit(batcher, 'b')
    self.assertEqual(_peers(got.result(_DEADLINE_SECS)), ['a', 'b'])

  def test_a_request_that_is_taken_back_in_a_batch_is_not_answered(self):
    batcher = self.make(2, 2, timeout_ms=None)
    gone, here = self.submit(batcher, 'a'), self.submit(batcher, 'b')
    batch = batcher.get()
    gone.cancel()
    batcher_lib.answer(batch, np.int32([1, 2]))
    self.assertEqual(self.result(here).actions, np.int32([2]).tobytes())
    self.assertTrue(gone.cancelled())

  def test_each_gets_its_own_rows_of_an_answer(self):
    batcher = self.make(6, 8, timeout_ms=None)
    futures = [self.submit(batcher, f'{n}', n) for n in (1, 2, 3)]
    batcher_lib.answer(batcher.get(), np.arange(6, dtype=np.int32))
    self.assertEqual(
      [
        np.frombuffer(self.result(one).actions, '<i4').tolist()
        for one in futures
      ],
      [[0], [1, 2], [3, 4, 5]],
    )

  def test_a_batch_wakes_its_loop_once(self):
    batcher = self.make(8, 8, timeout_ms=None)
    for i in range(8):
      self.submit(batcher, f'{i}')
    batch = batcher.get()
    with mock.patch.object(
      self.loop, 'call_soon_threadsafe', wraps=self.loop.call_soon_threadsafe
    ) as wake:
      batcher_lib.answer(batch, np.zeros(8, np.int32))
    wake.assert_called_once()

  def test_an_answer_for_a_loop_that_is_closed_is_dropped(self):
    batcher = self.make(1, 1, timeout_ms=None)
    self.submit(batcher, 'a')
    self.loop.close()
    batcher_lib.answer(batcher.get(), np.int32([0]))

  def test_submit_refuses_more_environments_than_a_batch_holds(self):
    batcher = self.make(1, 4, timeout_ms=None)
    with self.assertRaisesRegex(ValueError, '1 to 4 environments, got 5'):
      self.submit(batcher, 'a', 5)
    self.submit(batcher, 'b', 4)  # The others continue.
    self.assertEqual(_peers(batcher.get()), ['b'])

  def test_close_fails_what_waits_and_ends_get(self):
    batcher = self.make(2, 2, timeout_ms=None)
    waiting = self.submit(batcher, 'a')
    got = self.pool.submit(batcher.get)
    batcher.close()
    self.assertIsNone(got.result(_DEADLINE_SECS))
    with self.assertRaises(batcher_lib.Closed):
      self.result(waiting)
    with self.assertRaises(batcher_lib.Closed):
      self.submit(batcher, 'late')

  def test_every_request_of_many_peers_is_answered_once(self):
    batcher = batcher_lib.Batcher(4, 8, timeout_ms=1.0)
    self.addCleanup(batcher.close)

    def answer():
      while (batch := batcher.get()) is not None:
        peers = [int(waiting.request.peer) for waiting in batch]
        batcher_lib.answer(batch, np.int32(peers))

    threading.Thread(target=answer, daemon=True).start()

    async def ask_all():
      futures = []
      for i in range(500):
        futures.append(asyncio.get_running_loop().create_future())
        batcher.submit(_request(f'{i}'), futures[-1])
        await asyncio.sleep(0)
      return await asyncio.wait_for(asyncio.gather(*futures), _DEADLINE_SECS)

    self.assertEqual(
      asyncio.run(ask_all()),
      [batcher_lib.Answer(np.int32(i).tobytes(), False) for i in range(500)],
    )

  def test_min_envs_must_fit_a_batch(self):
    with self.assertRaisesRegex(ValueError, r'in \[1, 4\], got 5'):
      batcher_lib.Batcher(5, 4, timeout_ms=None)


if __name__ == '__main__':
  absltest.main()
