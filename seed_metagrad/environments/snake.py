"""Snake on a 6 x 6 board, by the rules of Jumanji (Bonnet et al. 2024)."""

import json

import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment

SIZE = 6  # Rows and columns; Jumanji's default is 12.
CELLS = SIZE * SIZE
TIME_LIMIT = 4000  # Jumanji's default.
UP, RIGHT, DOWN, LEFT = range(4)

_ROW_MOVES = np.array([-1, 0, 1, 0])
_COLUMN_MOVES = np.array([0, 1, 0, -1])


class Snake:
  """E boards; up, right, down, left; +1 for a fruit, which adds a cell.

  An episode terminates where the snake leaves the board or bites itself, where
  it fills the board, and after TIME_LIMIT steps: there as well Jumanji
  bootstraps from nothing. A snake may follow its tail closely.

  The planes of the observation: the body, 1 in every cell of the snake, its
  head and its tail included; the head; the tail; the fruit; and the body's
  order, from 1 at the head down to 1 / length at the tail. Jumanji shows its
  agents the number of steps and the moves that are possible as well; here they
  see the planes alone.
  """

  spec = types.EnvSpec((SIZE, SIZE, 5), 'float32', num_actions=4)

  def __init__(self, num_envs: int, *, seed: int):
    self.num_envs = num_envs
    self._rng = np.random.default_rng(np.random.SeedSequence(seed))
    self._rows = np.arange(num_envs)
    # The cells' places in the body: 0 for none, 1 for the tail, its length for
    # the head.
    self._order = np.zeros((num_envs, CELLS), np.int8)
    self._head = np.zeros(num_envs, np.int64)  # Cells, row by row.
    self._fruit = np.zeros(num_envs, np.int64)
    self._steps = np.zeros(num_envs, np.int64)

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts E snakes of one cell."""
    everywhere = np.ones(self.num_envs, bool)
    self._start(everywhere)
    self._drop_fruit(everywhere)
    return environment.first_output(self._observation())

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Moves every snake by one cell."""
    environment.check_actions(actions, self.num_envs, self.spec)
    row = self._head // SIZE + _ROW_MOVES[actions]
    column = self._head % SIZE + _COLUMN_MOVES[actions]
    inside = (row >= 0) & (row < SIZE) & (column >= 0) & (column < SIZE)
    target = np.where(inside, row * SIZE + column, self._head)
    # The tail's cell, of order 1, is left in time.
    bad = ~inside | (self._order[self._rows, target] > 1)
    ate = ~bad & (target == self._fruit)
    length = self._length() + ate
    self._order = np.maximum(self._order - ~ate[:, np.newaxis], 0)
    self._order[self._rows, target] = length
    self._head = target
    self._steps += 1
    ended = bad | (length == CELLS) | (self._steps >= TIME_LIMIT)
    self._start(ended)
    self._drop_fruit(ended | ate)
    nothing = np.zeros(self.num_envs, bool)
    return types.EnvOutput(
      ate.astype(np.float32), ended, nothing, nothing, self._observation()
    )

  def close(self) -> None:
    """Does nothing."""

  def get_state(self) -> bytes:
    """Returns all that `set_state` needs to go on exactly from here."""
    return json.dumps(
      {
        'rng': self._rng.bit_generator.state,
        'order': self._order.tolist(),
        'fruit': self._fruit.tolist(),
        'steps': self._steps.tolist(),
      }
    ).encode()

  def set_state(self, state: bytes) -> None:
    """Goes back to where `get_state` was called, with as many environments."""
    saved = json.loads(state)
    order = np.array(saved['order'], np.int8)
    if order.shape != (self.num_envs, CELLS):
      raise ValueError(
        f'state must be of {self.num_envs} boards, got {order.shape}.'
      )
    self._rng.bit_generator.state = saved['rng']
    self._order, self._head = order, order.argmax(axis=1)
    self._fruit = np.array(saved['fruit'], np.int64)
    self._steps = np.array(saved['steps'], np.int64)

  def _length(self) -> np.ndarray:
    return self._order[self._rows, self._head]

  def _start(self, where: np.ndarray) -> None:
    """Puts a snake of one cell anywhere."""
    cells = self._rng.integers(CELLS, size=where.sum())
    self._order[where] = 0
    self._order[where, cells] = 1
    self._head[where] = cells
    self._steps[where] = 0

  def _drop_fruit(self, where: np.ndarray) -> None:
    """Puts the fruit into any free cell."""
    # The number of free cells up to each.
    free = (self._order[where] == 0).cumsum(axis=1)
    chosen = self._rng.integers(free[:, -1])
    self._fruit[where] = (free <= chosen[:, np.newaxis]).sum(axis=1)

  def _observation(self) -> np.ndarray:
    planes = np.zeros((self.num_envs, CELLS, 5), np.float32)
    planes[..., 0] = self._order > 0
    planes[self._rows, self._head, 1] = 1.0
    planes[..., 2] = self._order == 1
    planes[self._rows, self._fruit, 3] = 1.0
    planes[..., 4] = self._order / self._length()[:, np.newaxis].astype(
      np.float32
    )
    return planes.reshape(self.num_envs, *self.spec.observation_shape)


def spec(argument: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('snake', argument, settings)
  return Snake.spec


def make(
  argument: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> Snake:
  """Makes E of them; `num_threads` is not used.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('snake', argument, settings)
  return Snake(num_envs, seed=seed)
