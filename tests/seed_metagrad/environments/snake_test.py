"""Snake against cases made by hand, and against Jumanji's own."""

import json

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import pytest

from seed_metagrad.environments import snake

_UP, _RIGHT, _DOWN, _LEFT = range(4)


def _set(env, order, fruit, steps=0):
  """Puts `env` where the bodies' orders [E, 6, 6] and fruits [E] say."""
  state = json.loads(env.get_state())
  state['order'] = np.reshape(order, (env.num_envs, 36)).tolist()
  state['fruit'] = np.reshape(fruit, env.num_envs).tolist()
  state['steps'] = np.broadcast_to(steps, env.num_envs).tolist()
  env.set_state(json.dumps(state).encode())


def _one(cells, fruit, steps=0):
  """An environment whose snake lies in `cells` (row, column), head first."""
  env = snake.Snake(1, seed=1)
  order = np.zeros((6, 6), int)
  for i, cell in enumerate(cells):
    order[cell] = len(cells) - i
  _set(env, order, fruit[0] * 6 + fruit[1], steps)
  return env


def _step(env, action):
  return env.step(np.array([action]))


class SnakeTest(parameterized.TestCase):
  def test_planes_by_hand(self):
    env = _one([(1, 1), (1, 0), (2, 0)], fruit=(4, 5))
    planes = _step(env, _RIGHT).observation[0]
    for plane, cells in enumerate(
      (
        {(1, 2): 1, (1, 1): 1, (1, 0): 1},  # The body.
        {(1, 2): 1},  # Its head.
        {(1, 0): 1},  # Its tail.
        {(4, 5): 1},  # The fruit.
        {(1, 2): 1, (1, 1): 2 / 3, (1, 0): 1 / 3},  # The order.
      )
    ):
      expected = np.zeros((6, 6), np.float32)
      for cell, value in cells.items():
        expected[cell] = value
      np.testing.assert_array_equal(planes[..., plane], expected)

  @parameterized.parameters(
    (_UP, (1, 3)), (_RIGHT, (2, 4)), (_DOWN, (3, 3)), (_LEFT, (2, 2))
  )
  def test_actions_move_the_head(self, action, cell):
    output = _step(_one([(2, 3)], fruit=(5, 5)), action)
    self.assertEqual(output.observation[0, *cell, 1], 1)
    self.assertFalse(output.terminated[0])
    self.assertEqual(output.reward[0], 0)

  @parameterized.parameters(
    (_UP, (0, 3)), (_RIGHT, (3, 5)), (_DOWN, (5, 0)), (_LEFT, (4, 0))
  )
  def test_walls_end_the_episode(self, action, cell):
    output = _step(_one([cell], fruit=(2, 2)), action)
    self.assertTrue(output.terminated[0])
    self.assertFalse(output.truncated[0])
    self.assertEqual(output.reward[0], 0)

  @parameterized.named_parameters(
    ('the_neck', [(2, 2), (2, 1), (2, 0)], _LEFT, True),
    ('the_body', [(2, 2), (2, 1), (1, 1), (1, 2), (1, 3)], _UP, True),
    # The tail moves away.
    ('the_tail', [(2, 2), (2, 1), (1, 1), (1, 2)], _UP, False),
    ('the_tail_of_two', [(2, 2), (2, 1)], _LEFT, False),
  )
  def test_snake_bites(self, cells, action, ends):
    output = _step(_one(cells, fruit=(5, 5)), action)
    self.assertEqual(output.terminated[0], ends)

  def test_fruit_pays_and_adds_a_cell(self):
    env = _one([(2, 2), (2, 1)], fruit=(2, 3))
    output = _step(env, _RIGHT)
    self.assertEqual(output.reward[0], 1)
    self.assertEqual(output.observation[0, ..., 0].sum(), 3)
    self.assertEqual(output.observation[0, 2, 1, 2], 1)  # The tail stays.
    output = _step(env, _RIGHT)
    self.assertEqual(output.observation[0, ..., 0].sum(), 3)

  def test_full_board_ends_the_episode_with_its_fruit(self):
    # Row by row, to and fro: the head is next to the only free cell.
    path = [(r, c if r % 2 == 0 else 5 - c) for r in range(6) for c in range(6)]
    env = _one(path[1:], fruit=(0, 0))
    output = _step(env, _LEFT)
    self.assertEqual(output.reward[0], 1)
    self.assertTrue(output.terminated[0])
    self.assertEqual(output.observation[0, ..., 0].sum(), 1)

  @parameterized.parameters((3998, False), (3999, True))
  def test_time_limit_ends_the_episode(self, steps, ends):
    output = _step(_one([(2, 2)], fruit=(5, 5), steps=steps), _UP)
    self.assertEqual(output.terminated[0], ends)
    self.assertFalse(output.truncated[0])

  def test_steps_count_from_the_episodes_start(self):
    env = _one([(0, 0)], fruit=(5, 5), steps=3999)
    _step(env, _UP)
    self.assertEqual(json.loads(env.get_state())['steps'], [0])

  def test_new_snakes_and_fruits_are_anywhere_free(self):
    planes = snake.Snake(36_000, seed=1).reset().observation
    heads, fruits = planes[..., 1], planes[..., 3]
    self.assertFalse((heads * fruits).any())
    for plane in (heads, fruits):
      # Binomial(36,000, 1/36): mean 1,000, standard deviation 31.2.
      counts = plane.sum(axis=0)
      self.assertEqual(counts.sum(), 36_000)
      self.assertLess(np.abs(counts - 1000).max(), 5 * 31.2)

  def test_next_fruit_is_in_any_free_cell(self):
    num_envs = 10_000
    env = snake.Snake(num_envs, seed=2)
    _set(env, [[1] + [0] * 35] * num_envs, [1] * num_envs)
    fruits = env.step(np.full(num_envs, _RIGHT)).observation[..., 3]
    # The 34 cells but (0, 0) and (0, 1): mean 294.1, deviation 16.9.
    counts = fruits.sum(axis=0).ravel()
    np.testing.assert_array_equal(counts[:2], 0)
    self.assertLess(np.abs(counts[2:] - 10_000 / 34).max(), 5 * 16.9)


class JumanjiTest(absltest.TestCase):
  """Equality with Jumanji's Snake, all but where a new fruit comes up.

  Needs `pip install jumanji`; skipped without it.
  """

  def setUp(self):
    super().setUp()
    environments = pytest.importorskip('jumanji.environments')
    self.jax = pytest.importorskip('jax')
    self.jumanji = environments.Snake(num_rows=6, num_cols=6)
    self.rng = np.random.default_rng(0)

  def _actions(self, theirs):
    """Mostly possible moves, so that snakes grow."""
    mask = np.asarray(theirs.action_mask)
    chance = np.where(mask, 1.0, 0.005) * self.rng.random(mask.shape)
    return chance.argmax(axis=1)

  def _set(self, env, theirs):
    fruit = np.asarray(theirs.fruit_position.row) * 6 + np.asarray(
      theirs.fruit_position.col
    )
    _set(env, np.asarray(theirs.body_state), fruit, theirs.step_count)

  def _check(self, output, step, ate):
    ended = np.asarray(step.last())
    np.testing.assert_array_equal(output.reward, step.reward)
    np.testing.assert_array_equal(output.terminated, ended)
    np.testing.assert_array_equal(1 - output.terminated, step.discount)
    self.assertFalse(output.truncated.any())
    ours, theirs = output.observation, np.asarray(step.observation.grid)
    np.testing.assert_array_equal(
      ours[~ended][..., :3], theirs[~ended][..., :3]
    )
    np.testing.assert_array_equal(
      ours[~ended & ~ate][..., 3], theirs[~ended & ~ate][..., 3]
    )
    # XLA multiplies by 1 / length.
    np.testing.assert_array_max_ulp(
      ours[~ended][..., 4], theirs[~ended][..., 4]
    )

  def test_steps_are_jumanjis(self):
    num_envs, jax = 64, self.jax
    env = snake.Snake(num_envs, seed=1)
    step = jax.jit(jax.vmap(self.jumanji.step))
    start = jax.jit(jax.vmap(self.jumanji.reset))
    theirs, _ = start(jax.random.split(jax.random.PRNGKey(0), num_envs))
    fresh, longest, ends = theirs, 0, 0
    for _ in range(1500):
      self._set(env, theirs)
      actions = self._actions(theirs)
      theirs, timestep = step(theirs, actions)
      ate = np.asarray(timestep.reward) > 0
      self._check(env.step(actions), timestep, ate)
      longest = max(longest, int(theirs.length.max()))
      ended = np.asarray(timestep.last())
      ends += ended.sum()
      theirs = jax.tree.map(
        lambda new, old, ended=ended: np.where(
          ended.reshape(-1, *[1] * (old.ndim - 1)), new, old
        ),
        fresh,
        theirs,
      )
    self.assertGreater(longest, 12)  # So there were bodies to bite.
    self.assertGreater(ends, 100)

  def test_time_limit_is_jumanjis(self):
    jax, env = self.jax, snake.Snake(1, seed=1)
    theirs, _ = self.jumanji.reset(jax.random.PRNGKey(1))
    theirs = theirs.replace(step_count=jax.numpy.int32(snake.TIME_LIMIT - 3))
    lasts = []
    for _ in range(3):
      self._set(env, jax.tree.map(lambda x: np.asarray(x)[np.newaxis], theirs))
      action = int(np.argmax(theirs.action_mask))
      theirs, timestep = self.jumanji.step(theirs, action)
      self.assertEqual(_step(env, action).terminated[0], bool(timestep.last()))
      lasts.append(bool(timestep.last()))
    self.assertEqual(lasts, [False, False, True])


if __name__ == '__main__':
  absltest.main()
