"""The process of a tracker: reads lines of JSON and logs them until the end.

`python -m learner.reporting.tracker_process KIND SETTINGS`, started by
trackers.py. Each line is ["row", {...}] or ["figure", path].
"""

from collections.abc import Callable, Mapping
import json
import os
import sys
from typing import Any, NamedTuple


class _Run(NamedTuple):
  """What a tracker offers."""

  log: Callable[[Mapping[str, Any]], None]
  image: Callable[[str], Any]  # Of a path.
  finish: Callable[[], None]


def _wandb(settings: Mapping[str, Any]) -> _Run:
  """W&B: offline, in the workdir, unless WANDB_MODE says otherwise."""
  import wandb

  os.environ.setdefault('WANDB_MODE', 'offline')
  run = wandb.init(
    project=settings['project'],
    name=settings['name'],
    id=settings['name'],
    dir=settings['workdir'],
    config=settings['config'],
    resume='allow',
    settings=wandb.Settings(console='off', x_disable_stats=True),
  )
  run.define_metric('*', step_metric='env_frames')
  return _Run(lambda row: run.log(dict(row)), wandb.Image, run.finish)


def _trackio(settings: Mapping[str, Any]) -> _Run:
  """trackio: a database in ~/.cache, or where TRACKIO_DIR says."""
  import trackio

  trackio.init(
    project=settings['project'],
    name=settings['name'],
    config=settings['config'],
    resume='allow',
    auto_log_cpu=False,
    auto_log_gpu=False,
  )
  return _Run(lambda row: trackio.log(dict(row)), trackio.Image, trackio.finish)


_TRACKERS = {'wandb': _wandb, 'trackio': _trackio}


def main(argv: list[str]) -> None:
  """Logs what standard input says."""
  _, kind, settings = argv
  run = _TRACKERS[kind](json.loads(settings))
  for line in sys.stdin:
    what, value = json.loads(line)
    if what == 'row':
      run.log(value)
    else:
      run.log({'curves': run.image(value)})
  run.finish()


if __name__ == '__main__':
  main(sys.argv)
