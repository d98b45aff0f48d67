"""A network of a few numbers and random unrolls, for finite differences."""

import numpy as np
import tensorflow as tf

from seed_metagrad import agent
from seed_metagrad import agent_rules
from seed_metagrad import config as config_lib
from seed_metagrad import types
from seed_metagrad.meta_gradients import meta

LEARNED = tuple(sorted(config_lib.LEARNABLE))
LENGTH = 4  # T, the least at which every way to end leaves a plain step.
NUM_ACTIONS = 3
SIZE = 2  # Of an observation.
_UNITS = 3
_EMBEDDING = 2

SPEC = types.EnvSpec((SIZE,), 'float64', NUM_ACTIONS)


def make_network(num_conditioning=0) -> types.Network:
  """A smooth network: one tanh layer, and the heads see the embedding."""
  features = _UNITS + (_EMBEDDING if num_conditioning else 0)
  shapes = [[SIZE, _UNITS], [features, NUM_ACTIONS], [features, 1]]
  if num_conditioning:
    shapes.append([num_conditioning, _EMBEDDING])

  def init(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]

  def apply(params, stacked, conditioning, core_input=None):
    del core_input
    h = tf.tanh(tf.tensordot(stacked[..., 0], params[0], 1))
    if num_conditioning:
      embedding = tf.linalg.matvec(
        params[3], conditioning.values, transpose_a=True
      )
      h = tf.concat(
        [h, tf.broadcast_to(embedding, [*h.shape[:-1], _EMBEDDING])], axis=-1
      )
    return types.NetworkOutput(
      tf.tensordot(h, params[1], 1), tf.tensordot(h, params[2], 1)[..., 0]
    )

  return types.Network(init, apply)


def linear_network() -> types.Network:
  """Linear softmax policy and value: params are [W, w], as in linear_agent."""

  def init(seed):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=[SIZE, NUM_ACTIONS]), rng.normal(size=[SIZE])]

  def apply(params, stacked, conditioning, core_input=None):
    del conditioning, core_input
    observations = stacked[..., 0]
    return types.NetworkOutput(
      tf.tensordot(observations, params[0], 1),
      tf.tensordot(observations, params[1], 1),
    )

  return types.Network(init, apply)


def unroll(seed, batch, length=LENGTH) -> types.Unroll:
  """Arrays of one unroll; every column has each way an episode can end."""
  rng = np.random.default_rng(seed)
  shape = [length + 1, batch]
  flags = np.zeros([3, *shape], bool)
  for b in range(batch):
    for flag, t in zip(flags, (0, 2, 3)):
      flag[1 + (t + b) % length, b] = True
  terminated, life_lost, truncated = flags
  return types.Unroll(
    memory=np.zeros([0, batch, SIZE]),
    env_outputs=types.EnvOutput(
      reward=rng.uniform(-2.0, 2.0, shape).astype(np.float32),
      terminated=terminated,
      truncated=truncated,
      life_lost=life_lost,
      observation=rng.normal(size=[*shape, SIZE]),
    ),
    agent_outputs=types.AgentOutput(
      action=rng.integers(0, NUM_ACTIONS, shape).astype(np.int32),
      policy_logits=rng.normal(size=[*shape, NUM_ACTIONS]).astype(np.float32),
      baseline=np.zeros(shape, np.float32),
    ),
  )


def core_state(batch, units, dtype=np.float64) -> types.CoreState:
  """What a core might have of B environments before a step."""
  rng = np.random.default_rng(batch)
  return types.CoreState(
    lstm=rng.uniform(-1.0, 1.0, [batch, 2 * units]).astype(dtype),
    action=rng.integers(0, NUM_ACTIONS, batch).astype(np.int32),
  )


def tensors(nest):
  """The nest with tensors in the place of arrays."""
  return tf.nest.map_structure(tf.constant, nest)


def config(learned=LEARNED, **fields):
  """A config whose meta-step is the meta-gradient itself, negated."""
  return config_lib.preset(
    'paper',
    **{
      **dict(
        learned=learned,
        conditioning=False,
        meta_optimizer='sgd',
        meta_learning_rate=1.0,
        discount=0.8,
        lambda_=0.7,
        entropy_cost=0.2,
        outer_entropy_cost=1.0,
        outer_baseline_cost=1.0,
        leak=0.9,
        policy_cost=0.8,
        rho_bar=1.2,
        c_bar=0.9,
      ),
      **fields,
    },
  )


def setup(settings, *, network=None):
  """(rules, state) in the middle of training: no slot is at its start."""
  network = network or make_network(
    len(settings.learned) if settings.conditioning else 0
  )
  rules = agent_rules.make(settings, network)
  eta = agent.initial_eta(settings, dtype=tf.float64)
  state = meta.init(rules, tensors(network.init(0)), eta)
  rng = np.random.default_rng(1)
  opt_state = tf.nest.map_structure(
    lambda slot: tf.constant(rng.uniform(0.1, 2.0, slot.shape)), state.opt_state
  )
  return rules, state._replace(opt_state=opt_state)


def unrolls(batch, steps=1, seed=0):
  """(inner unrolls, a list of a later one)."""
  *inner, later = (tensors(unroll(seed + k, batch)) for k in range(steps + 1))
  return inner, [later]
