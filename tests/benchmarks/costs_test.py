"""What is counted, and that every part can be measured."""

import time

from absl.testing import absltest
import pytest

from benchmarks import costs as costs_lib
from seed_metagrad import config as config_lib

pytestmark = pytest.mark.integration


class CostsTest(absltest.TestCase):
  def test_cpu_time_is_counted_and_waiting_is_not(self):
    def wait():
      time.sleep(0.01)
      return 1

    def work():
      end = time.process_time() + 0.01
      while time.process_time() < end:
        pass
      return 10

    self.assertLess(costs_lib.cpu_us_per_env_step(wait, 0.05), 2000.0)
    # 10 ms of work for 10 env steps.
    self.assertBetween(
      costs_lib.cpu_us_per_env_step(work, 0.05), 1000.0, 1500.0
    )

  def test_every_part_of_a_small_config_costs_something(self):
    config = config_lib.preset(
      'smoke', num_actors=1, envs_per_group=2, batch_size=2, meta_batch_size=1
    )
    costs = costs_lib.measure(config, 0.3, act_envs=2)
    self.assertGreater(min(costs._replace(serve_us=1.0)), 0.0)
    self.assertAlmostEqual(costs.total_us, sum(costs) - costs.bytes, places=3)
    self.assertIn('| learn | ', costs.text())


if __name__ == '__main__':
  absltest.main()
