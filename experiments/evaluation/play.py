"""Plays one game with a checkpoint, writes a video and prints the score."""

import pathlib

from absl import flags

from experiments.evaluation import playing
from experiments.evaluation import start_states
from experiments.evaluation import video
from experiments.launch import processes


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  playing.define_flags(flag_values)
  flags.DEFINE_string(
    'out', 'play.gif', 'Video to write, .gif or .mp4.', flag_values=flag_values
  )


def run(flag_values: flags.FlagValues) -> int:
  """Plays, writes and prints; returns 0, or 130 after a signal."""
  out = pathlib.Path(flag_values.out)
  if out.exists():
    raise ValueError(
      f'{out} is there already and is not written over: name'
      ' another file by --out.'
    )
  out.parent.mkdir(parents=True, exist_ok=True)
  policy = playing.load_policy(flag_values)
  env = policy.config.env
  video.check(env, out)
  with processes.stop_signals() as signals:
    episodes = playing.play(
      env,
      policy,
      start_states.no_ops(1, flag_values.seed),
      playing.conditions(flag_values, policy.config),
      lambda: bool(signals),
    )
  if not episodes:
    print('Stopped before the game had ended: nothing is written.')
    return 130
  (episode,) = episodes
  video.write(out, env, episode, policy.hyperparameters)
  capped = ', when it was cut' if episode.capped else ''
  print(
    f'{env}: score {episode.score:g} in {episode.frames} frames{capped},'
    f' with {episode.start_frames} no-ops before. See {out}.'
  )
  return 0
