"""Tests of benchmarks/serving.py: a short look at a small load."""

from absl.testing import absltest
from absl.testing import parameterized

from benchmarks import measurement
from benchmarks import serving
from benchmarks import synthetic_actors
from seed_metagrad import types

_SPEC = types.EnvSpec((84, 84), 'uint8', num_actions=6, frame_stack=4)
_OPTIONS = measurement.Options(
  env='pong', networks=(), repeats=1, secs=0.2, figure=''
)


class ServingTest(parameterized.TestCase):
  def test_a_load_is_measured_from_both_ends(self):
    rate, messages, cpu, actors_cpu, p50, p99 = serving.measure(
      _OPTIONS, _SPEC, synthetic_actors.Load(num_actors=2, num_envs=3)
    )
    self.assertEqual(rate.name, 'serve.env_steps_per_s')
    self.assertAlmostEqual(rate.value, 3 * messages.value)
    self.assertGreater(messages.value, 0)
    self.assertGreater(cpu.value, 0)
    self.assertGreaterEqual(actors_cpu.value, 0)
    self.assertLessEqual(p50.value, p99.value)
    self.assertEqual(
      rate.settings, {'actors': 2, 'envs_per_request': 3, 'load': 'full'}
    )

  @parameterized.parameters('exchange', 'exchange_unary')
  def test_the_exchange_alone_is_measured_with_the_same_actors(self, what):
    load = synthetic_actors.Load(num_actors=2, num_envs=3)
    results = {
      result.name: result
      for result in serving.measure(_OPTIONS, _SPEC, load, what)
    }
    self.assertGreater(results[f'{what}.env_steps_per_s'].value, 0)
    self.assertEqual(
      results[f'{what}.env_steps_per_s'].settings['envs_per_request'], 3
    )

  @parameterized.parameters((1, 7_300), (64, 7_100))
  def test_an_atari_step_takes_little_more_than_its_frame(self, envs, limit):
    result = serving.bytes_per_env_step(_SPEC, envs)
    self.assertBetween(result.value, 84 * 84 + 5, limit)


if __name__ == '__main__':
  absltest.main()
