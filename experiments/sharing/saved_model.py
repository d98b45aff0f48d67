"""The policy as a TF SavedModel: acting needs TensorFlow alone."""

import pathlib

import tensorflow as tf

from learner.inference import parameter_store
from learner.storage import model_files


class _Module(tf.Module):
  """What it holds is saved."""

  def __init__(self, arrays: list[tf.Variable]):
    super().__init__()
    self.arrays = arrays


def write(folder: pathlib.Path, model: model_files.Model) -> None:
  """Writes a SavedModel with one signature.

  It maps stacked [E, ..., S], stacks of frames with the newest last, to
  policy_logits [E, A] and baseline [E], at the meta-parameters' last values.
  """
  spec, act = model.spec, model.agent.act
  newest = parameter_store.published(model.state)
  published = (newest.params, newest.eta)
  module = _Module([tf.Variable(x) for x in tf.nest.flatten(published)])
  shape = [None, *spec.observation_shape, spec.frame_stack]

  def policy(stacked: tf.Tensor) -> dict[str, tf.Tensor]:
    params, eta = tf.nest.pack_sequence_as(
      published, [tf.convert_to_tensor(array) for array in module.arrays]
    )
    outputs = act(params, eta, stacked, tf.zeros([2], tf.int32))
    return {
      'policy_logits': outputs.policy_logits,
      'baseline': outputs.baseline,
    }

  inputs = [tf.TensorSpec(shape, spec.observation_dtype, 'stacked')]
  signature = tf.function(policy, input_signature=inputs, autograph=False)
  tf.saved_model.save(module, str(folder), signatures=signature)
