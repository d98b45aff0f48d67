"""Plays whole episodes with a policy, many at a time.

No short episode is preferred: on Atari every episode that begins is counted;
elsewhere the first K of each environment are, however long they take.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from experiments.evaluation import game_pool
from seed_metagrad.environments import environment


class Policy(Protocol):
  """What is played: `policy.Policy`, or a random one."""

  def reset(self, num_envs: int) -> None:
    """Makes place for E environments."""

  def act(
    self, observations: np.ndarray, reset: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Policy logits [E, A] and values [E]."""


class Episode(NamedTuple):
  """An episode that was played to its end."""

  score: float  # Raw.
  frames: int  # After the start.
  start_frames: int  # Before it: no-ops, or those of a start state.
  values: list[float]  # V of each step.
  played: bytes  # ALE actions from power-on, one a frame; b'' elsewhere.


class _Running:
  """An episode in progress and its own dice."""

  def __init__(self, seed: int, greedy: bool, start: bytes = b''):
    self.rng = np.random.default_rng(seed)
    self.start_frames = len(start)
    self.score, self.values = 0.0, []
    self._greedy = greedy

  def choose(self, logits: np.ndarray, value: float) -> int:
    self.values.append(float(value))
    if not self._greedy:  # The largest is then a sample of the softmax.
      logits = logits + self.rng.gumbel(size=logits.shape)
    return int(np.argmax(logits))

  def episode(self, frames: int, played: bytes) -> Episode:
    return Episode(self.score, frames, self.start_frames, self.values, played)


def play_games(
  policy: Policy,
  pool: game_pool.GamePool,
  num_games: int,
  starts: list[bytes],
  *,
  seed: int,
  greedy: bool = False,
  ended: Callable[[], Any] = lambda: None,
) -> list[Episode]:
  """Plays one Atari episode from each start, `num_games` at a time.

  An episode depends on the seed and its number alone, not on `num_games`.
  `ended` is called after each.
  """
  seeds = np.random.SeedSequence(seed).generate_state(2 * len(starts))
  waiting = list(range(len(starts)))[::-1]
  episodes: list[Episode | None] = [None] * len(starts)
  numbers, running, commands = {}, {}, {}
  frames, reset = None, np.zeros(num_games, bool)
  policy.reset(num_games)
  while True:
    for game in range(num_games):
      if game not in running and waiting:
        number = numbers[game] = waiting.pop()
        running[game] = _Running(int(seeds[2 * number]), greedy, starts[number])
        commands[game] = game_pool.Start(
          starts[number], int(seeds[2 * number + 1])
        )
    if not commands:
      return episodes
    answers = pool.step(commands)
    if frames is None:
      frames = np.zeros((num_games, *answers[0].frame.shape), np.uint8)
    reset[:] = False
    for game, answer in answers.items():
      frames[game] = answer.frame
      reset[game] = isinstance(commands[game], game_pool.Start)
      running[game].score += answer.reward
      if answer.ended:
        episodes[numbers[game]] = running.pop(game).episode(
          answer.frames, answer.played
        )
        ended()
    logits, values = policy.act(frames, reset)
    commands = {
      game: episode.choose(logits[game], values[game])
      for game, episode in running.items()
    }


def play_environments(
  policy: Policy,
  env: environment.Environment,
  num_episodes: int,
  *,
  seed: int,
  greedy: bool = False,
  ended: Callable[[], Any] = lambda: None,
) -> list[Episode]:
  """Plays episodes in environments that restart by themselves.

  Each environment gives the same number of episodes, or one more.
  """
  seeds = np.random.SeedSequence(seed).generate_state(num_episodes)
  # Episode n is one of environment n % E.
  waiting = [
    list(range(num_episodes)[e :: env.num_envs])[::-1]
    for e in range(env.num_envs)
  ]
  episodes: list[Episode | None] = [None] * num_episodes
  running = [
    _Running(int(seeds[numbers[-1]]), greedy) if numbers else None
    for numbers in waiting
  ]
  policy.reset(env.num_envs)
  output = env.reset()
  reset = np.ones(env.num_envs, bool)
  while any(running):
    logits, values = policy.act(output.observation, reset)
    actions = np.zeros(env.num_envs, np.int32)
    for e, episode in enumerate(running):
      if episode:
        actions[e] = episode.choose(logits[e], values[e])
    output = env.step(actions)
    reset = output.terminated | output.truncated
    for e, episode in enumerate(running):
      if not episode:
        continue
      episode.score += float(output.reward[e])
      if reset[e]:
        episodes[waiting[e].pop()] = episode.episode(
          len(episode.values) * env.spec.action_repeat, b''
        )
        running[e] = (
          _Running(int(seeds[waiting[e][-1]]), greedy) if waiting[e] else None
        )
        ended()
  return episodes
