"""A trained agent out of its run: model.safetensors and config.json.

The file has the parameters by name, the meta-parameters' logits and, as its
metadata, the counts of frames and updates: what acting needs, nothing of the
optimizer. `read` takes such a folder, a checkpoint or a workdir.
"""

import dataclasses
import os
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from learner import extras
from learner.storage import checkpoints
from learner.storage import files
from learner.storage import workdir as workdir_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types

MODEL = 'model.safetensors'
_CRITIC = 'outer_critic/'
_COUNTS = ('num_updates', 'env_frames')


class Model(NamedTuple):
  """A trained agent and where it is from."""

  folder: pathlib.Path  # The workdir, or the exported folder.
  config: config_lib.Config
  spec: types.EnvSpec
  agent: agent_lib.Agent
  state: types.LearnerState  # Tensors; exported: a fresh optimizer.


def write(folder: pathlib.Path, model: Model) -> None:
  """Writes model.safetensors and config.json, without this machine's paths.

  Raises:
    ValueError: the extra `hub` is not installed.
  """
  with extras.needed('hub'):
    from safetensors import numpy as safetensors
  config, state = model.config, model.state
  contents = safetensors.save(
    _arrays(model.agent, state),
    {name: str(int(getattr(state, name))) for name in _COUNTS},
  )
  files.write_atomic(folder / MODEL, contents)
  config = dataclasses.replace(
    config,
    workdir=config_lib.Config.workdir,
    init_from=pathlib.Path(config.init_from).name,
  )
  workdir_lib.write_config(folder, config)


def read(path: str | os.PathLike[str], env: str = '') -> Model:
  """Reads an exported folder, a checkpoint, or the newest one of a workdir.

  path: the folder; the .npz file in its workdir; or the workdir.
  env: what it must have been trained on, if given.

  Raises:
    FileNotFoundError: no checkpoint, or none in a workdir.
    ValueError: the file is damaged, does not fit `env` or the config beside it,
      or holds what is not finite; or the extra `hub` is missing.
  """
  path = _find(pathlib.Path(path))
  folder = path.parent if path.name == MODEL else path.parent.parent
  try:
    config = workdir_lib.read_config(folder)
  except FileNotFoundError as error:
    raise FileNotFoundError(
      f'{path} is in no workdir: {error.filename} is missing.'
    ) from None
  if env and env != config.env:
    raise ValueError(f'{path} was trained on {config.env!r}, not on {env!r}.')
  spec = environments.spec(config.env, config.env_settings())
  agent = agent_lib.make(config, spec)
  template = agent.init(seed=0)
  if path.name == MODEL:
    state = _from_safetensors(path, agent, template)
  else:
    try:
      state, _ = checkpoints.load(path, template)
    except checkpoints.DamagedError as error:
      raise ValueError(str(error)) from None
  for array in tf.nest.flatten((state.params, state.eta)):
    if not np.isfinite(array).all():
      raise ValueError(
        f'{path} has parameters that are not finite: its training diverged.'
      )
  state = tf.nest.map_structure(tf.constant, state)
  return Model(folder, config, spec, agent, state)


def with_params_of(
  path: str | os.PathLike[str],
  agent: agent_lib.Agent,
  state: types.LearnerState,
) -> types.LearnerState:
  """A fresh state of training with the parameters that `read` finds.

  Raises:
    FileNotFoundError, ValueError: as `read`; or the parameters do not fit.
  """
  model = read(path)
  ours = _params(agent, state)
  theirs = _params(model.agent, model.state)
  # A critic that only the meta-objective sees is taken where both have it.
  critics = {
    name for name in ours.keys() ^ theirs.keys() if name.startswith(_CRITIC)
  }
  checkpoints.check(path, _without(theirs, critics), _without(ours, critics))
  params = [tf.constant(theirs.get(name, ours[name])) for name in ours]
  return state._replace(params=tf.nest.pack_sequence_as(state.params, params))


def _without(
  arrays: dict[str, np.ndarray], names: set[str]
) -> dict[str, np.ndarray]:
  return {name: array for name, array in arrays.items() if name not in names}


def _find(path: pathlib.Path) -> pathlib.Path:
  if path.is_file():
    return path.resolve()
  if not path.is_dir():
    raise FileNotFoundError(f'no checkpoint {path}.')
  if (path / MODEL).exists():
    return (path / MODEL).resolve()
  found = checkpoints.paths(path / 'checkpoints')
  if not found:
    raise FileNotFoundError(f'{path} holds no checkpoint.')
  return found[0].resolve()


def _params(
  agent: agent_lib.Agent, state: types.LearnerState
) -> dict[str, np.ndarray]:
  """The parameters."""
  names = tf.nest.flatten(agent.parameter_names)
  params = [np.asarray(param) for param in tf.nest.flatten(state.params)]
  return dict(zip(names, params, strict=True))


def _arrays(
  agent: agent_lib.Agent, state: types.LearnerState
) -> dict[str, np.ndarray]:
  """What acting needs: parameters, logits of eta, context of a meta-network."""
  return {
    **_params(agent, state),
    **checkpoints.flatten(state.eta, 'eta'),
    **checkpoints.flatten(state.context, 'context'),
  }


def _from_safetensors(
  path: pathlib.Path, agent: agent_lib.Agent, template: types.LearnerState
) -> types.LearnerState:
  """A state like `template`, with what acting needs from the file."""
  with extras.needed('hub'):
    import safetensors
  try:
    with safetensors.safe_open(path, 'np') as file:
      arrays = {name: file.get_tensor(name) for name in file.keys()}
      counts = {
        name: tf.constant(int(file.metadata()[name]), tf.int64)
        for name in _COUNTS
      }
  except (safetensors.SafetensorError, KeyError, TypeError) as error:
    raise ValueError(f'{path} is damaged or not ours: {error}.') from None
  checkpoints.check(path, arrays, _arrays(agent, template))
  params = [arrays[name] for name in tf.nest.flatten(agent.parameter_names)]
  return template._replace(
    params=tf.nest.pack_sequence_as(template.params, params),
    eta=checkpoints.unflatten(template.eta, 'eta', arrays),
    context=checkpoints.unflatten(template.context, 'context', arrays),
    **counts,
  )
