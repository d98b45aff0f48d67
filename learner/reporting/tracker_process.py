"""The process of a tracker: reads lines of JSON and logs them until the end.

`python -m learner.reporting.tracker_process KIND SETTINGS`, started by
trackers.py. Each line is ["row", {...}] or ["file", [name, path]].
"""

from collections.abc import Callable, Mapping
import json
import os
import pathlib
import sys
from typing import Any, NamedTuple


class _Run(NamedTuple):
  """What a tracker offers."""

  log: Callable[[Mapping[str, Any]], None]
  media: Mapping[str, Callable[[str], Any]]  # By suffix, of a path.
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
  media = {
    '.png': wandb.Image,
    '.gif': wandb.Video,
    '.mp4': wandb.Video,
    '.html': lambda path: wandb.Html(pathlib.Path(path)),
  }
  return _Run(lambda row: run.log(dict(row)), media, run.finish)


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
  media = {
    '.png': trackio.Image,
    '.gif': trackio.Video,
    '.mp4': trackio.Video,
  }  # It has no pages.

  def log(row: Mapping[str, Any]) -> None:
    metrics = dict(row)
    step = metrics.pop('env_frames', None)
    trackio.log(metrics, step=step)

  return _Run(log, media, trackio.finish)


_TRACKERS = {'wandb': _wandb, 'trackio': _trackio}


def main(argv: list[str]) -> None:
  """Logs what standard input says."""
  _, kind, settings = argv
  run = _TRACKERS[kind](json.loads(settings))
  for line in sys.stdin:
    what, value = json.loads(line)
    if what == 'row':
      run.log(value)
      continue
    name, path = value
    if medium := run.media.get(pathlib.Path(path).suffix):
      run.log({name: medium(path)})
  run.finish()


if __name__ == '__main__':
  main(sys.argv)
