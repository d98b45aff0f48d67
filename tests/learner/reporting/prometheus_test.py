"""Tests of learner/reporting/prometheus.py."""

import socket
import types
from urllib import request

from absl.testing import absltest
from prometheus_client import parser

from learner.reporting import prometheus as monitor
from tests.support import fakes

_LEARNER = types.SimpleNamespace(
  env_frames=640,
  num_updates=4,
  queue_size=3,
  statistics=types.SimpleNamespace(
    skipped_updates=1, episodes=30, policy_lag=1.5
  ),
)


class MonitorTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.actors = fakes.FakeLearner()
    self.addCleanup(self.actors.close)

  def numbers(self, port):
    with request.urlopen(f'http://127.0.0.1:{port}/metrics') as page:
      text = page.read().decode()
    return {
      sample.name.removeprefix('seed_metagrad_'): sample.value
      for family in parser.text_string_to_metric_families(text)
      for sample in family.samples
    }

  def test_page_has_the_numbers_of_now(self):
    stub = self.actors.stub()
    for run_id, actor in enumerate(('ann', 'bob'), 1):
      stub.Join(fakes.join_request(actor=actor, run_id=run_id))
    fakes.wait_until(lambda: self.actors.server.open_connections)
    with monitor.serve(0, _LEARNER, self.actors.server) as port:
      self.assertEqual(
        self.numbers(port),
        {
          'env_frames_total': 640,
          'updates_total': 4,
          'skipped_updates_total': 1,
          'episodes_total': 30,
          'closed_connections_total': 0,
          'policy_lag': 1.5,
          'queue': 3,
          'connections': 1,
          'actors': 2,
          'silent_groups': 0,
        },
      )
      self.actors.now = 11.0
      self.assertEqual(self.numbers(port)['silent_groups'], 2)

  def test_port_in_use_is_an_error(self):
    with socket.create_server(('127.0.0.1', 0)) as taken:
      port = taken.getsockname()[1]
      with self.assertRaisesRegex(
        OSError, f'cannot bind metrics_port {port}: .*in use'
      ):
        with monitor.serve(port, _LEARNER, self.actors.server):
          pass


if __name__ == '__main__':
  absltest.main()
