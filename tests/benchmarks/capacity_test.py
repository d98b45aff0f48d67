"""Predictions against hand arithmetic."""

from absl.testing import absltest

from benchmarks import capacity
from benchmarks import costs as costs_lib

# An actor does 1 / 1000 us = 1,000 env steps/s a core.
_COSTS = costs_lib.Costs(
  env_us=900.0,
  wire_us=100.0,
  serve_us=50.0,
  act_us=200.0,
  learn_us=800.0,
  bytes=7000.0,
)


class CapacityTest(absltest.TestCase):
  def test_parts_share_the_cores_of_one_machine(self):
    # 2 cores / 2,050 us.
    self.assertAlmostEqual(capacity.shared_rate(_COSTS, 2), 975.6, places=1)

  def test_limits_of_a_site_with_a_device(self):
    site = capacity.Site(
      'a', actor_cores=30, learners=2, device_cores=10, gbit_per_s=1
    )
    found = capacity.limits(_COSTS, site)
    self.assertEqual(found['actors'], 30_000)
    self.assertEqual(found['serving'], 40_000)  # 2 / 50 us.
    self.assertEqual(found['device'], 20_000)  # 2 x 10 / 1,000 us.
    # .7 x 2 x 125 MB/s / 7,000 B.
    self.assertAlmostEqual(found['network'], 25_000)
    # 20,000 env steps/s take 20 cores of actors.
    self.assertAlmostEqual(capacity.actor_cores_wanted(_COSTS, site), 20)
    row = capacity.table(_COSTS, [site]).splitlines()[-1]
    self.assertStartsWith(row, '| a | 80,000 | device | 20 | actors 120,000,')

  def test_without_a_device_the_learner_computes_and_serves(self):
    site = capacity.Site('a', actor_cores=1, learner_cores=21)
    # 21 / (50 + 200 + 800) us.
    self.assertAlmostEqual(
      capacity.limits(_COSTS, site)['learner cores'], 20_000
    )

  def test_actors_saturate_first_where_there_are_few(self):
    row = capacity.table(
      _COSTS, [capacity.Site('a', actor_cores=2, device_cores=100)]
    )
    self.assertIn('| a | 8,000 | actors | 20 |', row)


if __name__ == '__main__':
  absltest.main()
