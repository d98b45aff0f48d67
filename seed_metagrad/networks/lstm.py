"""A recurrent core (Hochreiter and Schmidhuber 1997), as a pure function.

Written out over the steps: Keras's own picks a fused kernel on a GPU, which has
no second derivative.
"""

from typing import NamedTuple

import tensorflow as tf

_FORGET_BIAS = 1.0  # As in TensorFlow's BasicLSTMCell.


class Weights(NamedTuple):
  """I inputs, U units; of the input, forget, cell and output gates in turn."""

  kernel: tf.Tensor  # [I, 4 U].
  bias: tf.Tensor  # [4 U].
  recurrent: tf.Tensor  # [U, 4 U].


def unroll(
  weights: Weights, inputs: tf.Tensor, state: tf.Tensor, starts: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Outputs [T, B, U] at every step, and the state after the last one.

  inputs: [T, B, I], T known. state: [B, 2 U], output and cell before step 0.
  starts: bool [T, B], where the state before a step is forgotten.
  """
  dtype = inputs.dtype
  goes_on = tf.cast(tf.logical_not(starts), dtype)[:, :, tf.newaxis]
  # The inputs' share of all steps at once.
  seen = tf.tensordot(inputs, weights.kernel, 1) + weights.bias
  output, cell = tf.split(tf.cast(state, dtype), 2, axis=-1)
  outputs = []
  for x, keep in zip(tf.unstack(seen), tf.unstack(goes_on), strict=True):
    gates = x + tf.matmul(output * keep, weights.recurrent)
    write, forget, new, read = tf.split(gates, 4, axis=-1)
    cell = tf.sigmoid(forget + _FORGET_BIAS) * cell * keep
    cell += tf.sigmoid(write) * tf.tanh(new)
    output = tf.sigmoid(read) * tf.tanh(cell)
    outputs.append(output)
  return tf.stack(outputs), tf.concat([output, cell], axis=-1)
