"""Acting in one process: environments, inference and unrolls in turns."""

from collections.abc import Iterator

import numpy as np

from learner.inference import unrolls
from learner.inference import worker
from seed_metagrad.environments import environment


def finished(
  env: environment.Environment, inference: worker.Inference
) -> Iterator[unrolls.Finished]:
  """Steps the environments for ever; yields the unrolls that steps end."""
  env_ids = np.arange(env.num_envs)
  reset = np.ones(env.num_envs, bool)
  env_outputs = env.reset()
  while True:
    acted = inference.act(env_ids, reset, env_outputs)
    reset = np.zeros(env.num_envs, bool)
    yield from inference.record(acted)
    env_outputs = env.step(acted.agent_outputs.action)
