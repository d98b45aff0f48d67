"""Records start states: points of games from which an evaluation can begin.

Who plays: a policy of --checkpoint; or, with --env, whoever made the file of
--actions; or else a random policy. A file of actions has one game a line: the
ALE actions (0 to 17), one for each frame from power-on, with blanks between.
Each start is a game up to a uniformly drawn frame of it.
"""

from collections.abc import Callable
import os
import pathlib

from absl import flags
import numpy as np

from experiments.evaluation import atari_game
from experiments.evaluation import episodes as episodes_lib
from experiments.evaluation import playing
from experiments.evaluation import start_states
from learner.storage import files
from seed_metagrad import environments
from seed_metagrad import types

_PARALLEL_GAMES = 16


class RandomPolicy:
  """Takes each action as often."""

  def __init__(self, spec: types.EnvSpec):
    self._num_actions = spec.num_actions

  def reset(self, num_envs: int) -> None:
    """Keeps nothing."""

  def act(
    self,
    observations: np.ndarray,
    reset: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Equal logits, and values of zero."""
    del observations, actions, rewards
    return np.zeros((len(reset), self._num_actions)), np.zeros(len(reset))


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  for name, what in (
    ('env', 'Game, where no checkpoint says it.'),
    ('checkpoint', 'Policy that plays: a .npz file or a workdir.'),
    ('actions', "File of somebody's games, one a line."),
  ):
    flags.DEFINE_string(name, '', what, flag_values=flag_values)
  flags.DEFINE_string(
    'out', None, 'File to write.', required=True, flag_values=flag_values
  )
  flags.DEFINE_integer(
    'num_starts',
    100,
    'Starts to record.',
    lower_bound=1,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'max_start_frames',
    18_000,
    'Frames that games are played for at most: by default five minutes.',
    lower_bound=2,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'seed',
    1,
    'Seed of games and of where they are cut.',
    flag_values=flag_values,
  )


def run(flag_values: flags.FlagValues) -> int:
  """Plays and writes the file; returns the exit status."""
  out = pathlib.Path(flag_values.out)
  if out.exists():
    raise ValueError(f'{out} is there already and is not written over.')
  out.parent.mkdir(parents=True, exist_ok=True)
  states = _record(flag_values)
  start_states.write(out, states)
  print(
    f'{len(states.starts)} starts of {states.game}, of {states.source}, are in'
    f' {out}.'
  )
  return 0


def record(
  env: str,
  policy: episodes_lib.Policy,
  num_starts: int,
  *,
  max_start_frames: int,
  seed: int,
  is_stopped: Callable[[], bool] = lambda: False,
) -> list[bytes]:
  """Plays a game for each start and cuts it; none once it is stopped."""
  episodes = playing.play(
    env,
    policy,
    start_states.no_ops(num_starts, seed),
    playing.Conditions(
      seed, max_frames=max_start_frames, parallel_games=_PARALLEL_GAMES
    ),
    is_stopped,
  )
  if len(episodes) < num_starts:
    return []
  return start_states.cut(
    [episode.played for episode in episodes],
    num_starts,
    np.random.default_rng([seed, 1]),
  )


def read_actions(path: str | os.PathLike[str], env: str) -> list[bytes]:
  """Reads and plays the games of a file of actions.

  Raises:
    ValueError: a line is no game, or goes on when its game is over.
  """
  games, game = [], atari_game.Game(env)
  for number, line in enumerate(files.read_text(path).splitlines(), 1):
    try:
      games.append(bytes(map(int, line.split())))
      if len(games[-1]) < 2:
        raise ValueError('a game has at least 2 frames.')
      game.start(games[-1][:-1])  # With its last frame it may be over.
    except ValueError as error:
      raise ValueError(f'{path}, line {number}: {error}') from None
  if not games:
    raise ValueError(f'{path} holds no game.')
  return games


def _record(flag_values: flags.FlagValues) -> start_states.StartStates:
  env, seed = flag_values.env, flag_values.seed
  if flag_values.checkpoint and flag_values.actions:
    raise ValueError('either --checkpoint or --actions plays, not both.')
  policy: episodes_lib.Policy | None = None
  if flag_values.checkpoint:
    loaded = playing.load_policy(flag_values)
    policy, env = loaded, loaded.config.env
    source = f'a policy after {loaded.env_frames} frames'
  if not env:
    raise ValueError('--env must name the game.')
  if not atari_game.exists(env):
    environments.spec(env)  # Names the nearest games.
    raise ValueError(f'start states are of Atari games only, got {env!r}.')
  if flag_values.actions:
    source = f'the games of {pathlib.Path(flag_values.actions).name}'
    starts = start_states.cut(
      read_actions(flag_values.actions, env),
      flag_values.num_starts,
      np.random.default_rng([seed, 1]),
    )
    return start_states.StartStates(env, source, starts)
  if policy is None:
    policy, source = RandomPolicy(environments.spec(env)), 'a random policy'
  starts = record(
    env,
    policy,
    flag_values.num_starts,
    seed=seed,
    max_start_frames=flag_values.max_start_frames,
  )
  return start_states.StartStates(env, source, starts)
