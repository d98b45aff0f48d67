"""What the commands that play a checkpoint share."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import sys
import time
from typing import Any, NamedTuple, TYPE_CHECKING

from absl import flags
import numpy as np
import tqdm

from experiments.evaluation import atari_game
from experiments.evaluation import episodes as episodes_lib
from experiments.evaluation import game_pool
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.environments import atari
from seed_metagrad.environments import environment

if TYPE_CHECKING:
  from experiments.evaluation import policy as policy_lib

_REFRESH_SECS, _LOG_SECS = 1.0, 30.0  # In a terminal, and in a log.


class Conditions(NamedTuple):
  """How episodes are played."""

  seed: int
  greedy: bool = False
  sticky_actions: float = 0.0
  max_frames: int = atari.MAX_EPISODE_FRAMES
  parallel_games: int = 1
  settings: types.Settings | None = None  # Others of the environment.


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags that say who plays and how."""
  flags.DEFINE_string(
    'checkpoint',
    None,
    'A .npz file in its workdir, or a workdir for its newest one.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'env',
    '',
    'Environment that the checkpoint must have been trained on, if given.',
    flag_values=flag_values,
  )
  flags.DEFINE_bool(
    'greedy',
    False,
    'Likeliest action instead of one sampled from the policy.',
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'sticky_actions',
    0.0,
    "Probability that a frame repeats the last action (0: the environment's "
    'own, .1 on MinAtar and none elsewhere).',
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'max_episode_frames',
    atari.MAX_EPISODE_FRAMES,
    'Frames after which an episode is cut and counted as it stands; no-ops and'
    ' start states before it not included.',
    lower_bound=1,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'seed', 1, 'Seed of starts and sampled actions.', flag_values=flag_values
  )


def conditions(
  flag_values: flags.FlagValues,
  config: config_lib.Config,
  parallel_games: int = 1,
) -> Conditions:
  """What the flags say of how episodes are played, and the run's config."""
  return Conditions(
    flag_values.seed,
    flag_values.greedy,
    flag_values.sticky_actions,
    flag_values.max_episode_frames,
    parallel_games,
    trained_settings(config),
  )


def trained_settings(config: config_lib.Config) -> dict[str, Any]:
  """What an environment is made with as in training: all but stickiness."""
  settings = config.env_settings()
  settings.pop('sticky_actions', None)
  return settings


def load_policy(flag_values: flags.FlagValues) -> 'policy_lib.Policy':
  """Loads the policy that the flags name.

  Raises:
    FileNotFoundError, ValueError: there is none, or not of --env.
  """
  if flag_values.env:
    environments.spec(flag_values.env)  # Names the nearest ones.
  # Slow: it brings TensorFlow.
  from experiments.evaluation import policy as policy_lib

  return policy_lib.load(flag_values.checkpoint, flag_values.env)


class Progress(episodes_lib.Watch):
  """Shows how far playing is: live in a terminal, now and then in a log."""

  def __init__(
    self, num_episodes: int, is_stopped: Callable[[], bool] = lambda: False
  ):
    self._is_stopped = is_stopped
    self._env_steps = 0
    self._period_secs = _REFRESH_SECS if sys.stderr.isatty() else _LOG_SECS
    self._next = time.monotonic() + self._period_secs
    self._bar = tqdm.tqdm(total=num_episodes, unit='episode', disable=None)
    self._num_episodes, self._num_ended = num_episodes, 0

  def stepped(self, num_envs: int) -> bool:
    """Counts; false once it is stopped."""
    self._env_steps += num_envs
    if time.monotonic() > self._next:
      self._next = time.monotonic() + self._period_secs
      steps = f'{self._env_steps:,} env steps'
      if self._bar.disable:
        print(
          f'{self._num_ended} of {self._num_episodes} episodes, {steps}',
          file=sys.stderr,
          flush=True,
        )
      else:
        self._bar.set_postfix_str(steps)
    return not self._is_stopped()

  def ended(self) -> None:
    """Moves on."""
    self._num_ended += 1
    self._bar.update()

  def close(self) -> None:
    """Ends the live line."""
    self._bar.close()


def play(
  env: str,
  policy: episodes_lib.Policy,
  starts: Sequence[bytes],
  how: Conditions,
  is_stopped: Callable[[], bool] = lambda: False,
) -> list[episodes_lib.Episode]:
  """Plays an episode from each start; elsewhere than on Atari, as many.

  Once is_stopped() what has ended comes back.

  Raises:
    ValueError: no such environment, or one that gives what is not finite.
  """
  num_games = min(how.parallel_games, len(starts))
  with contextlib.closing(Progress(len(starts), is_stopped)) as watch:
    if atari_game.exists(env):
      pool = game_pool.GamePool(
        env,
        num_games,
        sticky_actions=how.sticky_actions,
        max_frames=how.max_frames,
      )
      with contextlib.closing(pool):
        return episodes_lib.play_games(
          policy,
          pool,
          num_games,
          starts,
          seed=how.seed,
          greedy=how.greedy,
          watch=watch,
        )
    with _environments(env, num_games, how) as envs:
      return episodes_lib.play_environments(
        policy,
        envs,
        len(starts),
        seed=how.seed,
        max_frames=how.max_frames,
        greedy=how.greedy,
        watch=watch,
      )


@contextlib.contextmanager
def _environments(
  env: str, num_envs: int, how: Conditions
) -> Iterator[list[environment.Environment]]:
  """Batches of one, so that each can be reset by itself."""
  settings = dict(how.settings or {})
  if how.sticky_actions:
    settings['sticky_actions'] = how.sticky_actions
  seeds = np.random.SeedSequence([how.seed, 1]).generate_state(num_envs)
  with contextlib.ExitStack() as stack:
    envs = []
    for seed in seeds:
      made = environments.make(env, 1, seed=int(seed), settings=settings)
      envs.append(stack.enter_context(contextlib.closing(made)))
    yield envs
