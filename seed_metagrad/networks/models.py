"""The Keras models of a network: torso, core, heads and outer critics."""

from collections.abc import Callable, Sequence
import math
import re
from typing import NamedTuple

import keras
from keras import layers
import numpy as np
import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.networks import policies
from seed_metagrad.networks import torsos


class Models(NamedTuple):
  """What a network is made of, but for its outer critic."""

  torso: keras.Model  # Stacked frames -> features, of each tower.
  core: keras.Model | None  # Never called: its variables are lstm.Weights.
  heads: keras.Model  # [*features, values] -> [logits, baseline, ...].


def variables(models: Models) -> list[keras.Variable]:
  """What is learned, of all models, in their order."""
  return [
    variable
    for model in models
    if model
    for variable in model.trainable_variables
  ]


def by_model(
  params: Sequence[tf.Tensor], models: Models
) -> list[Sequence[tf.Tensor]]:
  """What `variables` flattened, of each model; none of a missing one."""
  counts = [len(model.trainable_variables) if model else 0 for model in models]
  ends = np.cumsum(counts)
  return [params[end - n : end] for n, end in zip(counts, ends, strict=True)]


def build(
  chosen: Sequence[torsos.Torso],
  spec: types.EnvSpec,
  num_conditioning: int,
  embedding_size: int,
  scaled_features: bool,
  auxiliary_heads: int,
  core_units: int,
  core_extra: int,
  dtype: str,
) -> Models:
  """The models with fresh weights, from Keras' seed.

  chosen: one torso, or the policy's and the value's. num_conditioning and
  auxiliary_heads: of `networks.make`. scaled_features: whether the embedding
  scales features as well. core_units: 0 for no core. core_extra: how many
  numbers it sees beside the features.
  """
  size, planes = spec.observation_shape[:2], spec.observation_shape[2:]
  channels = math.prod(planes) * spec.frame_stack
  seen = keras.Input((*size, channels), dtype=dtype)
  torso_model = keras.Model(seen, [torso(seen, dtype) for torso in chosen])
  sizes = [features.shape[-1] for features in torso_model.outputs]
  core = None
  if core_units:
    core = _core(sum(sizes) + core_extra, core_units, dtype)
    sizes = [core_units]
  inputs = [keras.Input((size,), dtype=dtype) for size in sizes]
  features = list(inputs)
  if num_conditioning:
    inputs.append(keras.Input((num_conditioning,), dtype=dtype))
    embedding = layers.Dense(
      embedding_size,
      use_bias=False,
      dtype=dtype,
      kernel_initializer=torsos.INITIALIZER,
      name='embedding',
    )(inputs[-1])
    features = [
      layers.Concatenate(dtype=dtype)(
        [_scaled(x, embedding, dtype) if scaled_features else x, embedding]
      )
      for x in features
    ]
  heads = [
    torsos.dense(units, None, dtype, f'{name}_{head}' if head else name)(x)
    for head in range(1 + auxiliary_heads)
    for name, units, x in (
      ('policy', policies.num_outputs(spec), features[0]),
      ('baseline', 1, features[-1]),
    )
  ]
  return Models(torso_model, core, keras.Model(inputs, heads))


def _scaled(
  x: keras.KerasTensor, embedding: keras.KerasTensor, dtype: str
) -> keras.KerasTensor:
  """x (1 + W e): a linear head of it is another one for each e."""
  scale = layers.Dense(
    x.shape[-1],
    kernel_initializer='zeros',
    bias_initializer='ones',
    dtype=dtype,
  )
  return layers.Multiply(dtype=dtype)([x, scale(embedding)])


def _core(num_inputs: int, units: int, dtype: str) -> keras.Model:
  """Holds the weights of a core."""
  x = keras.Input((num_inputs,), dtype=dtype)
  output = keras.Input((units,), dtype=dtype)
  recurrent = layers.Dense(
    4 * units,
    use_bias=False,
    kernel_initializer='orthogonal',
    dtype=dtype,
    name='recurrent',
  )
  seen = torsos.dense(4 * units, None, dtype, 'input')(x)
  return keras.Model([x, output], [seen, recurrent(output)])


def parameter_names(models: Models, critic: keras.Model | None) -> types.Nest:
  """Names for a file: agent/torso/conv2d_0/kernel, agent/heads/policy/bias."""
  agent = _names('agent/torso', models.torso)
  if models.core:
    agent += _names('agent/core', models.core)
  agent += _names('agent/heads', models.heads)
  if not critic:
    return agent
  return {'agent': agent, 'outer_critic': _names('outer_critic', critic)}


def _names(folder: str, model: keras.Model) -> list[str]:
  """Layers that have no name of their own are counted within the model."""
  layer_names: dict[str, str] = {}
  names = []
  for variable in model.trainable_variables:
    layer, part = variable.path.split('/')[-2:]
    unnamed = re.fullmatch(r'(conv2d|dense)(_\d+)?', layer)
    short = f'{unnamed[1]}_{len(layer_names)}' if unnamed else layer
    names.append(f'{folder}/{layer_names.setdefault(layer, short)}/{part}')
  return names


def _critic_head(
  torso: torsos.Torso, models: Models, dtype: str
) -> keras.Model:
  del torso
  outputs = models.core.inputs[1:] if models.core else models.torso.outputs
  features = keras.Input(outputs[-1].shape[1:], dtype=dtype)
  return keras.Model(features, torsos.dense(1, None, dtype)(features))


def _critic_network(
  torso: torsos.Torso, models: Models, dtype: str
) -> keras.Model:
  inputs = keras.Input(models.torso.input_shape[1:], dtype=dtype)
  return keras.Model(inputs, torsos.dense(1, None, dtype)(torso(inputs, dtype)))


# The outer critics with parameters of their own.
CRITICS: dict[str, Callable[[torsos.Torso, Models, str], keras.Model]] = {
  'head': _critic_head,
  'network': _critic_network,
}
