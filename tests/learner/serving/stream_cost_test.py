"""What a message of a stream may make the learner do: counts, not times."""

import asyncio
import contextlib
import pathlib
import sys
import threading
import tracemalloc

from absl.testing import absltest
import numpy as np

from learner.inference import batcher as batcher_lib
from protos import codec
from tests.support import fakes

_GROUPS, _STEPS = 8, 50
_ENVS = 64
_FRAME = 84 * 84


class StreamCostTest(absltest.TestCase):
  def test_wake_ups_tasks_and_threads_do_not_grow_with_messages(self):
    learner = fakes.FakeLearner(answer=False)
    self.addCleanup(learner.close)
    loop = learner.server._loop
    counts = {'wake-ups': 0, 'tasks': 0}
    wake = loop.call_soon_threadsafe

    def count_wake_ups(callback, *args, **kwargs):
      # gRPC's poller has wake-ups of its own.
      if sys._getframe(1).f_code.co_filename.endswith('batcher.py'):
        counts['wake-ups'] += 1
      return wake(callback, *args, **kwargs)

    def count_tasks(loop, coroutine, **kwargs):
      counts['tasks'] += 1
      return asyncio.Task(coroutine, loop=loop, **kwargs)

    loop.call_soon_threadsafe = count_wake_ups
    stub = learner.stub()
    streams = []
    for run_id in range(_GROUPS):
      stub.Join(fakes.join_request(actor=f'a{run_id}', run_id=run_id))
      streams.append(fakes.Stream(stub))
    self._answer(learner, streams, 0)  # All streams are open.
    loop.call_soon_threadsafe(loop.set_task_factory, count_tasks)
    counts['wake-ups'], threads = 0, threading.active_count()
    for sequence in range(1, 1 + _STEPS):
      self._answer(learner, streams, sequence)
    self.assertEqual(counts['wake-ups'], _STEPS)  # One a batch of 8 messages.
    # The server's look at connections, once a second, may make a few.
    self.assertLess(counts['tasks'], _GROUPS * _STEPS / 10)
    self.assertEqual(threading.active_count(), threads)

  def test_grpc_hands_no_message_from_thread_to_thread(self):
    learner = fakes.FakeLearner(answer=False)
    self.addCleanup(learner.close)
    stub = learner.stub()
    streams = []
    for run_id in range(_GROUPS):
      stub.Join(fakes.join_request(actor=f'a{run_id}', run_id=run_id))
      streams.append(fakes.Stream(stub))
    self._answer(learner, streams, 0)
    before = _event_engine_wake_ups()
    self.assertGreater(before, 0)  # They have that name still.
    for sequence in range(1, 1 + _STEPS):
      self._answer(learner, streams, sequence)
    self.assertLess(_event_engine_wake_ups() - before, _GROUPS * _STEPS / 2)

  def _answer(self, learner, streams, sequence):
    for run_id, stream in enumerate(streams):
      stream.send(run_id=run_id, sequence=sequence)
    fakes.wait_until(lambda: learner.batcher.num_waiting == 2 * len(streams))
    batcher_lib.answer(
      learner.batcher.get(), np.zeros(2 * len(streams), np.int32)
    )
    for stream in streams:
      stream.reply()

  def test_a_batch_copies_its_frames_once(self):
    spec = fakes.SPEC._replace(
      observation_shape=(84, 84), observation_dtype='uint8'
    )
    steps = [codec.Step(bytes(4), bytes(1), bytes(_FRAME))] * _ENVS
    tracemalloc.start()
    self.addCleanup(tracemalloc.stop)
    outputs = codec.decode_step(codec.join_steps(steps), _ENVS, spec)
    _, peak = tracemalloc.get_traced_memory()
    self.assertEqual(outputs.observation.nbytes, _ENVS * _FRAME)
    self.assertBetween(peak, _ENVS * _FRAME, 1.1 * _ENVS * _FRAME)


def _event_engine_wake_ups() -> int:
  """How often those threads of gRPC in this process have waited so far."""
  count = 0
  for task in pathlib.Path('/proc/self/task').iterdir():
    with contextlib.suppress(OSError):  # It has ended meanwhile.
      status = (task / 'status').read_text()
      fields = dict(line.split(':', 1) for line in status.splitlines())
      if fields['Name'].strip() == 'event_engine':
        count += int(fields['voluntary_ctxt_switches'])
  return count


if __name__ == '__main__':
  absltest.main()
