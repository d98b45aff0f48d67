"""Tests of learner/serving/connections.py, over real gRPC and sockets."""

import contextlib
import socket
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc

from actors import client
from learner.serving import connections as connections_lib
from learner.serving import server as server_lib
from tests.support import fakes

_TOKEN = 'a token of 16 letters'
_METADATA = (('authorization', f'Bearer {_TOKEN}'),)
_REFUSED = grpc.StatusCode.UNAUTHENTICATED


class ParseTest(parameterized.TestCase):
  @parameterized.parameters(
    ('ipv4:192.0.2.1:5000', ('192.0.2.1', 5000)),
    ('ipv6:%5B2001:db8::1%5D:5000', ('2001:db8::1', 5000)),
    ('ipv6:%5B2001:DB8:0::1%5D:5000', ('2001:db8::1', 5000)),
    ('ipv6:%5Bfe80::1%25eth0%5D:5000', ('fe80::1', 5000)),
    ('ipv6:%5B::ffff:192.0.2.1%5D:5000', ('192.0.2.1', 5000)),
    ('unix:', ('', 0)),
    ('unix:/tmp/a:5', ('', 0)),
  )
  def test_parse_reads_what_grpc_calls_a_peer(self, peer, expected):
    self.assertEqual(connections_lib.parse(peer), expected)


class ConnectionsTest(absltest.TestCase):
  """Looks by hand at the connections to a plain socket."""

  def setUp(self):
    super().setUp()
    self.now = 0.0
    self.stack = self.enterContext(contextlib.ExitStack())
    self.server = self.stack.enter_context(
      socket.create_server(('127.0.0.1', 0), backlog=200)
    )
    self.port = self.server.getsockname()[1]
    self.connections = self.make(room=1000)

  def make(self, room):
    return connections_lib.Connections(self.port, room, lambda: self.now)

  def connect(self, count=1):
    """Returns the server's ends, and the clients' names in gRPC's words."""
    ends, names = [], []
    for _ in range(count):
      client = socket.create_connection(('127.0.0.1', self.port))
      names.append(f'ipv4:127.0.0.1:{client.getsockname()[1]}')
      ends.append(self.server.accept()[0])
      for end in (client, ends[-1]):
        self.stack.enter_context(end)
    return ends, names

  def test_look_counts_connections_to_the_port_alone(self):
    with socket.create_server(('127.0.0.1', 0)) as other:
      with socket.create_connection(other.getsockname()):
        self.assertEqual(self.connections.look([])[:2], (0, {}))
        self.connect(3)
        self.assertEqual(self.connections.look([])[:2], (3, {}))

  def test_strangers_are_closed_after_their_time(self):
    (stranger, _), (_, known) = self.connect(2)
    self.assertEqual(self.connections.look([known])[:2], (2, {}))
    self.now = 19.9
    self.assertEqual(self.connections.look([])[:2], (2, {}))
    self.now = 20.0
    self.assertEqual(self.connections.look([])[:2], (1, {'127.0.0.1': 1}))
    self.assertEqual(stranger.recv(1), b'')  # As if its peer had hung up.
    self.assertEqual(self.connections.look([])[:2], (1, {}))  # Counted once.

  def test_who_was_admitted_is_left_alone_for_ever(self):
    _, names = self.connect()
    self.connections.look(names)
    self.now = 1e6
    self.assertEqual(self.connections.look([])[:2], (1, {}))

  def test_one_host_is_bounded_where_room_is_short(self):
    _, names = self.connect(100)
    self.assertEqual(self.make(room=200).look([])[:2], (100, {}))
    look = self.make(room=199).look(names[:10])
    self.assertEqual(look[:2], (74, {'127.0.0.1': 26}))

  def test_a_port_that_comes_again_is_no_friend(self):
    (end,), (known,) = self.connect()
    self.connections.look([known])
    end.close()
    self.assertEqual(
      self.connections.look([]), (0, {}, {connections_lib.parse(known)})
    )
    self.assertEmpty(self.connections.look([]).gone)

  def test_who_called_and_is_gone_before_a_look_is_known(self):
    (end,), (known,) = self.connect()
    end.close()
    look = self.connections.look([known, 'unix:'])
    self.assertEqual(look.gone, {connections_lib.parse(known)})

  def test_without_a_proc_nothing_is_counted(self):
    _, (known,) = self.connect()
    with mock.patch.object(connections_lib, '_FILES', '/nonexistent'):
      self.assertEqual(self.connections.look([known]), (0, {}, set()))
    self.assertEmpty(self.connections._admitted)


class CrowdTest(absltest.TestCase):
  def test_an_actor_joins_though_strangers_took_all_connections(self):
    learner = fakes.FakeLearner(token=_TOKEN)
    self.addCleanup(learner.close)
    address = ('localhost', learner.port)
    for _ in range(2 * learner.server._max_connections):
      self.enterContext(socket.create_connection(address))
    fakes.wait_until(lambda: learner.server.closed_connections)
    actor = fakes.Client(f'localhost:{learner.port}', token=_TOKEN)
    self.addCleanup(actor.close)
    self.assertEqual(actor.join(), b'')


class LostTest(absltest.TestCase):
  def test_a_lost_connection_frees_the_slots_and_its_actor_joins_again(self):
    learner = fakes.FakeLearner()
    self.addCleanup(learner.close)
    actor = fakes.Client(f'localhost:{learner.port}')
    self.addCleanup(actor.close)
    for _ in range(3):
      actor.join()
      actor.send(fakes.outputs(2))
      actor.receive()
      looking = connections_lib.Connections(learner.port, 1000)
      looking.look([])
      connections_lib._close(set(looking._seen))
      fakes.wait_until(lambda: not learner.server.num_actors())
      actor.send(fakes.outputs(2))
      with self.assertRaises(client.Lost):
        actor.receive()
    self.assertEqual(
      [request.reset for request in learner.requests], [True] * 3
    )


class ServedTest(absltest.TestCase):
  """Looks of a server's own, quicker."""

  def setUp(self):
    super().setUp()
    self.enterContext(mock.patch.object(server_lib, '_WATCH_SECS', 0.05))
    self.enterContext(mock.patch.object(connections_lib, '_STRANGER_SECS', 0.3))
    self.learner = fakes.FakeLearner(token=_TOKEN)
    self.addCleanup(self.learner.close)

  def closed(self, count):
    fakes.wait_until(lambda: self.learner.server.closed_connections == count)

  def test_strangers_are_hung_up_on_and_counted(self):
    address = ('localhost', self.learner.port)
    strangers = [socket.create_connection(address) for _ in range(50)]
    with self.assertLogs(level='WARNING') as logs:
      self.closed(50)
    self.assertRegex(logs.output[0], r'Closed \d+ connections of (::1|127.0)')
    for stranger in strangers:
      with stranger:
        stranger.settimeout(fakes.DEADLINE_SECS)
        while stranger.recv(4096):
          pass
    fakes.wait_until(lambda: not self.learner.server.open_connections)

  def test_a_call_without_the_token_does_not_help(self):
    stub = self.learner.stub()
    call = stub.Join.future(fakes.join_request())
    self.assertEqual(call.code(), _REFUSED)
    self.closed(1)

  def test_an_actor_that_steps_for_long_keeps_its_connection(self):
    stub = self.learner.stub()
    stub.Join(fakes.join_request(), metadata=_METADATA)
    with socket.create_connection(('localhost', self.learner.port)):
      self.closed(1)  # The stranger's: the actor's would have been, too.
    self.assertEqual(self.learner.server.open_connections, 1)
    fakes.Stream(stub, metadata=_METADATA).reply(sequence=0)

  def test_who_watches_the_health_keeps_its_connection(self):
    channel = grpc.insecure_channel(f'localhost:{self.learner.port}')
    watch = health_pb2_grpc.HealthStub(channel).Watch(
      health_pb2.HealthCheckRequest(), metadata=_METADATA
    )
    next(watch)
    with socket.create_connection(('localhost', self.learner.port)):
      self.closed(1)
    self.learner.server.finish(0.0)
    next(watch)  # Not serving, by the same connection.
    watch.cancel()


if __name__ == '__main__':
  absltest.main()
