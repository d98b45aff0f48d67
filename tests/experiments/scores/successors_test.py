"""Published scores go to the configs that they are of."""

from absl.testing import absltest
from absl.testing import parameterized

from experiments.scores import successors
from seed_metagrad import config as config_lib


class SuccessorsTest(parameterized.TestCase):
  @parameterized.parameters(
    (dict(learned=()), 'A2C, discount .8', 9.5),
    (dict(outer_critic='none'), 'MG', 10.2),
    (dict(outer_critic='network'), 'MG + outer critic', 14.9),
    (dict(outer='bootstrap', outer_critic='none'), 'BMG', 9.0),
    (dict(outer='bootstrap', outer_critic='head'), 'BMG + outer critic', 12.4),
  )
  def test_variants_of_snake(self, fields, variant, mean):
    fields = {'learned': ('discount',), 'meta_sample': 'later', **fields}
    config = config_lib.preset('snake', **fields)
    self.assertEqual(successors.variant(config), variant)
    first = next(
      point
      for point in successors.published('snake')
      if point.variant == variant
    )
    self.assertEqual((first.env_frames, first.mean), (15_000_000, mean))

  @parameterized.parameters(
    (dict(outer_critic='conditioned', conditioning=True),),
    (dict(discount=0.9),),
    (dict(learned=('discount', 'lambda_')),),
    (dict(replay_eta='runs/snake'),),
    (dict(trace_decay=0.9),),
  )
  def test_what_nobody_published_of_snake(self, fields):
    fields = {'learned': ('discount',), 'discount': 0.8, **fields}
    config = config_lib.preset('snake', **fields)
    self.assertIsNone(successors.variant(config))

  def test_minatar(self):
    config = config_lib.preset(
      'minatar', env='minatar:seaquest', learned=(), lambda_=0.0
    )
    variant = successors.variant(config)
    found = {
      point.variant: point.mean
      for point in successors.published('minatar:seaquest')
    }
    self.assertEqual(found[variant], 7.5)
    self.assertLen(found, 2)

  @parameterized.parameters(
    (dict(discount=0.9),), (dict(lambda_=0.5),), (dict(learned=('lambda_',)),)
  )
  def test_what_nobody_published_of_minatar(self, fields):
    config = config_lib.preset('minatar', **{'learned': (), **fields})
    self.assertIsNone(successors.variant(config))

  def test_nothing_is_known_of_others(self):
    for game in ('pong', 'minatar:tetris', 'catch'):
      self.assertEmpty(successors.published(game))
    self.assertIsNone(successors.variant(config_lib.preset('local')))


if __name__ == '__main__':
  absltest.main()
