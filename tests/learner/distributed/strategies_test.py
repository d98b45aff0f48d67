"""Replicas make the step that one device makes."""

import os
import types
from unittest import mock

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from learner.distributed import strategies
from tests.support import replicas

pytestmark = pytest.mark.integration


class StrategiesTest(parameterized.TestCase):
  @pytest.mark.timeout(300)
  def test_replicas_make_the_step_of_one_device(self):
    one, *others = replicas.run('plain', 'meta', 'trace', 'fresh').values()
    for other in others:
      for case, parts in one.items():
        for part, vector in parts.items():
          np.testing.assert_allclose(
            other[case][part],
            vector,
            rtol=0.0,
            atol=1e-5 * np.abs(vector).max(),
            err_msg=f'{case}: {part}',
          )

  def test_auto_is_one_device_without_gpus(self):
    self.assertIsNone(strategies.make(replicas.config('auto')))
    self.assertIsNone(strategies.make(replicas.config('one')))

  @parameterized.parameters(
    (dict(batch_size=5), 'batch_size must divide by the 2 replicas, got 5'),
    (dict(meta_batch_size=1), 'meta_batch_size must divide by the 2 replica'),
    (dict(xla=True), 'xla must be off on 2 replicas'),
  )
  def test_replicas_are_refused_what_they_cannot_share(self, fields, text):
    # A real one would have to come before all else that uses TensorFlow.
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    with mock.patch.dict(strategies._MAKE, mirrored=lambda: two):
      with self.assertRaisesRegex(ValueError, text):
        strategies.make(replicas.config('mirrored', **fields))

  @parameterized.parameters('{}', '{"cluster": {"ps": ["localhost:1"]}}')
  def test_several_hosts_must_be_listed(self, tf_config):
    with mock.patch.dict(os.environ, TF_CONFIG=tf_config):
      with self.assertRaisesRegex(ValueError, 'needs TF_CONFIG to list the ho'):
        strategies.make(replicas.config('multi_worker'))


if __name__ == '__main__':
  absltest.main()
