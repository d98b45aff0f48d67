"""Networks as (init, apply); the only file that knows Keras."""

from collections.abc import Callable, Sequence
import functools
import math

import keras
from keras import layers
import tensorflow as tf

from seed_metagrad import types

_INITIALIZER = 'lecun_normal'  # Truncated; 1/sqrt(fan_in) after that.
Activation = str | Callable[[tf.Tensor], tf.Tensor] | None


def mlp(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """Two dense layers of 64, for small vector observations."""
  x = layers.Flatten(dtype=dtype)(x)
  for units in (64, 64):
    x = _dense(units, 'relu', dtype)(x)
  return x


def shallow(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """IMPALA's shallow torso: Mnih et al. 2013's convolutions, dense 256."""
  for filters, size, stride in ((16, 8, 4), (32, 4, 2)):
    x = _conv(filters, size, stride, 'valid', 'relu', dtype)(x)
  return _dense(256, 'relu', dtype)(layers.Flatten(dtype=dtype)(x))


def nature(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """DQN's torso (Mnih et al. 2015): 32-64-64 convolutions, dense 512."""
  for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
    x = _conv(filters, size, stride, 'valid', 'relu', dtype)(x)
  return _dense(512, 'relu', dtype)(layers.Flatten(dtype=dtype)(x))


def deep(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """IMPALA's deep ResNet (Espeholt et al. 2018, fig. 3), feed-forward."""
  for filters in (16, 32, 32):
    x = _conv(filters, 3, 1, 'same', None, dtype)(x)
    x = layers.MaxPooling2D(3, 2, padding='same', dtype=dtype)(x)
    for _ in range(2):
      y = x
      for _ in range(2):
        y = layers.ReLU(dtype=dtype)(y)
        y = _conv(filters, 3, 1, 'same', None, dtype)(y)
      x = layers.Add(dtype=dtype)([x, y])
  x = layers.Flatten(dtype=dtype)(layers.ReLU(dtype=dtype)(x))
  return _dense(256, 'relu', dtype)(x)


def minatar(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """MinAtar's actor-critic torso (Young and Tian 2019): SiLU, dSiLU."""
  x = _conv(16, 3, 1, 'valid', 'silu', dtype)(x)
  return _dense(128, _dsilu, dtype)(layers.Flatten(dtype=dtype)(x))


def snake_policy(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """Jumanji's torso for Snake (Bonnet et al. 2024), the policy's."""
  return _snake(x, (64, 64), dtype)


def snake_value(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """Jumanji's torso for Snake, the value's."""
  return _snake(x, (128, 128), dtype)


Torso = Callable[[keras.KerasTensor, str], keras.KerasTensor]
# One torso for both heads, or the policy's and the value's.
TORSOS: dict[str, tuple[Torso] | tuple[Torso, Torso]] = {
  'mlp': (mlp,),
  'shallow': (shallow,),
  'nature': (nature,),
  'deep': (deep,),
  'minatar': (minatar,),
  'snake': (snake_policy, snake_value),
}


def make(
  name: str,
  spec: types.EnvSpec,
  *,
  num_conditioning: int = 0,
  embedding_size: int = 16,
  dtype: str = 'float32',
) -> types.Network:
  """The named network for an environment.

  An observation is a vector, an image [height, width], or an image of planes
  [height, width, C]: convolutions see C x S channels.

  num_conditioning: N, how many meta-parameters the heads see (UVFA, Schaul et
      al. 2015); 0 for none. Their linear embedding e = W_eta eta is
      concatenated with the torso's features before both heads.

  Raises:
    ValueError: an unknown name, or a convolutional torso for observations that
        are not images.
  """
  if name not in TORSOS:
    raise ValueError(f'network must be one of {sorted(TORSOS)}, got {name!r}.')
  if name != 'mlp' and len(spec.observation_shape) not in (2, 3):
    raise ValueError(
      f'network {name!r} needs image observations, got shape '
      f'{spec.observation_shape}; take the mlp.'
    )
  build = functools.partial(
    _build, TORSOS[name], spec, num_conditioning, embedding_size, dtype
  )
  model = build()
  stacked_shape = model.inputs[0].shape[1:]
  scale = 255.0 if spec.observation_dtype == 'uint8' else 1.0

  def init(seed: int) -> types.Nest:
    keras.utils.set_random_seed(seed)
    return [variable.numpy() for variable in build().trainable_variables]

  def apply(
    params: types.Nest, stacked: tf.Tensor, conditioning: tf.Tensor | None
  ) -> types.NetworkOutput:
    time, batch = tf.shape(stacked)[0], tf.shape(stacked)[1]
    flat = tf.reshape(stacked, [time * batch, *stacked_shape])
    inputs = [tf.cast(flat, dtype) * (1.0 / scale)]
    if conditioning is not None:
      inputs.append(
        tf.broadcast_to(
          tf.cast(conditioning, dtype), [time * batch, num_conditioning]
        )
      )
    (logits, baseline), _ = model.stateless_call(params, [], inputs)
    return types.NetworkOutput(
      policy_logits=tf.reshape(logits, [time, batch, spec.num_actions]),
      baseline=tf.reshape(baseline, [time, batch]),
    )

  return types.Network(init, apply)


def _build(
  torsos: Sequence[Torso],
  spec: types.EnvSpec,
  num_conditioning: int,
  embedding_size: int,
  dtype: str,
) -> keras.Model:
  """The Keras model: [stacked frames, values] -> [logits, baseline]."""
  size, planes = spec.observation_shape[:2], spec.observation_shape[2:]
  channels = math.prod(planes) * spec.frame_stack
  inputs = [keras.Input((*size, channels), dtype=dtype)]
  features = [torso(inputs[0], dtype) for torso in torsos]
  if num_conditioning:
    inputs.append(keras.Input((num_conditioning,), dtype=dtype))
    embedding = layers.Dense(
      embedding_size,
      use_bias=False,
      dtype=dtype,
      kernel_initializer=_INITIALIZER,
    )(inputs[1])
    features = [
      layers.Concatenate(dtype=dtype)([x, embedding]) for x in features
    ]
  heads = [
    _dense(spec.num_actions, None, dtype)(features[0]),
    _dense(1, None, dtype)(features[-1]),
  ]
  return keras.Model(inputs, heads)


def _snake(
  x: keras.KerasTensor, units: Sequence[int], dtype: str
) -> keras.KerasTensor:
  for stride in (2, 1):
    x = _conv(32, 2, stride, 'same', 'relu', dtype)(x)
  x = layers.Flatten(dtype=dtype)(x)
  for size in units:
    x = _dense(size, 'relu', dtype)(x)
  return x


def _dsilu(x: tf.Tensor) -> tf.Tensor:
  """The derivative of SiLU (Elfwing et al. 2018)."""
  gate = tf.sigmoid(x)
  return gate * (1 + x * (1 - gate))


def _conv(
  filters: int,
  size: int,
  stride: int,
  padding: str,
  activation: Activation,
  dtype: str,
) -> keras.Layer:
  return layers.Conv2D(
    filters,
    size,
    stride,
    padding,
    activation=activation,
    kernel_initializer=_INITIALIZER,
    dtype=dtype,
  )


def _dense(units: int, activation: Activation, dtype: str) -> keras.Layer:
  return layers.Dense(
    units, activation, kernel_initializer=_INITIALIZER, dtype=dtype
  )
