"""Plays whole episodes with a policy, many at a time.

No short episode is preferred: on Atari every episode that begins is counted;
elsewhere the first K of each environment are, however long they take.
"""

from collections.abc import Mapping, Sequence
import operator
from typing import NamedTuple, Protocol

import numpy as np

from experiments.evaluation import atari_game
from experiments.evaluation import game_pool
from seed_metagrad import types
from seed_metagrad.environments import environment


class Policy(Protocol):
  """What is played: `policy.Policy`, or a random one."""

  def reset(self, num_envs: int) -> None:
    """Makes place for E environments."""

  def act(
    self,
    observations: np.ndarray,
    reset: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Policy logits [E, A] and values [E] at the newest observations.

    reset: bool [E], where the observation is the first of its episode. actions,
    rewards: [E, ...] and [E], what led to the observation; not looked at where
    it is the first.
    """


class Pool(Protocol):
  """Where Atari games are played: `game_pool.GamePool`."""

  def step(
    self, commands: Mapping[int, int | game_pool.Start]
  ) -> dict[int, game_pool.Outcome]:
    """Gives games, by number, an action or a start."""


class Watch:
  """Is told how playing goes, and may stop it."""

  def stepped(self, num_envs: int) -> bool:
    """Hears that so many environments are stepped next; false stops."""
    del num_envs
    return True

  def ended(self) -> None:
    """Hears that an episode has ended."""


_UNWATCHED = Watch()


class Episode(NamedTuple):
  """An episode that was played to its end."""

  number: int  # From 0.
  score: float  # Raw.
  frames: int  # After the start.
  start_frames: int  # Before it: no-ops, or those of a start state.
  capped: bool  # It was still going on after the most frames.
  values: list[float]  # V at each step.
  played: bytes  # ALE actions from power-on, one a frame; b'' elsewhere.


class _Running:
  """An episode in progress and its own RNG."""

  def __init__(
    self,
    number: int,
    seed: int,
    greedy: bool,
    start: bytes = b'',
    spec: types.EnvSpec | None = None,
  ):
    self.number = number
    self.rng = np.random.default_rng(seed)
    self.start_frames = len(start)
    self.score = 0.0
    self.values: list[float] = []
    self._greedy = greedy
    self._spec = spec

  def choose(self, logits: np.ndarray, value: float) -> int | np.ndarray:
    """Samples an action of the policy, or takes the likeliest.

    Raises:
      ValueError: the logits are not finite.
    """
    if not np.isfinite(logits).all():
      raise ValueError(
        f'the policy is not finite: logits {logits.tolist()} at step'
        f' {len(self.values)} of episode {self.number}.'
      )
    self.values.append(float(value))
    if self._spec and self._spec.action_dims:
      mean, scale = np.split(logits, 2)
      if self._greedy:
        return mean
      scale = np.logaddexp(0, scale) + types.SMALLEST_SCALE
      return self.rng.normal(mean, scale)
    if not self._greedy:  # The largest is then a sample of the softmax.
      logits = logits + self.rng.gumbel(size=logits.shape)
    if not self._spec or not self._spec.action_sizes:
      return int(np.argmax(logits))
    ends = np.cumsum(self._spec.action_sizes)[:-1]
    return np.array([np.argmax(part) for part in np.split(logits, ends)])

  def episode(self, frames: int, capped: bool, played: bytes = b'') -> Episode:
    return Episode(
      number=self.number,
      score=self.score,
      frames=frames,
      start_frames=self.start_frames,
      capped=capped,
      values=self.values,
      played=played,
    )


def play_games(
  policy: Policy,
  pool: Pool,
  num_games: int,
  starts: Sequence[bytes],
  *,
  seed: int,
  greedy: bool = False,
  watch: Watch = _UNWATCHED,
) -> list[Episode]:
  """Plays one Atari episode from each start, `num_games` at a time.

  An episode depends on the seed and its number alone, not on `num_games`.
  Where it is stopped, only what had ended comes back.
  """
  seeds = np.random.SeedSequence(seed).generate_state(2 * len(starts))
  waiting = list(range(len(starts)))[::-1]
  episodes: list[Episode] = []
  running: dict[int, _Running] = {}
  commands: dict[int, int | game_pool.Start] = {}
  frames = np.zeros((num_games, *atari_game.FRAME_SHAPE), np.uint8)
  reset = np.zeros(num_games, bool)
  actions = np.zeros(num_games, np.int32)
  rewards = np.zeros(num_games, np.float32)
  policy.reset(num_games)
  while True:
    for game in range(num_games):
      if game not in running and waiting:
        number = waiting.pop()
        start, own = starts[number], int(seeds[2 * number])
        running[game] = _Running(number, own, greedy, start)
        commands[game] = game_pool.Start(start, int(seeds[2 * number + 1]))
    if not commands or not watch.stepped(len(commands)):
      return sorted(episodes, key=operator.attrgetter('number'))
    outcomes = pool.step(commands)
    reset[:] = False
    for game, outcome in outcomes.items():
      frames[game] = outcome.frame
      reset[game] = isinstance(commands[game], game_pool.Start)
      running[game].score += outcome.reward
      rewards[game] = outcome.reward
      if outcome.ended:
        episodes.append(
          running.pop(game).episode(
            outcome.frames, outcome.capped, outcome.played
          )
        )
        watch.ended()
    logits, values = policy.act(frames, reset, actions, rewards)
    commands = {}
    for game, episode in running.items():
      actions[game] = episode.choose(logits[game], values[game])
      commands[game] = int(actions[game])


def play_environments(
  policy: Policy,
  envs: Sequence[environment.Environment],
  num_episodes: int,
  *,
  seed: int,
  max_frames: int,
  greedy: bool = False,
  watch: Watch = _UNWATCHED,
) -> list[Episode]:
  """Plays episodes in batches of one environment that restart by themselves.

  Each of them gives the same number of episodes, or one more. Where it is
  stopped, only what had ended comes back.

  max_frames: then an episode is cut, and its environment reset.

  Raises:
    ValueError: an observation or a reward is not finite.
  """
  seeds = np.random.SeedSequence(seed).generate_state(num_episodes)
  # Episode n is one of environment n % E.
  waiting = [
    list(range(num_episodes)[e :: len(envs)])[::-1] for e in range(len(envs))
  ]
  episodes: list[Episode] = []
  running: dict[int, _Running] = {}
  policy.reset(len(envs))
  outputs = [env.reset() for env in envs]
  reset = np.ones(len(envs), bool)
  spec = envs[0].spec
  actions = np.zeros([len(envs), *spec.action_shape], spec.action_dtype)
  rewards = np.zeros(len(envs), np.float32)
  while True:
    for e, numbers in enumerate(waiting):
      if e not in running and numbers:
        number = numbers.pop()
        running[e] = _Running(number, int(seeds[number]), greedy, spec=spec)
        _check_finite(outputs[e], running[e])
    if not running or not watch.stepped(len(running)):
      return sorted(episodes, key=operator.attrgetter('number'))
    observations = np.concatenate([output.observation for output in outputs])
    logits, values = policy.act(observations, reset, actions, rewards)
    for e, episode in list(running.items()):
      actions[e] = episode.choose(logits[e], values[e])
      output = outputs[e] = envs[e].step(actions[e : e + 1])
      _check_finite(output, episode)
      rewards[e] = output.reward[0]
      episode.score += float(output.reward[0])
      frames = len(episode.values) * envs[e].spec.action_repeat
      ended = bool(output.terminated[0] or output.truncated[0])
      reset[e] = ended or frames >= max_frames
      if reset[e]:
        if not ended:
          outputs[e] = envs[e].reset()
        episodes.append(running.pop(e).episode(frames, capped=not ended))
        watch.ended()


def _check_finite(
  output: types.EnvOutput[np.ndarray], episode: _Running
) -> None:
  for name, values in (
    ('reward', output.reward),
    ('observation', output.observation),
  ):
    if not np.isfinite(values).all():
      raise ValueError(
        f'the environment gave a {name} that is not finite, {values[0]}, at'
        f' step {len(episode.values)} of episode {episode.number}.'
      )
