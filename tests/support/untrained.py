"""Workdirs with a checkpoint that nobody trained."""

import pathlib

from learner.storage import checkpoints
from learner.storage import workdir as workdir_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments


def make_workdir(path: pathlib.Path, env: str, **fields):
  """Makes a workdir; returns the state that its one checkpoint holds."""
  network = 'shallow' if environments.family_of(env) == 'atari' else 'mlp'
  config = config_lib.preset(
    'smoke', **dict(env=env, network=network, workdir=str(path)) | fields
  )
  state = agent_lib.make(config, environments.spec(env)).init(seed=1)
  with workdir_lib.open_workdir(path, config) as workdir:
    checkpoints.save(workdir / 'checkpoints', state, extra={}, keep=1)
  return state
