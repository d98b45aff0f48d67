"""The two objects' grid, step by step."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from experiments.illustrative import colour_world

_UP, _DOWN, _LEFT, _RIGHT = range(4)
_UNIFORM = tf.constant([[0.0, 0.0, 0.0]])


def _world(agent, first, second, num_steps=0):
  return colour_world.World(
    tf.constant([[agent, first, second]]), tf.constant(num_steps)
  )


class ColourWorldTest(parameterized.TestCase):
  @parameterized.parameters(
    (_UP, (0, 2)), (_DOWN, (2, 2)), (_LEFT, (1, 1)), (_RIGHT, (1, 3))
  )
  def test_the_agent_moves_to_the_next_cell(self, action, cell):
    world, rewards = colour_world.step(
      _world((1, 2), (4, 4), (4, 0)), tf.constant([action]), _UNIFORM
    )
    np.testing.assert_array_equal(world.cells, [[cell, (4, 4), (4, 0)]])
    np.testing.assert_array_equal(rewards, [0.0])
    self.assertEqual(world.num_steps, 1)

  @parameterized.parameters(
    (_UP, (0, 0)), (_LEFT, (0, 0)), (_DOWN, (4, 4)), (_RIGHT, (4, 4))
  )
  def test_walls_hold(self, action, corner):
    world, _ = colour_world.step(
      _world(corner, (2, 2), (3, 3)), tf.constant([action]), _UNIFORM
    )
    np.testing.assert_array_equal(world.cells[0, 0], corner)

  @parameterized.parameters(
    (_RIGHT, 0, 1.0),
    (_LEFT, 0, -1.0),
    (_RIGHT, 99_999, 1.0),
    (_RIGHT, 100_000, -1.0),
    (_LEFT, 100_000, 1.0),
    (_RIGHT, 200_000, 1.0),
  )
  def test_what_is_good_flips(self, action, num_steps, reward):
    # Right of the agent is the first object, left of it the second.
    world, rewards = colour_world.step(
      _world((2, 2), (2, 3), (2, 1), num_steps),
      tf.constant([action]),
      tf.constant([[0.5, 0.0, 0.99]]),
    )
    np.testing.assert_array_equal(rewards, [reward])
    # Cell 12; then the first of the others; then the last.
    np.testing.assert_array_equal(world.cells, [[(2, 2), (0, 0), (4, 4)]])

  def test_drawn_cells_differ_and_are_uniform(self):
    uniform = np.random.default_rng(1).uniform(size=[100_000, 3])
    cells = colour_world.draw_cells(tf.constant(uniform, tf.float32))
    places = cells[..., 0] * 5 + cells[..., 1]
    for i, j in ((0, 1), (0, 2), (1, 2)):
      self.assertFalse(np.any(places[:, i] == places[:, j]))
    for i in range(3):
      # 4,000 are expected, with a standard deviation of 62.
      np.testing.assert_allclose(
        np.bincount(places[:, i], minlength=25), 4000, atol=310
      )

  def test_observations_are_one_hot_coordinates(self):
    x = colour_world.observe(_world((0, 4), (2, 1), (3, 3)))
    np.testing.assert_array_equal(
      np.flatnonzero(x[0]), [0, 5 + 4, 10 + 2, 15 + 1, 20 + 3, 25 + 3]
    )
    self.assertEqual(x.shape, (1, 30))

  def test_an_unroll_is_what_stepping_gives(self):
    params = colour_world.init_params(3, 2)
    uniform = tf.constant([[0.1, 0.7, 0.3], [0.9, 0.2, 0.5]])
    first = colour_world.World(
      colour_world.draw_cells(uniform), tf.constant(99_990)
    )
    last, unroll = colour_world.act(params, first, tf.constant([1, 2]))
    drawn = tf.random.stateless_uniform((16, 2, 4), [1, 2])
    world, env, agent = first, unroll.env_outputs, unroll.agent_outputs
    for t in range(16):
      x = colour_world.observe(world)
      np.testing.assert_array_equal(env.observation[:, t, 0], x)
      for seed in range(2):
        layers = [
          (kernel[seed].numpy(), bias[seed].numpy())
          for kernel, bias in params.policy
        ]
        hidden = x[seed : seed + 1].numpy()
        for kernel, bias in layers[:-1]:
          hidden = np.maximum(hidden @ kernel + bias, 0.0)
        np.testing.assert_allclose(
          agent.policy_logits[seed, t], hidden @ layers[-1][0], atol=1e-5
        )
      world, rewards = colour_world.step(
        world, agent.action[:, t, 0], drawn[t, :, 1:]
      )
      np.testing.assert_array_equal(env.reward[:, t + 1, 0], rewards)
    tf.nest.map_structure(np.testing.assert_array_equal, world, last)
    np.testing.assert_array_equal(
      env.observation[:, 16, 0], colour_world.observe(last)
    )
    self.assertLen(set(agent.action.numpy().ravel()), 4)


if __name__ == '__main__':
  absltest.main()
