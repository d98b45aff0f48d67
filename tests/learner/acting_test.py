"""Tests of learner/acting.py: which unrolls end together."""

import contextlib

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from learner import acting
from learner.inference import parameter_store
from learner.storage import run_state
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments

_ENVS, _STEPS = 4, 3


class ActingTest(parameterized.TestCase):
  @parameterized.parameters(
    (_ENVS, [0, 0, 0, 4, 0, 0, 4]),  # One batch.
    (1, [0, 0, 0, 2, 1, 1, 2]),  # Environments 0 and 3, 1, 2, 0 and 3.
  )
  def test_unrolls_end_together_where_they_are_one_batch(self, batch, ended):
    config = config_lib.preset(
      'smoke',
      learned=(),
      envs_per_group=_ENVS,
      batch_size=batch,
      meta_batch_size=1,
      unroll_length=_STEPS,
    )
    spec = environments.spec(config.env)
    agent = agent_lib.make(config, spec)
    pipeline = acting.make(
      config,
      spec,
      agent,
      parameter_store.ParameterStore(parameter_store.published(agent.init(1))),
      1,
      run_state.Acting(0),
    )
    envs = self.enterContext(
      contextlib.closing(environments.make(config.env, _ENVS, seed=1))
    )
    env_ids, step = np.arange(_ENVS, dtype=np.int32), envs.reset()
    counts = []
    for t in range(len(ended)):
      acted = pipeline.inference.act(env_ids, np.full(_ENVS, t == 0), step)
      counts.append(len(pipeline.inference.record(acted)))
      step = envs.step(acted.agent_outputs.action)
    self.assertEqual(counts, ended)


if __name__ == '__main__':
  absltest.main()
