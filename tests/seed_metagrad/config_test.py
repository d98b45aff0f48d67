"""Defaults and presets are possible; impossible values are refused."""

from absl.testing import absltest
from absl.testing import parameterized

from seed_metagrad import config as config_lib
from seed_metagrad import presets

_BAD = {
  'total_env_frames': (0,),
  'batch_size': (0,),
  'unroll_length': (0, -1),
  'meta_batch_size': (0, 33),
  'inner_updates': (0,),
  'num_actors': (0,),
  'envs_per_group': (0,),
  'queue_unrolls': (0,),
  'checkpoints_kept': (0,),
  'embedding_size': (0,),
  'env_threads': (0,),
  'max_skipped_updates': (0,),
  'learning_rate': (-1e-9, float('nan')),
  'meta_learning_rate': (-1.0,),
  'baseline_cost': (-1.0,),
  'entropy_cost': (-1.0,),
  'rho_bar': (-1.0,),
  'c_bar': (-1.0,),
  'rho_pg': (-1.0,),
  'outer_rho_pg': (-1.0,),
  'max_abs_reward': (-1.0,),
  'reward_scale': (0.0,),
  'max_gradient_norm': (-1.0,),
  'inference_timeout_ms': (-1.0,),
  'checkpoint_secs': (0.0,),
  'metrics_secs': (0.0,),
  'lease_secs': (0.0,),
  'rms_epsilon': (0.0,),
  'rms_decay': (1.1,),
  'sticky_actions': (1.1, -0.1),
  'discount': (-0.1, 1.1, float('nan')),
  'max_discount': (-0.1, 1.1),
  'lambda_': (-0.1, 1.1),
  'reference_discount': (1.1,),
  'reference_lambda': (-0.1,),
  'trace_decay': (-0.1, 1.1),
  'policy_target': ('q',),
  'learned': (('gamma',), ('discount', 'discount')),
  'inference_min_envs': (0, 257),
  'seed': (-1,),
}


class ConfigTest(parameterized.TestCase):
  @parameterized.parameters(sorted(presets.PRESETS))
  def test_presets_are_possible(self, name):
    config_lib.check(config_lib.preset(name))

  def test_paper_is_the_defaults(self):
    self.assertEqual(config_lib.preset('paper'), config_lib.Config())

  def test_snake_learns_from_an_unroll_of_each_environment(self):
    config = config_lib.preset('snake')
    self.assertEqual(2 * config.num_actors * config.envs_per_group, 512)
    self.assertEqual((config.batch_size, config.meta_batch_size), (512, 512))
    self.assertTrue(config.lockstep)

  @parameterized.parameters(
    dict(outer='actor_critic'),
    dict(outer='bootstrap'),
    dict(inner_updates=2),
    dict(eta='meta_network'),
  )
  def test_a_fresh_sample_judges_one_update_of_numbers(self, **fields):
    self.assertEqual(config_lib.preset('snake').meta_sample, 'fresh')
    with self.assertRaisesRegex(ValueError, "^meta_sample must be .*'fresh'"):
      config_lib.preset('snake', **fields)

  def test_overrides_win_over_the_preset(self):
    self.assertEqual(config_lib.preset('smoke', env='pong').env, 'pong')

  def test_what_can_be_learned_starts_inside_its_bounds(self):
    for name, bounds in config_lib.bounds(config_lib.Config()).items():
      value = getattr(config_lib.Config(), name)
      self.assertTrue(bounds.low < value <= bounds.high, name)

  @parameterized.parameters(
    *((name, value) for name, values in _BAD.items() for value in values)
  )
  def test_impossible_value_is_named(self, name, value):
    with self.assertRaisesRegex(ValueError, f'^{name} must be .*, got '):
      config_lib.preset('paper', **{name: value})

  @parameterized.parameters(
    ('lambda_', 0.0), ('entropy_cost', 0.0), ('baseline_cost', 0.6)
  )
  def test_a_learned_value_starts_inside_its_bounds(self, name, value):
    config_lib.preset('local', learned=(), **{name: value})
    with self.assertRaisesRegex(ValueError, f'^{name} must be .*, got {value}'):
      config_lib.preset('local', learned=(name,), **{name: value})

  @parameterized.parameters((()), ('lambda_',), ('discount', 'entropy_cost'))
  def test_any_hypers_can_be_learned(self, *learned):
    self.assertEqual(
      config_lib.preset('paper', learned=learned).learned, learned
    )

  def test_unknown_preset_is_named(self):
    with self.assertRaisesRegex(ValueError, "'smoke'.*got 'fast'"):
      config_lib.preset('fast')


if __name__ == '__main__':
  absltest.main()
