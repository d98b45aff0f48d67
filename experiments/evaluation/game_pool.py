"""Many Atari games, stepped by processes of their own.

ale-py holds Python's lock while it plays, so threads would take turns.
"""

from collections.abc import Mapping
import multiprocessing
from multiprocessing import connection as connection_lib
from multiprocessing import context as context_lib
import os
import signal
from typing import NamedTuple

import numpy as np

from experiments.evaluation import atari_game


class Start(NamedTuple):
  """Begins an episode in the place of an action."""

  ale_actions: bytes  # One a frame, from power-on.
  seed: int  # Seed of the sticky actions.


class Outcome(NamedTuple):
  """What an action or a start led to in a game."""

  reward: float
  ended: bool  # The game is over, or has had all its frames.
  capped: bool  # It has had all its frames and is not over.
  frame: np.ndarray  # uint8 [84, 84].
  frames: int  # Since the start.
  played: bytes  # ALE actions since power-on, where it ended; else b''.


Commands = Mapping[int, int | Start]  # By the number of the game.


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
    self._connections: list[connection_lib.Connection] = []
    self._processes: list[context_lib.SpawnProcess] = []
    # They end when the pool is closed; Ctrl-C is for this process alone.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
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
    finally:
      signal.signal(signal.SIGINT, before)

  def step(self, commands: Commands) -> dict[int, Outcome]:
    """Gives games, by number, an action of the minimal set or a start.

    Raises:
      ValueError: a start ends its game.
    """
    parts: list[dict[int, int | Start]] = [{} for _ in self._connections]
    for game, command in commands.items():
      parts[game % len(parts)][game] = command
    for connection, part in zip(self._connections, parts):
      connection.send(part)
    outcomes: dict[int, Outcome] = {}
    for connection in self._connections:
      received = connection.recv()
      if isinstance(received, ValueError):
        raise received
      outcomes.update(received)
    return outcomes

  def close(self) -> None:
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
) -> None:
  """Steps its part of the games until the pool is closed."""
  games: dict[int, atari_game.Game] = {}
  rngs: dict[int, np.random.Generator] = {}

  def play(number: int, command: int | Start) -> Outcome:
    if number not in games:
      games[number] = atari_game.Game(name)
    game = games[number]
    if isinstance(command, Start):
      rngs[number] = np.random.default_rng(command.seed)
      frame = game.start(command.ale_actions)
      return Outcome(0.0, False, False, frame, 0, b'')
    step = game.step(command, rngs[number], sticky_actions)
    ended = step.over or game.frames >= max_frames
    return Outcome(
      reward=step.reward,
      ended=ended,
      capped=ended and not step.over,
      frame=step.frame,
      frames=game.frames,
      played=bytes(game.played) if ended else b'',
    )

  while True:
    try:
      commands = connection.recv()
    except EOFError:
      return
    try:
      connection.send(
        {number: play(number, command) for number, command in commands.items()}
      )
    except ValueError as error:
      connection.send(error)
