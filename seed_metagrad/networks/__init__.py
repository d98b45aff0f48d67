"""Networks as (init, apply, initial_state): a torso, a core or none, heads."""

from collections.abc import Sequence
import functools

import keras
import numpy as np
import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.networks import frames
from seed_metagrad.networks import lstm
from seed_metagrad.networks import models as models_lib
from seed_metagrad.networks import policies
from seed_metagrad.networks import torsos


def make(
  name: str,
  spec: types.EnvSpec,
  *,
  num_conditioning: int = 0,
  embedding_size: int = 16,
  outer_critic: str = 'none',
  auxiliary_heads: int = 0,
  core_units: int = 0,
  core_sees_action: bool = True,
  dtype: str = 'float32',
) -> types.Network:
  """The named network for an environment; that of `choose` for auto.

  An observation is a vector, an image [height, width], or an image of planes
  [height, width, C]: convolutions see C x S channels.

  num_conditioning: N, how many meta-parameters the heads see (UVFA, Schaul et
      al. 2015); 0 for none. Their linear embedding e = W_eta eta is
      concatenated with the torso's features before all heads.
  outer_critic: 'head', a value head on the torso's features, which get no
      gradient from it; 'network', a torso and a head of its own (Bonnet et al.
      2022); 'conditioned', the value head asked at eta', features cut as well.
      Parameters are then a dict, {'agent': [...], 'outer_critic': [...]}, but
      for 'conditioned', which has none of its own. There features x become
      x (1 + W e) before e joins them: a linear head of x and e alone would
      differ between eta and eta' by the same number in every state.
  auxiliary_heads: policies and values beside the main ones (STACX).
  core_units: U, of an LSTM between torso and heads (Espeholt et al. 2018); 0
      for none. The features of two torsos go into one.
  core_sees_action: whether the core sees the previous action, one-hot, and its
      reward; neither of an episode before.

  Raises:
    ValueError: an unknown name, a convolutional torso for observations that are
        not images or too small, a conditioned critic without conditioning, or a
        critic with a torso of its own, which has no memory, beside a core.
  """
  if name == 'auto':
    name = torsos.choose(spec)
  _check(name, spec, num_conditioning, outer_critic, core_units)
  build = functools.partial(
    models_lib.build,
    torsos.TORSOS[name],
    spec,
    num_conditioning,
    embedding_size,
    outer_critic == 'conditioned',
    auxiliary_heads,
    core_units,
    _size_before(spec) if core_sees_action else 0,
    dtype,
  )
  models = build()
  scale = _scale(spec, models.torso.input_shape[1:], dtype)
  build_critic = models_lib.CRITICS.get(outer_critic)
  critic = build_critic and build_critic(torsos.TORSOS[name][-1], models, dtype)

  def init(seed: int) -> types.Nest:
    keras.utils.set_random_seed(seed)
    fresh = build()
    agent = [v.numpy() for v in models_lib.variables(fresh)]
    if not build_critic:
      return agent
    fresh_critic = build_critic(torsos.TORSOS[name][-1], fresh, dtype)
    variables = fresh_critic.trainable_variables
    return {'agent': agent, 'outer_critic': [v.numpy() for v in variables]}

  def apply(
    params: types.Nest,
    stacked: tf.Tensor,
    conditioning: types.Conditioning | None,
    core_input: types.CoreInput | None = None,
  ) -> types.NetworkOutput:
    agent = params['agent'] if critic else params
    time, batch = tf.shape(stacked)[0], tf.shape(stacked)[1]
    inputs = tf.reshape(stacked, [time * batch, *models.torso.input_shape[1:]])
    inputs = tf.cast(inputs, dtype) * scale
    torso, core, head = models_lib.by_model(agent, models)
    outputs, _ = models.torso.stateless_call(torso, [], inputs)
    features = tf.nest.flatten(outputs)
    state: tf.Tensor | tuple[()] = ()
    if core:
      assert core_input
      before = _before(core_input, spec, dtype) if core_sees_action else []
      features, state = _through_core(core, features, before, core_input)
    heads = functools.partial(_through_heads, models.heads, head, time, batch)
    logits, baseline, *others = heads(
      features, conditioning.values if conditioning else None
    )
    outer_baseline: tf.Tensor | tuple[()] = ()
    # Cut: what the outer critic learns does not shape the agent's features.
    if critic:
      judged = inputs
      if outer_critic == 'head':
        judged = tf.stop_gradient(features[-1])
      values, _ = critic.stateless_call(params['outer_critic'], [], judged)
      outer_baseline = _unflatten(values, time, batch)[:, :, 0]
    elif outer_critic == 'conditioned':
      assert conditioning and not isinstance(conditioning.reference, tuple)
      cut = [tf.stop_gradient(x) for x in features]
      outer_baseline = heads(cut, conditioning.reference)[1][:, :, 0]
    return types.NetworkOutput(
      policy_logits=logits,
      baseline=baseline[:, :, 0],
      outer_baseline=outer_baseline,
      auxiliary=tuple(
        types.HeadOutput(others[k], others[k + 1][:, :, 0])
        for k in range(0, len(others), 2)
      ),
      lstm=state,
    )

  return types.Network(
    init,
    apply,
    models_lib.parameter_names(models, critic),
    functools.partial(_initial_state, spec, core_units),
  )


def _check(
  name: str,
  spec: types.EnvSpec,
  num_conditioning: int,
  outer_critic: str,
  core_units: int,
) -> None:
  if name not in torsos.TORSOS:
    raise ValueError(
      f'network must be auto or one of {sorted(torsos.TORSOS)}, got {name!r}.'
    )
  if misfit := torsos.misfit(name, spec):
    raise ValueError(misfit)
  if outer_critic == 'conditioned' and not num_conditioning:
    raise ValueError('outer_critic conditioned needs conditioning, got none.')
  if outer_critic == 'network' and core_units:
    raise ValueError(
      'outer_critic network has no memory: with a core take head or '
      f'conditioned, got {outer_critic!r}.'
    )


def _through_core(
  weights: Sequence[tf.Tensor],
  features: Sequence[tf.Tensor],
  before: Sequence[tf.Tensor],
  core_input: types.CoreInput,
) -> tuple[list[tf.Tensor], tf.Tensor]:
  """Of features [T * B, F], `before` [T, B, N]: [T * B, U], and the state."""
  time, batch = tf.shape(core_input.starts)[0], tf.shape(core_input.starts)[1]
  seen = [_unflatten(x, time, batch) for x in features]
  x, state = lstm.unroll(
    lstm.Weights(*weights),
    tf.concat([*seen, *before], axis=-1),
    core_input.state.lstm,
    core_input.starts,
  )
  return [tf.reshape(x, [time * batch, x.shape[-1]])], state


def _through_heads(
  model: keras.Model,
  weights: Sequence[tf.Tensor],
  time: tf.Tensor,
  batch: tf.Tensor,
  features: Sequence[tf.Tensor],
  conditioning: tf.Tensor | None,
) -> list[tf.Tensor]:
  """Of features [T * B, F] and values [N]: [T, B, ...] of each head."""
  seen = list(features)
  if conditioning is not None:
    values = tf.cast(conditioning, features[0].dtype)
    seen.append(tf.broadcast_to(values, [time * batch, values.shape[-1]]))
  outputs, _ = model.stateless_call(weights, [], seen)
  return [_unflatten(x, time, batch) for x in outputs]


def _initial_state(
  spec: types.EnvSpec, core_units: int, num_envs: int
) -> types.CoreState[np.ndarray] | tuple[()]:
  if not core_units:
    return ()
  return types.CoreState(
    np.zeros([num_envs, 2 * core_units], np.float32),
    np.zeros([num_envs, *spec.action_shape], spec.action_dtype),
  )


def _before(
  core_input: types.CoreInput, spec: types.EnvSpec, dtype: str
) -> list[tf.Tensor]:
  """What came before each step: actions [T, B, N] and rewards [T, B, 1]."""
  actions = tf.concat(
    [core_input.state.action[tf.newaxis], core_input.action], axis=0
  )
  goes_on = tf.cast(tf.logical_not(core_input.starts), dtype)[:, :, tf.newaxis]
  return [
    policies.encode(spec, actions, dtype) * goes_on,
    tf.cast(core_input.reward, dtype)[:, :, tf.newaxis] * goes_on,
  ]


def _size_before(spec: types.EnvSpec) -> int:
  """How many numbers `_before` is."""
  return 1 + (spec.action_dims or policies.num_outputs(spec))


def _scale(
  spec: types.EnvSpec, input_shape: tuple[int, ...], dtype: str
) -> float | np.ndarray:
  """What stacked frames are multiplied by, elementwise."""
  scale = 1.0 / frames.divisors(spec)
  if not scale.ndim:
    return float(scale)
  stacked = np.repeat(scale[..., np.newaxis], spec.frame_stack, axis=-1)
  return stacked.reshape(input_shape).astype(dtype)


def _unflatten(x: tf.Tensor, time: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
  """x [T * B, N] as [T, B, N]."""
  return tf.reshape(x, [time, batch, x.shape[-1]])
