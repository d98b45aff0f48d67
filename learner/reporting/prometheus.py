"""Prometheus endpoint: http://127.0.0.1:<port>/metrics."""

from collections.abc import Iterator
import contextlib

import prometheus_client
from prometheus_client import core
from prometheus_client import registry

from learner import learner as learner_lib
from learner.serving import server as server_lib

_SILENT_SECS = 10.0


class _Numbers(registry.Collector):
  """The metrics, read when they are scraped."""

  def __init__(self, learner: learner_lib.Learner, server: server_lib.Server):
    self._learner = learner
    self._server = server

  def collect(self) -> Iterator[core.Metric]:
    learner, server = self._learner, self._server
    counters: dict[str, tuple[str, int]] = {
      'env_frames': ('Frames trained on.', learner.env_frames),
      'updates': ('Updates made.', learner.num_updates),
      'skipped_updates': (
        'Updates that were not finite.',
        learner.statistics.skipped_updates,
      ),
      'episodes': ('Episodes that ended.', learner.statistics.episodes),
      'closed_connections': (
        'Connections closed that made no admitted call.',
        server.closed_connections,
      ),
    }
    gauges: dict[str, tuple[str, float]] = {
      'policy_lag': (
        'Updates from the start of an unroll to its training, mean.',
        learner.statistics.policy_lag,
      ),
      'queue': ('Finished unrolls that wait.', learner.queue_size),
      'connections': ('Connections to the server.', server.open_connections),
      'actors': ('Actors that hold a lease.', server.num_actors()),
      'silent_groups': (
        f'Groups of environments that were silent for {_SILENT_SECS:g} s.',
        len(server.silent(_SILENT_SECS)),
      ),
    }
    for name, (text, count) in counters.items():
      yield core.CounterMetricFamily(f'seed_metagrad_{name}', text, count)
    for name, (text, value) in gauges.items():
      yield core.GaugeMetricFamily(f'seed_metagrad_{name}', text, value)


@contextlib.contextmanager
def serve(
  port: int, learner: learner_lib.Learner, server: server_lib.Server
) -> Iterator[int]:
  """Serves the endpoint to this machine, in a block; yields the port.

  Raises:
    OSError: cannot bind the port.
  """
  numbers = registry.CollectorRegistry()
  numbers.register(_Numbers(learner, server))
  try:
    page, thread = prometheus_client.start_http_server(
      port, '127.0.0.1', numbers
    )
  except OSError as error:
    raise OSError(f'cannot bind metrics_port {port}: {error}') from error
  try:
    yield page.server_port
  finally:
    page.shutdown()
    page.server_close()
    thread.join()
