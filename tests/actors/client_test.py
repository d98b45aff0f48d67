"""Tests of actors/client.py, against a real server."""

from concurrent import futures
import os
import time
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from actors import client as client_lib
from learner.inference import batcher as batcher_lib
from seed_metagrad import types
from tests.support import fakes

_STEP = fakes.outputs(2)


class ClientTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.learner = self.start()

  def start(self, address='localhost:0', **kwargs):
    learner = fakes.FakeLearner(address, **kwargs)
    self.addCleanup(learner.close)
    return learner

  def connect(self, address='', **kwargs):
    client = fakes.Client(address or f'localhost:{self.learner.port}', **kwargs)
    self.addCleanup(client.close)
    return client

  def test_receive_answers_send(self):
    client = self.connect()
    self.assertEqual(client.join(), b'')
    for _ in range(3):
      client.send(_STEP)
      reply = client.receive()
      self.assertEqual(reply.actions.tolist(), [0, 1])  # The slot % 3.
      self.assertEqual(reply.actions.dtype, np.int32)
      self.assertFalse(reply.send_state)
    self.assertEqual(
      [request.reset for request in self.learner.requests], [True, False, False]
    )

  def test_a_lease_is_kept_while_the_environments_step(self):
    learner = self.start(lease_secs=3.0)
    client = self.connect(f'localhost:{learner.port}')
    client.join()
    for _ in range(2):
      client.send(_STEP)
      client.receive()
      # Nothing of Python runs: gRPC's own threads answer the learner's pings.
      time.sleep(5.0)
      learner.now += 1e6
    client.send(_STEP)
    client.receive()
    self.assertEqual(
      [request.reset for request in learner.requests], [True, False, False]
    )

  def test_an_answer_that_does_not_come_is_given_up(self):
    learner = self.start(answer=False)
    client = self.connect(f'localhost:{learner.port}', reconnect_secs=0.3)
    client.join()
    client.send(_STEP)
    with self.assertLogs(level='WARNING') as logs:
      with self.assertRaises(client_lib.Lost):
        client.receive()
    self.assertRegex('\n'.join(logs.output), 'ann/0: no answer for 0.3 s')
    fakes.wait_until(lambda: not learner.server.num_actors())

  @parameterized.parameters('http_proxy', 'https_proxy', 'grpc_proxy')
  def test_a_local_learner_is_reached_without_a_proxy(self, variable):
    environ = {variable: 'http://127.0.0.1:9', 'no_proxy': ''}
    self.enterContext(mock.patch.dict(os.environ, environ))
    for address in ('localhost', '127.0.0.1'):
      self.assertEqual(
        self.connect(f'{address}:{self.learner.port}', name=address).join(), b''
      )

  @parameterized.parameters(
    ({'http_proxy': 'http://p:1'}, 'http_proxy'),
    ({'https_proxy': 'http://p:1', 'http_proxy': 'http://p:2'}, 'https_proxy'),
    ({'grpc_proxy': 'http://p:1', 'http_proxy': 'http://p:2'}, 'grpc_proxy'),
    ({'http_proxy': 'http://p:1', 'no_proxy': 'localhost,example.org'}, ''),
    ({'http_proxy': 'http://p:1', 'no_grpc_proxy': 'example.org'}, ''),
    ({}, ''),
  )
  def test_a_proxy_is_said(self, environ, variable):
    self.enterContext(mock.patch.dict(os.environ, environ, clear=True))
    if not variable:
      with self.assertNoLogs(level='WARNING'):
        fakes.Client('learner.example.org:5').close()
      return
    with self.assertLogs(level='WARNING') as logs:
      fakes.Client('learner.example.org:5').close()
    self.assertRegex(logs.output[0], f'org:5 uses the proxy of {variable}')

  def test_join_returns_the_state_of_an_earlier_run(self):
    learner = self.start(env_states={'ann/1': b'saved'})
    client = self.connect(f'localhost:{learner.port}', group=1)
    self.assertEqual(client.join(), b'saved')

  def test_send_carries_the_state(self):
    learner = self.start(send_state=True)
    client = self.connect(f'localhost:{learner.port}')
    client.join()
    client.send(_STEP)
    self.assertTrue(client.receive().send_state)
    client.send(_STEP, b'state')
    client.receive()
    self.assertEqual(learner.requests[-1].env_state, b'state')

  def test_another_task_is_refused_at_once(self):
    client = self.connect(task=fakes.TASK._replace(env='pong'))
    with self.assertRaisesRegex(
      client_lib.Refused, "refused ann: INVALID_ARGUMENT: env .*got 'pong'"
    ):
      client.join()

  def test_a_missing_token_is_refused_at_once(self):
    learner = self.start(token='a token of 16 letters')
    with self.assertRaisesRegex(client_lib.Refused, 'UNAUTHENTICATED'):
      self.connect(f'localhost:{learner.port}').join()

  def test_a_superseded_client_is_refused(self):
    old, new = self.connect(), self.connect()
    old.join()
    self.learner.now = 30.0  # Two pings were lost.
    new.join()
    old.send(_STEP)
    with self.assertRaisesRegex(client_lib.Refused, 'superseded'):
      old.receive()
    new.send(_STEP)
    new.receive()

  def test_of_two_clients_with_one_name_the_first_goes_on(self):
    first = self.connect()
    first.join()
    second = self.connect(reconnect_secs=0.2)
    with self.assertRaisesRegex(
      client_lib.Unreachable, "ALREADY_EXISTS.* has the name 'ann'"
    ):
      second.join()
    first.send(_STEP)
    first.receive()

  def test_a_name_is_free_as_soon_as_its_client_is_gone(self):
    client = self.connect()
    client.join()
    fakes.wait_until(lambda: self.learner.server.open_connections)
    client.close()
    self.connect().join()  # The clock of the leases stands still.

  def test_an_expired_lease_is_replaced(self):
    client = self.connect()
    client.join()
    self.learner.now = 1e6
    fakes.wait_until(lambda: not self.learner.server.num_actors())
    client.send(_STEP)
    with self.assertRaises(client_lib.Lost):
      client.receive()
    client.join()
    client.send(_STEP)
    client.receive()
    self.assertTrue(self.learner.requests[-1].reset)

  def test_a_restarted_learner_is_found_again(self):
    client = self.connect()
    client.join()
    client.send(_STEP)
    client.receive()
    self.learner.close()
    client.send(_STEP)
    with self.assertRaises(client_lib.Lost):
      client.receive()
    learner = self.start(f'localhost:{self.learner.port}')
    client.join()
    client.send(_STEP)
    client.receive()
    self.assertTrue(learner.requests[0].reset)

  def test_it_gives_up_when_no_learner_comes(self):
    client = self.connect('unix:/nonexistent/s', reconnect_secs=0.5)
    start = time.monotonic()
    with self.assertRaisesRegex(
      client_lib.Unreachable, 'for 0.5 s; at last UNAVAILABLE'
    ):
      client.join()
    self.assertGreaterEqual(time.monotonic() - start, 0.5)

  def test_a_full_learner_is_waited_for(self):
    self.learner.stub().Join(fakes.join_request(actor='bob', num_envs=16))
    client = self.connect(reconnect_secs=0.1)
    with self.assertRaisesRegex(client_lib.Unreachable, 'RESOURCE_EXHAUSTED'):
      client.join()

  def test_done_is_told_by_join_and_by_receive(self):
    client = self.connect()
    client.join()
    self.learner.server.finish(0.0)
    client.send(_STEP)
    with self.assertRaises(client_lib.Done):
      client.receive()
    with self.assertRaises(client_lib.Done):
      client.join()

  def test_done_is_told_to_whom_steps_for_long(self):
    client = self.connect()
    client.join()
    client.send(_STEP)
    client.receive()
    with futures.ThreadPoolExecutor() as pool:
      finished = pool.submit(self.learner.server.finish, fakes.DEADLINE_SECS)
      time.sleep(0.3)  # Nothing of the client runs: its environments step.
      client.send(_STEP)
      with self.assertRaises(client_lib.Done):
        client.receive()
      self.assertTrue(finished.result())

  def test_a_stream_that_ended_during_a_step_is_told_plainly(self):
    client = self.connect()
    client.join()
    client.send(_STEP)
    client.receive()
    self.learner.close()  # While its environments step.
    client.send(_STEP)
    with self.assertLogs(level='WARNING') as logs:
      with self.assertRaises(client_lib.Lost):
        client.receive()
    self.assertRegex(
      '\n'.join(logs.output), 'ann/0: .*the stream ended before this step'
    )

  def test_an_answer_of_another_length_is_refused(self):
    learner = self.start(answer=False)
    client = self.connect(f'localhost:{learner.port}')
    client.join()
    client.send(_STEP)
    (waiting,) = learner.batcher.get()
    longer = waiting.request._replace(env_ids=np.arange(3))
    batcher_lib.answer([waiting._replace(request=longer)], np.int32([0, 0, 0]))
    with self.assertRaisesRegex(ValueError, 'actions must be 8 bytes .*got 12'):
      client.receive()

  def test_atari_frames_arrive_as_they_were_sent(self):
    spec = fakes.SPEC._replace(
      observation_shape=(84, 84), observation_dtype='uint8'
    )
    task = types.Task('pong', spec, {})
    learner = self.start(task=task, max_envs=64)
    client = self.connect(f'localhost:{learner.port}', task=task, num_envs=64)
    frames = np.random.default_rng(0).integers(
      256, size=(64, 84, 84), dtype=np.uint8
    )
    client.join()
    client.send(fakes.outputs(64, spec)._replace(observation=frames))
    client.receive()
    self.assertEqual(learner.requests[0].step.observations, frames.tobytes())


class OpenChannelTest(absltest.TestCase):
  def test_each_channel_has_a_connection_of_its_own(self):
    learner = fakes.FakeLearner(answer=False, max_envs=200)
    self.addCleanup(learner.close)
    clients = []
    for i in range(100):  # The learner takes 80 calls of one connection.
      clients.append(
        fakes.Client(f'localhost:{learner.port}', num_envs=1, name=f'ann-{i}')
      )
      self.addCleanup(clients[-1].close)
      clients[-1].join()
      clients[-1].send(fakes.outputs(1))
    waiting = 0
    while waiting < 100 and (batch := learner.batcher.get(patience_secs=10.0)):
      waiting += len(batch)
    self.assertEqual(waiting, 100)

  def test_a_missing_file_is_an_error(self):
    with self.assertRaises(FileNotFoundError):
      client_lib.open_channel('localhost:1', ca_file='/nonexistent')


if __name__ == '__main__':
  absltest.main()
