"""Many Atari games, stepped by processes of their own.

ale-py holds Python's lock while it plays, so threads would take turns.
"""

import multiprocessing
from multiprocessing import connection as connection_lib
import os
from typing import NamedTuple

import numpy as np

from experiments.evaluation import atari_game


class Start(NamedTuple):
  """Begins an episode in the place of an action."""

  ale_actions: bytes  # One a frame, from power-on.
  seed: int  # Of the sticky actions.


class Answer(NamedTuple):
  """What a game did with an action or a start."""

  reward: float
  ended: bool  # The game is over, or has had all its frames.
  frame: np.ndarray  # uint8 [84, 84].
  frames: int  # Since the start.
  played: bytes  # ALE actions since power-on, where it ended; else b''.


class GamePool:
  """N games of one kind; to be closed.

  Raises:
    ValueError: ale-py has no such game.
  """

  def __init__(
    self,
    game: str,
    num_games: int,
    *,
    sticky_actions: float = 0.0,
    max_frames: int,
  ):
    atari_game.rom_md5(game)  # Refuses an unknown game here, in a sentence.
    num_processes = min(num_games, len(os.sched_getaffinity(0)))
    context = multiprocessing.get_context('spawn')  # TensorFlow has threads.
    self._connections, self._processes = [], []
    for _ in range(num_processes):
      ours, theirs = context.Pipe()
      process = context.Process(
        target=_serve,
        args=(theirs, game, sticky_actions, max_frames),
        daemon=True,
      )
      process.start()
      theirs.close()
      self._connections.append(ours)
      self._processes.append(process)

  def step(self, commands: dict[int, int | Start]) -> dict[int, Answer]:
    """Gives games, by number, an action of the minimal set or a start.

    Raises:
      ValueError: a start ends its game.
    """
    parts = [{} for _ in self._connections]
    for game, command in commands.items():
      parts[game % len(parts)][game] = command
    for connection, part in zip(self._connections, parts):
      connection.send(part)
    answers = {}
    for connection in self._connections:
      part = connection.recv()
      if isinstance(part, ValueError):
        raise part
      answers.update(part)
    return answers

  def close(self):
    """Ends the processes."""
    for connection in self._connections:
      connection.close()
    for process in self._processes:
      process.join()


def _serve(
  connection: connection_lib.Connection,
  name: str,
  sticky_actions: float,
  max_frames: int,
):
  """Steps its part of the games until the pool is closed."""
  games: dict[int, atari_game.Game] = {}
  rngs = {}

  def answer(number, command):
    if number not in games:
      games[number] = atari_game.Game(name)
    game = games[number]
    if isinstance(command, Start):
      rngs[number] = np.random.default_rng(command.seed)
      return Answer(0.0, False, game.start(command.ale_actions), 0, b'')
    step = game.step(command, rngs[number], sticky_actions)
    ended = step.over or game.frames >= max_frames
    return Answer(
      step.reward,
      ended,
      step.frame,
      game.frames,
      bytes(game.played) if ended else b'',
    )

  while True:
    try:
      commands = connection.recv()
    except EOFError:
      return
    try:
      connection.send(
        {
          number: answer(number, command)
          for number, command in commands.items()
        }
      )
    except ValueError as error:
      connection.send(error)
