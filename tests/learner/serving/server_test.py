"""Tests of learner/serving/server.py."""

import asyncio
from concurrent import futures
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc

from learner.serving import server as server_lib
from protos import inference_pb2_grpc
from tests.repository import sources
from tests.support import fakes

# A peer that has taken a step and does nothing more.
_PEER = """
import sys, time
from tests.support import fakes
one = fakes.Client('localhost:' + sys.argv[1], name=sys.argv[2])
one.join()
one.send(fakes.outputs(2))
one.receive()
time.sleep(60)
"""
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class ServerTest(parameterized.TestCase):
  def start(self, *args, **kwargs):
    learner = fakes.FakeLearner(*args, **kwargs)
    self.addCleanup(learner.close)
    return learner

  def test_start_refuses_an_address_in_use(self):
    learner = self.start()
    address = f'localhost:{learner.port}'
    with self.assertRaisesRegex(ValueError, f'cannot bind address {address}'):
      fakes.FakeLearner(address)

  @parameterized.parameters(
    (1024, 1 << 20, 4352, 4864),  # Room is made for all of them.
    (1024, 4096, 3584, 4096),  # As many as the system allows.
    (1 << 20, 1 << 20, 4352, None),
    (1024, resource.RLIM_INFINITY, 4352, 4864),
    (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4352, None),
  )
  def test_connections_fit_in_the_open_files(self, soft, hard, fit, raised):
    with mock.patch.multiple(
      resource, getrlimit=lambda _: (soft, hard), setrlimit=mock.DEFAULT
    ) as mocks:
      self.assertEqual(server_lib._allow_connections(4352), fit)
    calls = mocks['setrlimit'].call_args_list
    self.assertEqual(
      [call.args[1] for call in calls], [(raised, hard)] if raised else []
    )

  def test_a_unix_socket_serves(self):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    address = f'unix:{folder}/s'
    self.start(address)
    self.assertEqual(fakes.join_over(address).code(), grpc.StatusCode.OK)

  def test_silent_names_who_owes_a_request(self):
    learner = self.start(answer=False)
    stub = learner.stub()
    stub.Join(fakes.join_request())
    stub.Join(fakes.join_request(group=1, run_id=2))
    waiting = fakes.Stream(stub).send()
    fakes.wait_until(lambda: len(learner.server.silent(0.0)) == 1)
    learner.now = 30.0
    self.assertEqual(learner.server.silent(20.0), [('ann/1', 2, 30.0)])
    self.assertEmpty(learner.server.silent(31.0))
    self.assertEqual(learner.server.num_actors(), 1)
    waiting.call.cancel()

  def test_a_silent_actor_expires_though_nobody_else_comes(self):
    learner = self.start(lease_secs=60.0)
    learner.stub().Join(fakes.join_request())
    learner.now = 60.0
    fakes.wait_until(lambda: not learner.server.num_actors())

  def test_finish_answers_everyone_done(self):
    learner = self.start(answer=False)
    stub = learner.stub()
    stub.Join(fakes.join_request())
    stub.Join(fakes.join_request(actor='bob', run_id=2))
    waiting, late = fakes.Stream(stub).send(), fakes.Stream(stub)
    fakes.wait_until(lambda: len(learner.server.silent(0.0)) == 1)
    with futures.ThreadPoolExecutor() as pool:
      finished = pool.submit(learner.server.finish, fakes.DEADLINE_SECS)
      self.assertTrue(waiting.reply().done)
      self.assertTrue(late.reply(run_id=2).done)
      self.assertTrue(finished.result())
    self.assertTrue(stub.Join(fakes.join_request(run_id=3)).done)

  def test_finish_says_when_an_actor_was_not_told(self):
    learner = self.start()
    learner.stub().Join(fakes.join_request())
    with self.assertLogs(level='WARNING') as logs:
      self.assertFalse(learner.server.finish(0.0))
    self.assertRegex(logs.output[-1], '1 actors asked for no actions')

  def test_health_follows_the_server(self):
    learner = self.start()
    channel = grpc.insecure_channel(f'localhost:{learner.port}')
    check = health_pb2_grpc.HealthStub(channel).Check
    for service in ('', 'seed_metagrad.v1.Inference'):
      request = health_pb2.HealthCheckRequest(service=service)
      self.assertEqual(check(request).status, _SERVING)
    learner.server.finish(0.0)
    self.assertEqual(check(request).status, _NOT_SERVING)

  def test_stop_makes_waiting_actors_try_again(self):
    learner = self.start(answer=False)
    stub = learner.stub()
    stub.Join(fakes.join_request())
    waiting = fakes.Stream(stub).send()
    learner.batcher.get()
    learner.close()
    self.assertEqual(waiting.call.code(), grpc.StatusCode.UNAVAILABLE)

  def test_stop_makes_stepping_actors_try_again_at_once(self):
    learner = self.start()
    stub = learner.stub()
    stub.Join(fakes.join_request())
    stepping = fakes.Stream(stub)
    stepping.reply(sequence=0)
    learner.close()
    self.assertEqual(stepping.call.code(), grpc.StatusCode.UNAVAILABLE)

  def test_finish_tells_who_steps_at_its_next_request(self):
    learner = self.start()
    stub = learner.stub()
    stub.Join(fakes.join_request())
    stub.Join(fakes.join_request(group=1, run_id=2))
    groups = [fakes.Stream(stub) for _ in range(2)]
    for run_id, stream in enumerate(groups, 1):
      stream.reply(run_id=run_id)
    with futures.ThreadPoolExecutor() as pool:
      finished = pool.submit(learner.server.finish, fakes.DEADLINE_SECS)
      fakes.wait_until(lambda: stub.Join(fakes.join_request(run_id=9)).done)
      self.assertFalse(finished.done())
      for run_id, stream in enumerate(groups, 1):
        reply = stream.reply(run_id=run_id, sequence=1)
        self.assertTrue(reply.done)
        self.assertEqual(stream.call.code(), grpc.StatusCode.OK)
      self.assertTrue(finished.result())

  def test_a_peer_that_stands_still_loses_its_lease(self):
    learner = self.start(lease_secs=6.0)  # Of gRPC's clock: ours stands still.
    held, bob = (
      subprocess.Popen(
        [sys.executable, '-c', _PEER, str(learner.port), name], cwd=sources.ROOT
      )
      for name in ('held', 'bob')
    )
    for process in (held, bob):
      self.addCleanup(process.wait)
      self.addCleanup(process.kill)
    fakes.wait_until(lambda: len(learner.requests) == 2)
    held.send_signal(signal.SIGSTOP)
    fakes.wait_until(lambda: learner.server.num_actors() == 1)
    self.assertEqual(learner.leases.all()[0].actor, 'bob')

  @parameterized.parameters(16, 256)
  def test_256_actors_at_once_are_served(self, num_channels):
    threads = threading.active_count()
    learner = self.start(max_envs=512)
    all_wait = asyncio.Barrier(256)

    async def act(stub, run_id):
      """One actor's first step, while all others have a stream, too."""
      join = fakes.join_request(actor=f'a{run_id}', run_id=run_id)
      slots = tuple((await stub.Join(join)).env_ids)
      stream = stub.Act()
      await all_wait.wait()
      await stream.write(fakes.act_request(run_id=run_id))
      self.assertTrue((await stream.read()).actions)
      await all_wait.wait()
      return slots

    async def act_all():
      channels = [
        grpc.aio.insecure_channel(
          f'localhost:{learner.port}', (('grpc.use_local_subchannel_pool', 1),)
        )
        for _ in range(num_channels)
      ]
      stubs = [inference_pb2_grpc.InferenceStub(one) for one in channels]
      slots = await asyncio.gather(
        *[act(stubs[i % num_channels], i) for i in range(256)]
      )
      self.assertLen(set(slots), 256)
      self.assertLess(threading.active_count(), threads + 20)
      for channel in channels:
        await channel.close()

    asyncio.run(act_all())


class ConnectionsTest(absltest.TestCase):
  def test_fewer_open_files_than_actors_need_are_refused(self):
    limit = mock.patch.object(resource, 'getrlimit', return_value=(520, 520))
    with limit, mock.patch.object(resource, 'setrlimit'):
      learner = fakes.FakeLearner()
    self.addCleanup(learner.close)
    learner.server.check_connections(8)  # 520 less 512 for all else.
    with self.assertRaisesRegex(
      ValueError, r'ulimit -n.* 8 connections, and 9 actors.* make it 521'
    ):
      learner.server.check_connections(9)


if __name__ == '__main__':
  absltest.main()
