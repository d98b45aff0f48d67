"""Evaluates a checkpoint: whole episodes, raw scores, the papers' protocols.

noop: 1 to 30 no-ops before each game, each number equally often. start_states:
each game from a start in a file of --starts. Both: no FIRE and no sticky action
of their own, the minimal actions, 108,000 frames at most. Environments that are
no Atari game begin as they do by themselves, whatever the protocol.

Writes episodes.csv, summary.json and, with --video, the best, the median and
the worst episode into --out, a new folder. Ctrl-C keeps the episodes that have
ended, in a folder <out>.partial.
"""

from collections.abc import Sequence
import csv
import dataclasses
import io
import pathlib
import shutil
from typing import Any, TYPE_CHECKING

from absl import flags
import numpy as np

from experiments.evaluation import atari_game
from experiments.evaluation import episodes as episodes_lib
from experiments.evaluation import playing
from experiments.evaluation import start_states
from experiments.evaluation import video
from experiments.launch import processes
from experiments.scores import atari57
from experiments.scores import estimates
from learner.reporting import trackers
from learner.storage import files

if TYPE_CHECKING:
  from experiments.evaluation import policy as policy_lib

_EPISODES = {'noop': 200, 'start_states': 100}  # As in the papers.
_COLUMNS = ('episode', 'score', 'frames', 'start_frames')
_STOPPED = 130  # Exit status, as after Ctrl-C.


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  playing.define_flags(flag_values)
  flags.DEFINE_enum(
    'protocol',
    'noop',
    atari57.PROTOCOLS,
    'How episodes begin.',
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'starts', '', 'File of start states.', flag_values=flag_values
  )
  flags.DEFINE_integer(
    'episodes',
    None,
    'Episodes to play; 200, or 100 from start states, if not passed.',
    lower_bound=1,
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'parallel_games',
    16,
    'Games that are played at a time.',
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
    'Videos of the best, the median and the worst episode.',
    flag_values=flag_values,
  )
  flags.DEFINE_enum(
    'video_format',
    'gif',
    ['gif', 'mp4'],
    'Format of the videos.',
    flag_values=flag_values,
  )
  trackers.define_flags(flag_values)


def run(flag_values: flags.FlagValues) -> int:
  """Evaluates, writes and prints; returns 0, or 130 after a signal."""
  if flag_values.out:
    _check_new(pathlib.Path(flag_values.out))
  policy = playing.load_policy(flag_values)
  out = pathlib.Path(
    flag_values.out
    or (
      policy.workdir
      / 'evaluation'
      / f'{flag_values.protocol}_{policy.num_updates}'
    )
  )
  _check_new(out)
  env = policy.config.env
  if flag_values.video:
    video.check(env, f'video.{flag_values.video_format}')
  num_episodes = flag_values.episodes or _EPISODES[flag_values.protocol]
  starts, source = _starts(flag_values, env, num_episodes)
  how = playing.conditions(
    flag_values, policy.config, flag_values.parallel_games
  )
  with processes.stop_signals() as signals:
    episodes = playing.play(env, policy, starts, how, lambda: bool(signals))
  if not episodes:
    print('Stopped before an episode had ended: nothing is written.')
    return _STOPPED
  is_whole = len(episodes) == num_episodes
  if not is_whole:
    out = out.with_name(f'{out.name}.partial')
    shutil.rmtree(out, ignore_errors=True)  # An earlier one.
  summary = {
    **_conditions(flag_values, policy, source),
    **summarize(env, flag_values.protocol, episodes),
    'planned_episodes': num_episodes,
  }
  _write(
    out,
    policy,
    episodes,
    summary,
    flag_values.video_format if flag_values.video else '',
  )
  if flag_values.track:
    _track(flag_values, policy, out, summary)
  print(f'{files.to_json(summary)}\nWritten to {out}.')
  if is_whole:
    return 0
  print(
    f'Stopped: only {len(episodes)} of {num_episodes} episodes had ended. Short'
    ' episodes end early: they are too many among these.'
  )
  return _STOPPED


def summarize(
  env: str, protocol: str, episodes: Sequence[episodes_lib.Episode]
) -> dict[str, Any]:
  """Mean, median, 95% bootstrap interval of the mean; in human terms too."""
  scores = np.array([episode.score for episode in episodes])
  mean = estimates.mean(scores)
  human = None
  if atari57.has_human_score(env):
    human = [
      None if x is None else atari57.human_normalised(env, x, protocol)
      for x in mean
    ]
  return {
    'episodes': len(scores),
    'capped_episodes': sum(episode.capped for episode in episodes),
    'mean': mean.value,
    'median': float(np.median(scores)),
    'interval': [mean.low, mean.high],
    'human_normalised': human and human[0],
    'human_normalised_interval': human and human[1:],
  }


def _conditions(
  flag_values: flags.FlagValues, policy: 'policy_lib.Policy', source: str
) -> dict[str, Any]:
  """What was played, and how."""
  return {
    'env': policy.config.env,
    'env_frames': policy.env_frames,
    'num_updates': policy.num_updates,
    'learned': policy.config.learned,
    'hyperparameters': policy.hyperparameters,
    'protocol': flag_values.protocol,
    'starts': source,
    'policy': 'greedy' if flag_values.greedy else 'sampled',
    'sticky_actions': flag_values.sticky_actions,
    'max_episode_frames': flag_values.max_episode_frames,
    'seed': flag_values.seed,
  }


def _check_new(out: pathlib.Path) -> None:
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
    return [b''] * num_episodes, 'its own starts'
  if not flag_values.starts:
    starts = start_states.no_ops(num_episodes, flag_values.seed)
    return starts, '1 to 30 no-ops, each number equally often'
  states = start_states.read(flag_values.starts, env)
  rng = np.random.default_rng([flag_values.seed, 0])
  return (
    start_states.sample(states.starts, num_episodes, rng),
    f'{len(states.starts)} start states of {states.source}',
  )


def _write(
  out: pathlib.Path,
  policy: 'policy_lib.Policy',
  episodes: Sequence[episodes_lib.Episode],
  summary: dict[str, Any],
  video_format: str,
) -> None:
  """Writes the folder, atomically; without a format no videos."""
  unfinished = out.with_name(f'{out.name}.tmp')
  shutil.rmtree(unfinished, ignore_errors=True)  # Left by one that was killed.
  unfinished.mkdir(parents=True)
  files.write_atomic(unfinished / 'episodes.csv', _csv(episodes))
  files.write_json(unfinished / 'summary.json', summary)
  if video_format:
    ranked = sorted(episodes, key=lambda episode: episode.score)
    for name, episode in (
      ('worst', ranked[0]),
      ('best', ranked[-1]),
      ('median', ranked[len(ranked) // 2]),
    ):
      path = unfinished / f'{name}.{video_format}'
      video.write(path, policy.config.env, episode, policy.hyperparameters)
  unfinished.rename(out)


def _track(
  flag_values: flags.FlagValues,
  policy: 'policy_lib.Policy',
  out: pathlib.Path,
  summary: dict[str, Any],
) -> None:
  """Adds the scores and videos to the run that its training is at a tracker."""
  tracker = trackers.Tracker(
    flag_values.track,
    policy.workdir,
    project=flag_values.track_project,
    config=dataclasses.asdict(policy.config),
  )
  low, high = summary['interval']
  protocol = flag_values.protocol
  tracker.write(
    {
      'env_frames': policy.env_frames,
      f'evaluation/{protocol}/mean': summary['mean'],
      f'evaluation/{protocol}/median': summary['median'],
      f'evaluation/{protocol}/low': low,
      f'evaluation/{protocol}/high': high,
    }
  )
  for path in sorted(out.glob(f'*.{flag_values.video_format}')):
    tracker.file(f'evaluation/{protocol}/{path.stem}', path)
  tracker.close()


def _csv(episodes: Sequence[episodes_lib.Episode]) -> str:
  text = io.StringIO()
  writer = csv.writer(text, lineterminator='\n')
  writer.writerow(_COLUMNS)
  for episode in episodes:
    writer.writerow(
      [episode.number, episode.score, episode.frames, episode.start_frames]
    )
  return text.getvalue()
