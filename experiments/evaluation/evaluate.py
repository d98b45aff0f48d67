"""Evaluates a checkpoint: whole episodes, raw scores, the papers' protocols.

noop: 1 to 30 no-ops, uniformly, before each game. start_states: each game from
a start in a file of --starts. Both: no FIRE and no sticky action of their own,
the minimal actions, 108,000 frames at most. Environments that are no Atari
game begin as they do by themselves, whatever the protocol.

Writes episodes.csv, summary.json and, with --video, the best, the median and
the worst episode into --out, a new folder.
"""

import contextlib
import csv
import io
import pathlib
import shutil
from typing import Any

from absl import flags
import numpy as np
import tqdm

from experiments.evaluation import atari_game
from experiments.evaluation import episodes as episodes_lib
from experiments.evaluation import game_pool
from experiments.evaluation import start_states
from experiments.evaluation import video
from experiments.scores import atari57
from experiments.scores import estimates
from learner.storage import files
from seed_metagrad import environments
from seed_metagrad.environments import atari

_EPISODES = {'noop': 200, 'start_states': 100}  # Of the papers.
_MAX_NO_OPS = 30
_COLUMNS = ('episode', 'score', 'frames', 'start_frames')


def define_flags(flag_values: flags.FlagValues):
  """Defines the flags of the command."""
  define_checkpoint_flags(flag_values)
  flags.DEFINE_enum(
    'protocol',
    'noop',
    atari57.PROTOCOLS,
    'How episodes begin.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'starts', '', 'The file of start states.', flag_values=flag_values
  )
  flags.DEFINE_integer(
    'episodes',
    None,
    'How many; 200, or 100 from start states, if not passed.',
    lower_bound=1,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'parallel_games',
    16,
    'Played at a time.',
    lower_bound=1,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'out',
    '',
    'A new folder for the results; by default'
    ' evaluation/<protocol>_<num_updates> in the workdir.',
    flag_values=flag_values,
  )
  flags.DEFINE_bool(
    'video',
    False,
    'Write best.gif, median.gif, worst.gif.',
    flag_values=flag_values,
  )


def define_checkpoint_flags(flag_values: flags.FlagValues):
  """Defines the flags that say who plays and how."""
  flags.DEFINE_string(
    'checkpoint',
    None,
    'A .npz file in its workdir, or a workdir for its newest one.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'env', '', 'Refuse a checkpoint of anything else.', flag_values=flag_values
  )
  flags.DEFINE_bool(
    'greedy',
    False,
    'Take the likeliest action; do not sample from the policy.',
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'sticky_actions',
    0.0,
    'Probability that a frame repeats the last action.',
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'seed', 1, 'Of starts and sampled actions.', flag_values=flag_values
  )


def run(flag_values: flags.FlagValues) -> int:
  """Evaluates, writes and prints; returns the exit status."""
  _run(flag_values)
  return 0


def _run(flag_values: flags.FlagValues):
  if flag_values.out:
    _check_new(pathlib.Path(flag_values.out))
  policy = load_policy(flag_values)
  out = pathlib.Path(
    flag_values.out
    or (
      policy.workdir
      / 'evaluation'
      / f'{flag_values.protocol}_{policy.num_updates}'
    )
  )
  _check_new(out)
  num_episodes = flag_values.episodes or _EPISODES[flag_values.protocol]
  if flag_values.video:
    video.check(policy.config.env)
  starts, source = _starts(flag_values, policy.config.env, num_episodes)
  episodes = play(
    policy,
    starts,
    seed=flag_values.seed,
    greedy=flag_values.greedy,
    sticky_actions=flag_values.sticky_actions,
    parallel_games=flag_values.parallel_games,
  )
  summary = {
    'env': policy.config.env,
    'env_frames': policy.env_frames,
    'num_updates': policy.num_updates,
    'learned': policy.config.learned,
    'hyperparameters': policy.hyperparameters,
    'protocol': flag_values.protocol,
    'starts': source,
    'policy': 'greedy' if flag_values.greedy else 'sampled',
    'sticky_actions': flag_values.sticky_actions,
    'seed': flag_values.seed,
    **summarize(
      policy.config.env,
      flag_values.protocol,
      [episode.score for episode in episodes],
    ),
  }
  unfinished = out.with_name(f'{out.name}.tmp')
  shutil.rmtree(unfinished, ignore_errors=True)  # Of one that was killed.
  unfinished.mkdir(parents=True)
  files.write_atomic(unfinished / 'episodes.csv', _csv(episodes))
  files.write_json(unfinished / 'summary.json', summary)
  if flag_values.video:
    _write_videos(unfinished, policy, episodes)
  unfinished.rename(out)  # Whole or not there.
  print(f'{files.to_json(summary)}\nWritten to {out}.')


def load_policy(flag_values: flags.FlagValues):
  """Loads the `policy.Policy` that the checkpoint flags name.

  Raises:
    FileNotFoundError, ValueError: there is none, or not of --env.
  """
  if flag_values.env:
    environments.spec(flag_values.env)  # Names the nearest ones.
  from experiments.evaluation import (
    policy as policy_lib,  # Slow: it brings TensorFlow.
  )

  return policy_lib.load(flag_values.checkpoint, flag_values.env)


def play(
  policy,
  starts: list[bytes],
  *,
  seed: int,
  greedy: bool,
  sticky_actions: float,
  parallel_games: int,
) -> list[episodes_lib.Episode]:
  """Plays an episode from each start; elsewhere than on Atari, as many.

  policy: a `policy.Policy`.
  """
  name = policy.config.env
  num_games = min(parallel_games, len(starts))
  settings = dict(seed=seed, greedy=greedy)
  progress = tqdm.tqdm(total=len(starts), unit='episode', disable=None)
  with progress:
    if atari_game.exists(name):
      pool = game_pool.GamePool(
        name,
        num_games,
        sticky_actions=sticky_actions,
        max_frames=atari.MAX_EPISODE_FRAMES,
      )
      with contextlib.closing(pool):
        return episodes_lib.play_games(
          policy, pool, num_games, starts, ended=progress.update, **settings
        )
    env = environments.make(
      name,
      num_games,
      seed=seed,
      settings={'sticky_actions': sticky_actions} if sticky_actions else {},
    )
    with contextlib.closing(env):
      return episodes_lib.play_environments(
        policy, env, len(starts), ended=progress.update, **settings
      )


def no_op_starts(num_episodes: int, seed: int) -> list[bytes]:
  """1 to 30 no-ops for each episode, uniformly."""
  rng = np.random.default_rng([seed, 0])
  return [bytes(n) for n in rng.integers(1, _MAX_NO_OPS + 1, num_episodes)]


def summarize(env: str, protocol: str, scores: list[float]) -> dict[str, Any]:
  """Mean, median, 95% bootstrap interval of the mean; in human terms too."""
  mean = estimates.mean(np.array(scores))
  human = None
  if atari57.has_human_score(env):
    human = [
      x if x is None else atari57.human_normalised(env, x, protocol)
      for x in mean
    ]
  return {
    'episodes': len(scores),
    'mean': mean.value,
    'median': float(np.median(scores)),
    'interval': mean[1:],
    'human_normalised': human and human[0],
    'human_normalised_interval': human and human[1:],
  }


def _check_new(out: pathlib.Path):
  if out.exists():
    raise ValueError(
      f'{out} is there already and is not written over: name'
      ' another folder by --out.'
    )


def _starts(
  flag_values: flags.FlagValues, env: str, num_episodes: int
) -> tuple[list[bytes], str]:
  """The start of each episode, and where they are from."""
  if bool(flag_values.starts) != (flag_values.protocol == 'start_states'):
    raise ValueError(
      '--protocol=start_states needs a file by --starts, and only that one.'
    )
  if not atari_game.exists(env):
    if flag_values.starts:
      raise ValueError(f'start states are of Atari games, not of {env}.')
    return [b''] * num_episodes, 'its own'
  if not flag_values.starts:
    return no_op_starts(num_episodes, flag_values.seed), '1 to 30 no-ops'
  states = start_states.read(flag_values.starts, env)
  rng = np.random.default_rng([flag_values.seed, 0])
  return (
    start_states.sample(states.starts, num_episodes, rng),
    f'{len(states.starts)} start states of {states.source}',
  )


def _csv(episodes: list[episodes_lib.Episode]) -> str:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(_COLUMNS)
  for number, episode in enumerate(episodes):
    writer.writerow(
      [number, episode.score, episode.frames, episode.start_frames]
    )
  return text.getvalue()


def _write_videos(
  out: pathlib.Path, policy, episodes: list[episodes_lib.Episode]
):
  ranked = sorted(episodes, key=lambda episode: episode.score)
  for name, episode in (
    ('worst', ranked[0]),
    ('best', ranked[-1]),
    ('median', ranked[len(ranked) // 2]),
  ):
    video.write(
      out / f'{name}.gif', policy.config.env, episode, policy.hyperparameters
    )
