"""Tests of learner/serving/service.py, over real gRPC."""

from absl.testing import absltest
import grpc
import numpy as np

from tests.support import fakes

_Code = grpc.StatusCode


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
    return self.stub.Act.future(
      fakes.act_request(**fields), timeout=fakes.DEADLINE_SECS
    )

  def test_join_then_act(self):
    learner = self.start()
    self.assertEqual(list(self.join().result().env_ids), [0, 1])
    other = self.join(actor='bob', run_id=2).result()
    self.assertEqual(list(other.env_ids), [2, 3])
    for sequence in range(3):
      reply = self.act(
        run_id=2,
        sequence=sequence,
        rewards=np.float32([1, 2]).tobytes(),
        flags=b'\1\4',
      ).result()
      # The fake learner answers slot % 3.
      self.assertEqual(np.frombuffer(reply.actions, '<i4').tolist(), [2, 0])
      self.assertFalse(reply.done)
      self.assertFalse(reply.send_state)
    request = learner.requests[-1]
    self.assertEqual(request.peer, 'bob/0')
    self.assertEqual(request.env_ids.tolist(), [2, 3])
    self.assertEqual(request.env_outputs.reward.tolist(), [1, 2])
    self.assertEqual(request.env_outputs.terminated.tolist(), [True, False])
    self.assertEqual(request.env_outputs.life_lost.tolist(), [False, True])
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

  def test_act_with_bad_arrays_is_refused_and_the_lease_stands(self):
    learner = self.start()
    self.join().result()
    with self.assertLogs(level='WARNING') as logs:
      self.assert_refused(
        self.act(rewards=np.float32([0, np.nan]).tobytes()),
        _Code.INVALID_ARGUMENT,
        'rewards must be finite, .*got nan',
      )
    self.assertRegex(logs.output[0], 'Refused ann/0 at .*rewards')
    self.assertEmpty(learner.requests)
    self.act().result()  # The lease still stands.

  def test_act_out_of_order_is_refused(self):
    self.start()
    self.join().result()
    self.act().result()
    for sequence in (0, 2):
      self.assert_refused(
        self.act(sequence=sequence),
        _Code.INVALID_ARGUMENT,
        f'sequence must be 1, got {sequence}',
      )

  def test_a_second_act_before_the_answer_is_refused(self):
    learner = self.start(answer=False)
    self.join().result()
    first = self.act()
    batch = learner.batcher.get()
    self.assert_refused(
      self.act(sequence=1), _Code.INVALID_ARGUMENT, 'before 0 was answered'
    )
    batch[0][1].set_result(np.int32([1, 2]))
    self.assertEqual(first.code(), _Code.OK)

  def test_act_without_a_lease_is_told_to_join(self):
    self.start()
    self.assert_refused(
      self.act(run_id=7),
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
      self.act(), _Code.FAILED_PRECONDITION, 'ann/0 .*expired', join_again=True
    )

  def test_a_superseded_actor_is_told_not_to_come_back(self):
    learner = self.start(answer=False)
    self.join().result()
    waiting = self.act()
    self.assertEqual(self.join(run_id=2).result().env_ids, [0, 1])
    for call in (waiting, self.act(sequence=1)):
      self.assert_refused(call, _Code.FAILED_PRECONDITION, 'superseded')
    current = self.act(run_id=2)
    ((request, future, _),) = learner.batcher.get()  # Not the old one.
    self.assertTrue(request.reset)
    future.set_result(np.int32([1, 2]))
    self.assertEqual(current.code(), _Code.OK)

  def test_a_lost_connection_frees_its_slots_and_is_named(self):
    learner = self.start(answer=False)
    self.join().result()
    call = self.act()
    learner.batcher.get()
    with self.assertLogs(level='WARNING') as logs:
      call.cancel()
      fakes.wait_until(lambda: not learner.server.num_actors())
    self.assertRegex(logs.output[0], 'ann/0 ended: its connection was lost')

  def test_a_closed_batcher_makes_actors_try_again(self):
    learner = self.start()
    self.join().result()
    learner.batcher.close()
    self.assert_refused(self.act(), _Code.UNAVAILABLE, 'stopping')

  def test_states_are_asked_for_and_given_back(self):
    learner = self.start(env_states={'ann/0': b'saved'}, ask_for_states=True)
    self.assertEqual(self.join().result().env_state, b'saved')
    self.assertEqual(self.join(run_id=2).result().env_state, b'saved')
    self.assertTrue(self.act(run_id=2).result().send_state)
    self.act(run_id=2, sequence=1, env_state=b'now').result()
    self.assertEqual(learner.requests[-1].env_state, b'now')
    self.assertEqual(self.join(run_id=3).result().env_state, b'')  # Gone on.


if __name__ == '__main__':
  absltest.main()
