"""Networks as (init, apply, initial_state); the only file that knows Keras.

The network's state is the stack of its last frames, so that one frame per step
crosses the wire and an unroll of T + 1 steps stores T + 4 frames.
"""

import functools
import math

import keras
from keras import layers
import tensorflow as tf

from seed_metagrad import types

_INITIALIZER = 'lecun_normal'  # Sonnet's default: 1/sqrt(fan_in), truncated.


def mlp(x, dtype):
  """Two dense layers of 64, for small vector observations."""
  x = layers.Flatten(dtype=dtype)(x)
  for units in (64, 64):
    x = _dense(units, 'relu', dtype)(x)
  return x


def shallow(x, dtype):
  """IMPALA's shallow torso: Mnih et al. 2013's convolutions, dense 256."""
  for filters, size, stride in ((16, 8, 4), (32, 4, 2)):
    x = _conv(filters, size, stride, 'valid', 'relu', dtype)(x)
  return _dense(256, 'relu', dtype)(layers.Flatten(dtype=dtype)(x))


def nature(x, dtype):
  """DQN's torso (Mnih et al. 2015): 32-64-64 convolutions, dense 512."""
  for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
    x = _conv(filters, size, stride, 'valid', 'relu', dtype)(x)
  return _dense(512, 'relu', dtype)(layers.Flatten(dtype=dtype)(x))


def deep(x, dtype):
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


TORSOS = {'mlp': mlp, 'shallow': shallow, 'nature': nature, 'deep': deep}


def make(name: str, spec: types.EnvSpec, *, num_conditioning: int = 0,
         embedding_size: int = 16, dtype: str = 'float32') -> types.Network:
  """The named network for an environment.

  num_conditioning: N, how many learned hypers the heads see (UVFA, Schaul et
      al. 2015); 0 for none. Their linear embedding e = W_eta eta is
      concatenated with the torso's features before both heads.

  Raises:
    ValueError: an unknown name, or a convolutional torso for observations that
        are not images.
  """
  if name not in TORSOS:
    raise ValueError(f'network must be one of {sorted(TORSOS)}, got {name!r}.')
  if name != 'mlp' and len(spec.observation_shape) != 2:
    raise ValueError(f'network {name!r} needs image observations, got shape '
                     f'{spec.observation_shape}; take the mlp.')
  build = functools.partial(
      _build, TORSOS[name], spec, num_conditioning, embedding_size, dtype)
  model = build()
  stacked_shape = model.inputs[0].shape[1:]
  scale = 255. if spec.observation_dtype == 'uint8' else 1.

  def init(seed: int):
    keras.utils.set_random_seed(seed)
    return [variable.numpy() for variable in build().trainable_variables]

  def apply(params, state, observations, resets, conditioning):
    time, batch = tf.shape(resets)[0], tf.shape(resets)[1]
    stacked, state = stack_frames(
        state, observations, resets, spec.frame_stack)
    flat = tf.reshape(stacked, [time * batch, *stacked_shape])
    inputs = [tf.cast(flat, dtype) * (1. / scale)]
    if num_conditioning:
      inputs.append(tf.broadcast_to(
          tf.cast(conditioning, dtype), [time * batch, num_conditioning]))
    (logits, baseline), _ = model.stateless_call(params, [], inputs)
    return types.NetworkOutput(
        policy_logits=tf.reshape(logits, [time, batch, spec.num_actions]),
        baseline=tf.reshape(baseline, [time, batch])), state

  def initial_state(batch_size: int):
    if spec.frame_stack == 1:
      return ()
    return tf.zeros(
        [batch_size, spec.frame_stack - 1, *spec.observation_shape],
        spec.observation_dtype)

  return types.Network(init, apply, initial_state)


def _build(torso, spec, num_conditioning, embedding_size, dtype):
  """The Keras model: [stacked frames, hypers] -> [logits, baseline]."""
  inputs = [keras.Input((*spec.observation_shape, spec.frame_stack),
                        dtype=dtype)]
  features = torso(inputs[0], dtype)
  if num_conditioning:
    inputs.append(keras.Input((num_conditioning,), dtype=dtype))
    embedding = layers.Dense(embedding_size, use_bias=False, dtype=dtype,
                             kernel_initializer=_INITIALIZER)(inputs[1])
    features = layers.Concatenate(dtype=dtype)([features, embedding])
  heads = [_dense(units, None, dtype)(features)
           for units in (spec.num_actions, 1)]
  return keras.Model(inputs, heads)


def stack_frames(state, observations, resets, frame_stack: int):
  """Each observation with the ones before it in its episode, newest last.

  state: the last frames, [B, frame_stack - 1, ...], oldest first; () if 1.
  observations: [T, B, ...]; resets: bool [T, B], first of an episode. Frames
  from before the episode are zero.

  Returns:
    (stacked [T, B, ..., frame_stack], state after the last step).
  """
  if frame_stack == 1:
    return observations, state
  time = tf.shape(resets)[0]
  rank = len(observations.shape)
  previous = tf.transpose(state, [1, 0, *range(2, rank)])
  frames = tf.concat([previous, observations], axis=0)
  # The state's own frames were masked when they were new.
  padded = tf.concat([tf.zeros(tf.shape(previous)[:2], tf.bool), resets], 0)
  valid = [tf.ones_like(resets)]  # By age: is that old a frame of the episode?
  for oldest in reversed(range(1, frame_stack)):
    valid.append(valid[-1] & ~padded[oldest:oldest + time])
  valid.reverse()
  stack = _pack if (frame_stack, frames.dtype) == (4, tf.uint8) else _stack
  # The state is masked by itself: to cut it out of `stacked` would cost a
  # transposition of single bytes. A product is 6 times faster than tf.where.
  mask = tf.stack([v[-1] for v in valid[1:]])
  last = frames[time:] * tf.cast(_fill_rank(mask, frames), frames.dtype)
  return stack(frames, valid), tf.transpose(last, [1, 0, *range(2, rank)])


def _stack(frames, valid):
  """frames [T + S - 1, B, ...], valid S x [T, B] -> [T, B, ..., S]."""
  time = tf.shape(valid[0])[0]
  return tf.stack(
      [tf.where(_fill_rank(valid[k], frames), frames[k:k + time],
                tf.zeros([], frames.dtype))
       for k in range(len(valid))], axis=-1)


def _pack(frames, valid):
  """`_stack` of 4 uint8 frames as words: six times faster."""
  words = tf.cast(frames, tf.uint32)
  # Products and sums: TensorFlow's shifts and ors are half as fast.
  words = words[:-1] + words[1:] * (1 << 8)
  words = words[:-2] + words[2:] * (1 << 16)
  mask = sum(tf.cast(valid[k], tf.uint32) * (0xff << 8 * k) for k in range(4))
  return tf.bitcast(words & _fill_rank(mask, frames), tf.uint8)


def _fill_rank(x, like):
  """x [T, B] as [T, B, 1, ...], of the rank of `like`."""
  return x[(..., *[tf.newaxis] * (len(like.shape) - 2))]


def _conv(filters, size, stride, padding, activation, dtype):
  return layers.Conv2D(filters, size, stride, padding, activation=activation,
                       kernel_initializer=_INITIALIZER, dtype=dtype)


def _dense(units, activation, dtype):
  return layers.Dense(units, activation, kernel_initializer=_INITIALIZER,
                      dtype=dtype)


def num_params(params) -> int:
  """How many numbers a nest of parameters holds."""
  return sum(math.prod(p.shape) for p in tf.nest.flatten(params))
