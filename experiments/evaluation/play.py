"""Plays one game with a checkpoint, writes it as a GIF and prints the score."""

import pathlib

from absl import flags

from experiments.evaluation import evaluate
from experiments.evaluation import video


def define_flags(flag_values: flags.FlagValues):
  """Defines the flags of the command."""
  evaluate.define_checkpoint_flags(flag_values)
  flags.DEFINE_string(
    'out', 'play.gif', 'The file to write.', flag_values=flag_values
  )


def run(flag_values: flags.FlagValues) -> int:
  """Plays, writes and prints; returns the exit status."""
  _run(flag_values)
  return 0


def _run(flag_values: flags.FlagValues):
  out = pathlib.Path(flag_values.out)
  if out.exists():
    raise ValueError(
      f'{out} is there already and is not written over: name'
      ' another file by --out.'
    )
  out.parent.mkdir(parents=True, exist_ok=True)
  policy = evaluate.load_policy(flag_values)
  video.check(policy.config.env)
  (episode,) = evaluate.play(
    policy,
    evaluate.no_op_starts(1, flag_values.seed),
    seed=flag_values.seed,
    greedy=flag_values.greedy,
    sticky_actions=flag_values.sticky_actions,
    parallel_games=1,
  )
  video.write(out, policy.config.env, episode, policy.hyperparameters)
  print(
    f'{policy.config.env}: score {episode.score:g} in {episode.frames}'
    f' frames, with {episode.start_frames} no-ops before. See {out}.'
  )
