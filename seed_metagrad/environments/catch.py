"""Catch: move a paddle under a falling ball (Mnih et al. 2014; bsuite)."""

import json

import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment

ROWS = 10
COLUMNS = 5


class Catch:
  """E boards of 10 x 5; left, stay, right; +1 for a catch, -1 for a miss.

  The observation is 1 at the ball and at the paddle, which stays in the last
  row. An episode takes 9 steps; only the last one pays.
  """

  spec = types.EnvSpec((ROWS, COLUMNS), 'float32', num_actions=3)

  def __init__(self, num_envs: int, *, seed: int):
    self.num_envs = num_envs
    self._rng = np.random.default_rng(np.random.SeedSequence(seed))
    self._row = np.zeros(num_envs, np.int64)
    self._column = np.zeros(num_envs, np.int64)
    self._paddle = np.zeros(num_envs, np.int64)

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Drops E new balls."""
    self._drop_balls(np.ones(self.num_envs, bool))
    return environment.first_output(self._observation())

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Moves the paddles by `actions` - 1 and the balls down by one row."""
    environment.check_actions(actions, self.num_envs, self.spec)
    self._paddle = np.clip(
      self._paddle + actions.astype(np.int64) - 1, 0, COLUMNS - 1
    )
    self._row += 1
    ended = self._row == ROWS - 1
    caught = np.where(self._paddle == self._column, 1.0, -1.0)
    reward = np.where(ended, caught, 0.0).astype(np.float32)
    self._drop_balls(ended)
    nothing = np.zeros(self.num_envs, bool)
    return types.EnvOutput(reward, ended, nothing, nothing, self._observation())

  def close(self) -> None:
    """Does nothing."""

  def get_state(self) -> bytes:
    """Returns all that `set_state` needs to go on exactly from here."""
    return json.dumps(
      {
        'rng': self._rng.bit_generator.state,
        'boards': [
          self._row.tolist(),
          self._column.tolist(),
          self._paddle.tolist(),
        ],
      }
    ).encode()

  def set_state(self, state: bytes) -> None:
    """Goes back to where `get_state` was called, with as many environments."""
    saved = json.loads(state)
    boards = np.array(saved['boards'], np.int64)
    if boards.shape != (3, self.num_envs):
      raise ValueError(
        f'state must be of {self.num_envs} boards, got {boards.shape[1:]}.'
      )
    self._rng.bit_generator.state = saved['rng']
    self._row, self._column, self._paddle = boards

  def _drop_balls(self, where: np.ndarray) -> None:
    self._row[where] = 0
    self._column[where] = self._rng.integers(COLUMNS, size=where.sum())
    self._paddle[where] = COLUMNS // 2

  def _observation(self) -> np.ndarray:
    board = np.zeros((self.num_envs, ROWS, COLUMNS), np.float32)
    rows = np.arange(self.num_envs)
    board[rows, self._row, self._column] = 1.0
    board[rows, ROWS - 1, self._paddle] = 1.0
    return board


def spec(argument: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('catch', argument, settings)
  return Catch.spec


def make(
  argument: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> Catch:
  """Makes E of them; `num_threads` is not used.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('catch', argument, settings)
  return Catch(num_envs, seed=seed)
