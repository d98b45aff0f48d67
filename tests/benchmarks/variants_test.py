"""Tests of benchmarks/variants.py: two variants on a small network."""

from unittest import mock

from absl.testing import absltest

from benchmarks import measurement
from benchmarks import variants
from seed_metagrad import config as config_lib


class VariantsTest(absltest.TestCase):
  def test_a_ratio_to_plain_for_each(self):
    few = {name: variants._VARIANTS[name] for name in ('plain', 'mgrl')}
    options = measurement.Options(
      env='catch', networks=('mlp',), repeats=3, secs=1.0, figure=''
    )
    with (
      mock.patch.object(variants, '_VARIANTS', few),
      mock.patch.object(variants.computations, 'pin_threads'),
    ):
      _, plain, mgrl = variants.variants(options)
    self.assertEqual(plain.name, 'variants.plain_per_plain')
    self.assertEqual(plain.value, 1.0)
    self.assertEqual(mgrl.name, 'variants.mgrl_per_plain')
    self.assertGreater(mgrl.value, 0.0)

  def test_the_gauges_cost_what_a_look_takes_beyond_an_update(self):
    now = 0.0

    def call(network, fields, spec, num_updates=1):
      del network, fields, spec

      def advance():
        nonlocal now
        now += 2.0 if num_updates else 34.0

      return advance

    options = measurement.Options(
      env='catch', networks=('mlp',), repeats=3, secs=1.0, figure=''
    )
    with (
      mock.patch.object(variants, '_call', call),
      mock.patch.object(variants.time, 'monotonic', lambda: now),
      mock.patch.object(variants.computations, 'pin_threads'),
    ):
      gauges = next(variants.variants(options))
    self.assertEqual(gauges.name, 'variants.share_of_the_gauges')
    self.assertEqual(gauges.value, 0.25)  # 16 of 64 updates.

  def test_stacx_has_18_meta_parameters(self):
    # 6 of each of 3 heads (Zahavy et al. 2020).
    config = config_lib.preset('paper', **variants._STACX)
    self.assertEqual(len(config.learned) * (1 + config.auxiliary_heads), 18)


if __name__ == '__main__':
  absltest.main()
