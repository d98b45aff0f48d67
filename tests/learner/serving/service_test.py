"""Tests of learner/serving/service.py, all but one over real gRPC."""

import asyncio

from absl.testing import absltest
import grpc
import numpy as np

from learner.inference import batcher
from learner.serving import leases as leases_lib
from learner.serving import service as service_lib
from tests.support import fakes

_Code = grpc.StatusCode


class _AtOnce:
  """A batcher that answers while it is asked."""

  max_envs = 16

  def submit(self, unused_request, future):
    """Answers."""
    future.set_result(batcher.Answer(b'actions', False))


class _FinishInWrite:
  """The context of a stream whose first answer leaves as training ends."""

  def __init__(self, service, requests):
    self.service = service
    self.requests = requests
    self.done = []  # Of each answer.
    self.finished = None

  def peer(self):
    """Where the actor is."""
    return 'here'

  async def read(self):
    """The next request."""
    return self.requests.pop(0)

  async def write(self, reply):
    """Takes an answer."""
    self.done.append(reply.done)
    if self.finished is None:
      finish = self.service.finish(fakes.DEADLINE_SECS)
      self.finished = asyncio.create_task(finish)
      await asyncio.sleep(0)


class ServiceTest(absltest.TestCase):
  def start(self, **kwargs):
    learner = fakes.FakeLearner(**kwargs)
    self.addCleanup(learner.close)
    self.stub = learner.stub()
    return learner

  def assert_refused(self, call, code, message, join_again=False):
    """`call` is a pending call."""
    self.assertEqual(call.code(), code, call.details())
    self.assertRegex(call.details(), message)
    again = ('join-again', '1') in call.trailing_metadata()
    self.assertEqual(again, join_again)

  def join(self, **fields):
    return self.stub.Join.future(fakes.join_request(**fields))

  def act(self, **fields):
    """Opens a stream with one request; returns it."""
    return fakes.Stream(self.stub).send(**fields)

  def test_an_answer_on_its_way_as_training_ends_is_not_the_last(self):
    leases = leases_lib.Leases(16, 60.0, 16)
    service = service_lib.Inference(
      fakes.TASK, _AtOnce(), leases, leases.log, {}, 10.0
    )

    async def act():
      requests = [fakes.act_request(sequence=n) for n in range(2)]
      context = _FinishInWrite(service, requests)
      await service.Join(fakes.join_request(), context)
      await service.Act(None, context)
      self.assertTrue(await context.finished)
      return context

    context = asyncio.run(act())
    self.assertEqual(context.done, [False, True])
    self.assertEmpty(context.requests)  # It was told at the second one.

  def test_join_then_act(self):
    learner = self.start()
    self.assertEqual(list(self.join().result().env_ids), [0, 1])
    other = self.join(actor='bob', run_id=2).result()
    self.assertEqual(list(other.env_ids), [2, 3])
    stream = fakes.Stream(self.stub)
    for sequence in range(3):
      reply = stream.reply(
        run_id=2,
        sequence=sequence,
        rewards=np.float32([1, 2]).tobytes(),
        flags=b'\1\4',
      )
      # The fake learner answers slot % 3.
      self.assertEqual(np.frombuffer(reply.actions, '<i4').tolist(), [2, 0])
      self.assertFalse(reply.done)
      self.assertFalse(reply.send_state)
    request = learner.requests[-1]
    self.assertEqual(request.peer, 'bob/0')
    self.assertEqual(request.env_ids.tolist(), [2, 3])
    self.assertEqual(request.step.rewards, np.float32([1, 2]).tobytes())
    self.assertEqual(request.step.flags, b'\1\4')
    self.assertEqual(
      [request.reset for request in learner.requests], [True, False, False]
    )

  def test_join_of_another_task_is_refused_on_both_sides(self):
    self.start()
    with self.assertLogs(level='WARNING') as logs:
      self.assert_refused(
        self.join(env='pong'), _Code.INVALID_ARGUMENT, "got 'pong'"
      )
    self.assertRegex(logs.output[0], "Refused 'ann'/0 at .*got 'pong'")

  def test_join_without_free_slots_is_refused(self):
    self.start(max_envs=4)
    self.join(num_envs=3).result()
    self.assert_refused(
      self.join(actor='bob', run_id=2),
      _Code.RESOURCE_EXHAUSTED,
      '1 of 4 are free',
    )

  def test_bad_arrays_end_their_own_stream_and_its_lease(self):
    learner = self.start()
    self.join().result()
    self.join(actor='bob', run_id=2).result()
    other = self.act(run_id=2)
    with self.assertLogs(level='WARNING') as logs:
      self.assert_refused(
        self.act(rewards=np.float32([0, np.nan]).tobytes()).call,
        _Code.INVALID_ARGUMENT,
        'rewards must be finite, .*got nan',
      )
    self.assertRegex('\n'.join(logs.output), 'Refused ann/0 at .*rewards')
    self.assertEqual(other.reply().actions, bytes([2, 0, 0, 0, 0, 0, 0, 0]))
    self.assertTrue(other.reply(run_id=2, sequence=1).actions)
    self.assertEqual({r.peer for r in learner.requests}, {'bob/0'})
    self.assert_refused(
      self.act().call,
      _Code.FAILED_PRECONDITION,
      'ann/0 ended: its stream was refused',
      join_again=True,
    )

  def test_a_request_out_of_order_is_refused(self):
    self.start()
    for run_id, sequence in ((1, 0), (2, 2)):
      self.join(run_id=run_id).result()
      stream = fakes.Stream(self.stub)
      stream.reply(run_id=run_id)
      self.assert_refused(
        stream.send(run_id=run_id, sequence=sequence).call,
        _Code.INVALID_ARGUMENT,
        f'sequence must be 1, got {sequence}',
      )

  def test_a_request_of_another_lease_is_refused(self):
    self.start()
    self.join().result()
    self.join(actor='bob', run_id=2).result()
    stream = fakes.Stream(self.stub)
    stream.reply(run_id=1)
    self.assert_refused(
      stream.send(run_id=2).call,
      _Code.INVALID_ARGUMENT,
      'run_id must be 1 in this stream, got 2',
    )
    fakes.Stream(self.stub).reply(run_id=2)  # The other is not disturbed.

  def test_a_second_stream_of_a_lease_is_refused(self):
    self.start()
    self.join().result()
    first = fakes.Stream(self.stub)
    first.reply(sequence=0)
    self.assert_refused(
      self.act(sequence=1).call, _Code.INVALID_ARGUMENT, 'a stream already'
    )
    first.reply(sequence=1)

  def test_bytes_that_are_no_request_end_a_stream(self):
    learner = self.start()
    self.join().result()
    channel = grpc.insecure_channel(f'localhost:{learner.port}')
    self.addCleanup(channel.close)
    call = channel.stream_stream('/seed_metagrad.v1.Inference/Act')(
      iter([fakes.act_request().SerializeToString(), b'\xff'])
    )
    next(call)
    self.assert_refused(
      call, _Code.INVALID_ARGUMENT, 'bytes arrived that are no request'
    )

  def test_act_without_a_lease_is_told_to_join(self):
    self.start()
    self.assert_refused(
      self.act(run_id=7).call,
      _Code.FAILED_PRECONDITION,
      'no lease has run_id 7',
      join_again=True,
    )

  def test_act_of_an_expired_lease_is_told_to_join(self):
    learner = self.start(lease_secs=60.0)
    self.join().result()
    learner.now = 60.0
    self.join(actor='bob', run_id=2).result()
    self.assert_refused(
      self.act().call,
      _Code.FAILED_PRECONDITION,
      'ann/0 .*expired',
      join_again=True,
    )

  def test_a_superseded_actor_that_waits_is_told_not_to_come_back(self):
    learner = self.start(answer=False)
    self.join().result()
    waiting = self.act()
    fakes.wait_until(lambda: not learner.server.silent(0.0))
    self.assertEqual(self.join(run_id=2).result().env_ids, [0, 1])
    self.assert_refused(waiting.call, _Code.FAILED_PRECONDITION, 'superseded')
    current = self.act(run_id=2)
    (waiting,) = learner.batcher.get()  # Not the old one.
    self.assertTrue(waiting.request.reset)
    batcher.answer([waiting], np.int32([1, 2]))
    self.assertEqual(current.reply().actions, np.int32([1, 2]).tobytes())

  def test_a_superseded_actor_that_steps_is_told_not_to_come_back(self):
    self.start()
    self.join().result()
    stepping = fakes.Stream(self.stub)
    stepping.reply(sequence=0)
    self.join(run_id=2).result()
    self.assert_refused(stepping.call, _Code.FAILED_PRECONDITION, 'superseded')

  def test_a_lost_connection_frees_its_slots_and_is_named(self):
    learner = self.start(answer=False)
    self.join().result()
    stream = self.act()
    learner.batcher.get()
    with self.assertLogs(level='WARNING') as logs:
      stream.call.cancel()
      fakes.wait_until(lambda: not learner.server.num_actors())
    self.assertRegex(logs.output[0], 'ann/0 ended: its connection was lost')

  def test_a_stream_that_is_closed_frees_its_slots(self):
    learner = self.start()
    self.join().result()
    stream = fakes.Stream(self.stub)
    stream.reply(sequence=0)
    stream.close()
    self.assertEqual(stream.call.code(), _Code.OK)
    self.assertEqual(learner.server.num_actors(), 0)

  def test_a_closed_batcher_makes_actors_try_again(self):
    learner = self.start()
    self.join().result()
    learner.batcher.close()
    self.assert_refused(self.act().call, _Code.UNAVAILABLE, 'stopping')

  def test_a_request_of_the_unary_protocol_is_refused_at_join(self):
    self.start()
    self.assert_refused(
      self.join(protocol=2),
      _Code.INVALID_ARGUMENT,
      'protocol must be 3 as in the learner, got 2',
    )

  def test_states_are_asked_for_and_given_back(self):
    learner = self.start(env_states={'ann/0': b'saved'}, send_state=True)
    self.assertEqual(self.join().result().env_state, b'saved')
    self.assertEqual(self.join(run_id=2).result().env_state, b'saved')
    stream = fakes.Stream(self.stub)
    self.assertTrue(stream.reply(run_id=2).send_state)
    stream.reply(run_id=2, sequence=1, env_state=b'now')
    self.assertEqual(learner.requests[-1].env_state, b'now')
    self.assertEqual(self.join(run_id=3).result().env_state, b'')  # Gone on.


if __name__ == '__main__':
  absltest.main()
