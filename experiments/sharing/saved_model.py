"""The policy as a TF SavedModel: acting needs TensorFlow alone."""

import pathlib
from typing import Any

import tensorflow as tf

from learner.inference import parameter_store
from learner.storage import model_files
from seed_metagrad import types


class _Module(tf.Module):
  """What it holds is saved."""

  def __init__(self, arrays: list[tf.Variable]):
    super().__init__()
    self.arrays = arrays


def write(folder: pathlib.Path, model: model_files.Model) -> None:
  """Writes a SavedModel with one signature.

  It maps stacked [E, ..., S], stacks of frames with the newest last, to
  policy_logits [E, P] and baseline [E], at the meta-parameters' last values. A
  recurrent agent takes lstm [E, 2 U], action [E], reward [E] and starts [E] as
  well, zeros first, and gives the next lstm.
  """
  spec, act = model.spec, model.agent.act
  newest = parameter_store.published(model.state)
  published = (newest.params, newest.eta)
  module = _Module([tf.Variable(x) for x in tf.nest.flatten(published)])
  shape = [None, *spec.observation_shape, spec.frame_stack]

  core_state = model.agent.initial_state(1)

  def policy(stacked: tf.Tensor, *core: tf.Tensor) -> dict[str, tf.Tensor]:
    params, eta = tf.nest.pack_sequence_as(
      published, [tf.convert_to_tensor(array) for array in module.arrays]
    )
    core_step: Any = ()
    if core:
      lstm, action, reward, starts = core
      core_step = types.CoreStep(types.CoreState(lstm, action), reward, starts)
    acted = act(params, eta, stacked, tf.zeros([2], tf.int32), core_step)
    state = {'lstm': acted.core_state.lstm} if acted.core_state else {}
    return {
      'policy_logits': acted.outputs.policy_logits,
      'baseline': acted.outputs.baseline,
      **state,
    }

  inputs = [tf.TensorSpec(shape, spec.observation_dtype, 'stacked')]
  if core_state:
    inputs += [
      tf.TensorSpec([None, *core_state.lstm.shape[1:]], tf.float32, 'lstm'),
      tf.TensorSpec([None, *spec.action_shape], spec.action_dtype, 'action'),
      tf.TensorSpec([None], tf.float32, 'reward'),
      tf.TensorSpec([None], tf.bool, 'starts'),
    ]
  signature = tf.function(policy, input_signature=inputs, autograph=False)
  tf.saved_model.save(module, str(folder), signatures=signature)
