"""The recurrent core against Keras's and a slow twin."""

from absl.testing import absltest
from keras import layers
import numpy as np
import tensorflow as tf

from seed_metagrad.networks import lstm

_TIME, _BATCH, _INPUTS, _UNITS = 5, 3, 4, 2


def _random():
  """(weights, inputs, state, starts)."""
  rng = np.random.default_rng(0)
  weights = lstm.Weights(
    kernel=rng.normal(size=[_INPUTS, 4 * _UNITS]),
    bias=rng.normal(size=[4 * _UNITS]),
    recurrent=rng.normal(size=[_UNITS, 4 * _UNITS]),
  )
  starts = np.zeros([_TIME, _BATCH], bool)
  starts[0, 0] = starts[2, 1] = starts[3, 0] = True
  return (
    lstm.Weights(*map(tf.constant, weights)),
    tf.constant(rng.normal(size=[_TIME, _BATCH, _INPUTS])),
    tf.constant(rng.normal(size=[_BATCH, 2 * _UNITS])),
    tf.constant(starts),
  )


def _slow(weights, inputs, state, starts):
  """One number after the other."""

  def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))

  kernel, bias, recurrent = (np.array(w) for w in weights)
  outputs = np.zeros([_TIME, _BATCH, _UNITS])
  last = np.array(state)
  for b in range(_BATCH):
    h, c = list(last[b, :_UNITS]), list(last[b, _UNITS:])
    for t in range(_TIME):
      if starts[t, b]:
        h, c = [0.0] * _UNITS, [0.0] * _UNITS
      gates = [
        bias[j]
        + sum(inputs[t, b, i] * kernel[i, j] for i in range(_INPUTS))
        + sum(h[u] * recurrent[u, j] for u in range(_UNITS))
        for j in range(4 * _UNITS)
      ]
      for u in range(_UNITS):
        write, forget, new, read = gates[u::_UNITS]
        c[u] = sigmoid(forget + 1.0) * c[u] + sigmoid(write) * np.tanh(new)
        h[u] = sigmoid(read) * np.tanh(c[u])
      outputs[t, b] = h
    last[b] = h + c
  return outputs, last


class LstmTest(absltest.TestCase):
  def test_equals_the_slow_twin(self):
    arguments = _random()
    for ours, theirs in zip(lstm.unroll(*arguments), _slow(*arguments)):
      np.testing.assert_allclose(ours, theirs, rtol=1e-12)

  def test_equals_keras_without_starts(self):
    weights, inputs, state, starts = _random()
    keras_lstm = layers.LSTM(
      _UNITS, return_sequences=True, return_state=True, dtype='float64'
    )
    batch_major = tf.transpose(inputs, [1, 0, 2])
    initial = tf.split(state, 2, axis=-1)
    keras_lstm(batch_major, initial_state=initial)  # Makes its weights.
    one = np.zeros(4 * _UNITS)
    one[_UNITS : 2 * _UNITS] = 1.0  # Theirs is part of what is learned.
    keras_lstm.set_weights(
      [weights.kernel, weights.recurrent, weights.bias + one]
    )
    theirs, *last = keras_lstm(batch_major, initial_state=initial)
    ours, ours_last = lstm.unroll(weights, inputs, state, tf.zeros_like(starts))
    np.testing.assert_allclose(
      ours, tf.transpose(theirs, [1, 0, 2]), rtol=1e-12
    )
    np.testing.assert_allclose(ours_last, tf.concat(last, -1), rtol=1e-12)

  def test_step_by_step_is_the_unroll(self):
    weights, inputs, state, starts = _random()
    whole, last = lstm.unroll(weights, inputs, state, starts)
    for t in range(_TIME):
      output, state = lstm.unroll(
        weights, inputs[t : t + 1], state, starts[t : t + 1]
      )
      np.testing.assert_allclose(output[0], whole[t], rtol=1e-12)
    np.testing.assert_allclose(state, last, rtol=1e-12)


if __name__ == '__main__':
  absltest.main()
