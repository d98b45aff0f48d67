"""What a core has is kept by environment, and where an unroll starts."""

import contextlib
import itertools

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from learner.inference import parameter_store
from learner.inference import serial
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments

_ENVS, _UNITS = 3, 8


class RecurrentTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    spec = environments.spec('recall')
    config = config_lib.preset(
      'smoke',
      env='recall',
      core='lstm',
      core_units=_UNITS,
      learned=(),
      unroll_length=5,  # An episode has 12 steps.
    )
    self.agent = agent_lib.make(config, spec)
    self.state = self.agent.init(1)
    self.inference = worker.Inference(
      self.agent.act,
      spec,
      parameter_store.ParameterStore(parameter_store.published(self.state)),
      unrolls_lib.UnrollStore(5, spec, self.agent.initial_state(0)),
      seed=1,
      initial_state=self.agent.initial_state,
    )

  def unrolls(self, num):
    env = self.enterContext(
      contextlib.closing(environments.make('recall', _ENVS, seed=1))
    )
    finished = serial.finished(env, self.inference)
    return [one.unroll for one in itertools.islice(finished, num)]

  def test_an_unroll_gives_the_values_that_were_acted_with(self):
    unrolls = self.unrolls(8 * _ENVS)
    inside = [u for u in unrolls if not u.env_outputs.terminated[0]]
    self.assertGreater(len(inside), 6 * _ENVS)
    for unroll in unrolls:
      self.assertEqual(unroll.core_state.lstm.shape, (1, 2 * _UNITS))
      self.assertEqual(unroll.core_state.action.shape, (1,))
    self.assertTrue(all(u.core_state.lstm.any() for u in inside[_ENVS:]))
    batch = unrolls_lib.batch(unrolls)
    outputs = self.agent.rules.forward(
      self.state.params, tf.nest.map_structure(tf.constant, batch), None
    )
    np.testing.assert_allclose(
      outputs.baseline, batch.agent_outputs.baseline, atol=1e-5
    )

  def test_a_checkpoint_has_it(self):
    unrolls = self.unrolls(_ENVS)
    finished = [unrolls_lib.Finished(unroll, 7) for unroll in unrolls]
    again = unrolls_lib.from_arrays(unrolls_lib.to_arrays(finished))
    tf.nest.map_structure(np.testing.assert_array_equal, finished, again)
    saved = self.inference.save_environments()
    self.inference.restore_environments(saved)
    for before, after in zip(
      saved.arrays, self.inference.save_environments().arrays, strict=True
    ):
      np.testing.assert_array_equal(before, after)
    self.assertTrue(saved.arrays[0].any())


if __name__ == '__main__':
  absltest.main()
