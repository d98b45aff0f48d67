"""Torsos: what an observation becomes before the heads, by name."""

from collections.abc import Callable, Sequence

import keras
from keras import layers
import tensorflow as tf

from seed_metagrad import types

INITIALIZER = 'lecun_normal'  # Truncated; 1/sqrt(fan_in) after that.
Activation = str | Callable[[tf.Tensor], tf.Tensor] | None


def mlp(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """Two dense layers of 64, for small vector observations."""
  x = layers.Flatten(dtype=dtype)(x)
  for units in (64, 64):
    x = dense(units, 'relu', dtype)(x)
  return x


def shallow(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """IMPALA's shallow torso: Mnih et al. 2013's convolutions, dense 256."""
  for filters, size, stride in ((16, 8, 4), (32, 4, 2)):
    x = _conv(filters, size, stride, 'valid', 'relu', dtype)(x)
  return dense(256, 'relu', dtype)(layers.Flatten(dtype=dtype)(x))


def nature(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """DQN's torso (Mnih et al. 2015): 32-64-64 convolutions, dense 512."""
  for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
    x = _conv(filters, size, stride, 'valid', 'relu', dtype)(x)
  return dense(512, 'relu', dtype)(layers.Flatten(dtype=dtype)(x))


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
  return dense(256, 'relu', dtype)(x)


def minatar(x: keras.KerasTensor, dtype: str) -> keras.KerasTensor:
  """MinAtar's actor-critic torso (Young and Tian 2019): SiLU, dSiLU."""
  x = _conv(16, 3, 1, 'valid', 'silu', dtype)(x)
  return dense(128, _dsilu, dtype)(layers.Flatten(dtype=dtype)(x))


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

_SMALLEST = {'shallow': 20, 'nature': 36, 'minatar': 3}  # Height and width.
_CHANNELS = 4  # Most of an image with channels first, as far as is guessed.


def choose(spec: types.EnvSpec) -> str:
  """The network for an environment whose network is not named.

  shallow for images of at least 36 x 36, minatar for smaller ones of planes,
  otherwise mlp.

  Raises:
    ValueError: it looks like an image with channels first.
  """
  shape = spec.observation_shape
  if _channels_first(shape):
    raise ValueError(misfit('shallow', spec))
  if len(shape) in (2, 3) and min(shape[:2]) >= 36:
    return 'shallow'
  if len(shape) == 3 and not misfit('minatar', spec):
    return 'minatar'
  return 'mlp'


def fits(name: str, spec: types.EnvSpec) -> bool:
  """Tells whether a network takes an environment's observations."""
  return not misfit(name, spec)


def misfit(name: str, spec: types.EnvSpec) -> str:
  """Says why a network does not take these observations; nothing if it does."""
  shape = spec.observation_shape
  if name == 'mlp':
    return ''
  if len(shape) not in (2, 3):
    return (
      f'network {name!r} needs images, [height, width] or [height, width, '
      f'channels], got observations of shape {shape}; take mlp, or auto.'
    )
  if _channels_first(shape):
    return (
      f'network {name!r} needs images [height, width, channels], got '
      f'{shape}, which looks like channels first: say --channels_first, or '
      'take mlp.'
    )
  smallest = _SMALLEST.get(name, 1)
  if min(shape[:2]) < smallest:
    return (
      f'network {name!r} needs images of at least {smallest} x {smallest}, got '
      f'{shape[0]} x {shape[1]}; take mlp, or auto.'
    )
  return ''


def _channels_first(shape: tuple[int, ...]) -> bool:
  return len(shape) == 3 and shape[0] <= _CHANNELS < min(shape[1:])


def _snake(
  x: keras.KerasTensor, units: Sequence[int], dtype: str
) -> keras.KerasTensor:
  for stride in (2, 1):
    x = _conv(32, 2, stride, 'same', 'relu', dtype)(x)
  x = layers.Flatten(dtype=dtype)(x)
  for size in units:
    x = dense(size, 'relu', dtype)(x)
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
    kernel_initializer=INITIALIZER,
    dtype=dtype,
  )


def dense(
  units: int, activation: Activation, dtype: str, name: str | None = None
) -> keras.Layer:
  """A dense layer, with the initial weights of all of ours."""
  return layers.Dense(
    units, activation, kernel_initializer=INITIALIZER, dtype=dtype, name=name
  )
