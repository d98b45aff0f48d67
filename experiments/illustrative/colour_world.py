"""Two objects on a grid, one good and one bad, and who acts there.

One stream of steps without an end (Flennerhag et al. 2022). Stepping on an
object pays +1 or -1 and draws new cells for all; which one is good flips every
100,000 steps.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seed_metagrad import types
from seed_metagrad.meta_gradients import meta_parameters

SIZE = 5  # Cells a side.
NUM_ACTIONS = 4
NUM_FEATURES = 6 * SIZE
FLIP_EVERY = 100_000  # Steps.
UNROLL_LENGTH = 16  # T.
UNITS = (64, 64)  # Hidden layers; the paper has (256, 256).
_MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))


class World(NamedTuple):
  """S worlds in step with each other."""

  cells: tf.Tensor  # int32 [S, 3, 2]: of the agent and of both objects.
  num_steps: tf.Tensor  # int32 [], since the start.


class Params(NamedTuple):
  """The layers of both networks."""

  policy: list[meta_parameters.Dense]
  value: list[meta_parameters.Dense]


def draw_cells(uniform: tf.Tensor) -> tf.Tensor:
  """Three different cells, int32 [S, 3, 2], of numbers in [0, 1), [S, 3]."""
  free = SIZE * SIZE
  a, b, c = (tf.cast(uniform[:, i] * (free - i), tf.int32) for i in range(3))
  b += tf.cast(b >= a, tf.int32)
  c += tf.cast(c >= tf.minimum(a, b), tf.int32)
  c += tf.cast(c >= tf.maximum(a, b), tf.int32)
  drawn = tf.stack([a, b, c], axis=1)
  return tf.stack([drawn // SIZE, tf.math.floormod(drawn, SIZE)], axis=2)


def observe(world: World) -> tf.Tensor:
  """One-hot coordinates of agent and objects, [S, 30]."""
  return tf.reshape(tf.one_hot(world.cells, SIZE), [-1, NUM_FEATURES])


def step(
  world: World, actions: tf.Tensor, uniform: tf.Tensor
) -> tuple[World, tf.Tensor]:
  """The worlds after actions [S], and rewards [S]; walls hold the agent.

  uniform: [S, 3], for `draw_cells` where an object was reached.
  """
  moved = world.cells[:, 0] + tf.gather(tf.constant(_MOVES), actions)
  agent = tf.clip_by_value(moved, 0, SIZE - 1)
  objects = world.cells[:, 1:]
  reached = tf.reduce_all(agent[:, tf.newaxis] == objects, axis=2)
  good = tf.math.floormod(world.num_steps // FLIP_EVERY, 2)
  signs = tf.where(tf.range(2) == good, 1.0, -1.0)
  cells = tf.where(
    tf.reduce_any(reached, axis=1)[:, tf.newaxis, tf.newaxis],
    draw_cells(uniform),
    tf.concat([agent[:, tf.newaxis], objects], axis=1),
  )
  rewards = tf.reduce_sum(tf.cast(reached, tf.float32) * signs, axis=1)
  return World(cells, world.num_steps + 1), rewards


def init_params(seed: int, num_seeds: int) -> Params:
  """Weights of S seeds, uniform (Glorot and Bengio 2010)."""
  rng = np.random.default_rng(seed)

  def layers(num_outputs: int) -> list[meta_parameters.Dense]:
    sizes = [NUM_FEATURES, *UNITS, num_outputs]
    made = []
    for inputs, outputs in zip(sizes, sizes[1:]):
      limit = np.sqrt(6.0 / (inputs + outputs))
      kernel = rng.uniform(-limit, limit, [num_seeds, inputs, outputs])
      bias = tf.zeros([num_seeds, 1, outputs])
      made.append(meta_parameters.Dense(tf.constant(kernel, tf.float32), bias))
    return made

  return Params(layers(NUM_ACTIONS), layers(1))


def apply_layers(
  layers: list[meta_parameters.Dense], x: tf.Tensor
) -> tf.Tensor:
  """[N, outputs] of x [N, inputs] for one seed; [S, N, ...] for all."""
  *hidden, last = layers
  for layer in hidden:
    x = tf.nn.relu(tf.matmul(x, layer.kernel) + layer.bias)
  outputs: tf.Tensor = tf.matmul(x, last.kernel) + last.bias
  return outputs


class _Acted(NamedTuple):
  """One step of S worlds."""

  world: World  # After it.
  observations: tf.Tensor  # Before it.
  actions: tf.Tensor
  policy_logits: tf.Tensor
  rewards: tf.Tensor


def act(
  params: Params, world: World, seed: tf.Tensor
) -> tuple[World, types.Unroll[tf.Tensor]]:
  """Steps S worlds T times; unrolls [S, T + 1, 1, ...]."""
  num_seeds = int(world.cells.shape[0] or 0)
  uniform = tf.random.stateless_uniform((UNROLL_LENGTH, num_seeds, 4), seed)

  def act_once(world: World, uniform: tf.Tensor) -> _Acted:
    x = observe(world)
    logits = apply_layers(params.policy, x[:, tf.newaxis])[:, 0]
    below = tf.cumsum(tf.nn.softmax(logits), axis=1)[:, :-1]
    actions = tf.reduce_sum(tf.cast(uniform[:, :1] >= below, tf.int32), axis=1)
    world, rewards = step(world, actions, uniform[:, 1:])
    return _Acted(world, x, actions, logits, rewards)

  acted = tf.scan(
    lambda last, uniform: act_once(last.world, uniform),
    uniform,
    tf.nest.map_structure(tf.zeros_like, act_once(world, uniform[0]))._replace(
      world=world
    ),
  )
  world = tf.nest.map_structure(lambda x: x[-1], acted.world)
  last = observe(world)

  def column(x: tf.Tensor) -> tf.Tensor:
    """[T + 1, S, ...] -> [S, T + 1, 1, ...]."""
    order = [1, 0, *range(2, x.shape.rank)]
    return tf.transpose(x, order)[:, :, tf.newaxis]

  def repeated(x: tf.Tensor) -> tf.Tensor:
    return column(tf.concat([x, x[-1:]], axis=0))  # The last one is not used.

  x = column(tf.concat([acted.observations, last[tf.newaxis]], axis=0))
  rewards = column(tf.pad(acted.rewards, [[1, 0], [0, 0]]))
  never = tf.zeros_like(rewards, tf.bool)
  return world, types.Unroll(
    memory=(),  # type: ignore[arg-type]  # No frames are stacked.
    env_outputs=types.EnvOutput(rewards, never, never, never, x),
    agent_outputs=types.AgentOutput(
      repeated(acted.actions),
      repeated(acted.policy_logits),
      apply_layers(params.value, x[:, :, 0]),
    ),
  )
