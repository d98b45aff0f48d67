"""The folder of a study as `compare` leaves it, without training anything."""

import json
import pathlib

from experiments.comparison import results
from experiments.comparison import study as study_lib

TOML = """
title = "Three <games>"
preset = "local"
games = ["breakout", "pong", "seaquest"]
seeds = [1, 2]
protocols = ["noop"]
episodes = 30
[settings]
total_env_frames = 4000
[[variants]]
learned = []
reference_discount = 0.99
[[variants]]
learned = ["discount", "lambda_"]
reference_discount = 0.99
[[variants]]
learned = ["discount"]
reference_discount = 0.995
conditioning = false
"""
IMPALA = study_lib.Variant((), 0.99)
BOTH = study_lib.Variant(('discount', 'lambda_'), 0.99)
_LEARNED = 'discount', 'lambda_'
UNCONDITIONED = study_lib.Variant(('discount',), 0.995, False)


class FakeStudy:
  """A folder to put runs into."""

  def __init__(self, workdir: pathlib.Path, toml: str = TOML):
    self.workdir = workdir
    workdir.mkdir(parents=True)
    (workdir / results.STUDY).write_text(toml)
    self.study = results.read_study(workdir)

  def train(self, run: study_lib.Run, env_frames: int = 4000, **summary):
    """Leaves what training does after so many frames."""
    folder = results.run_folder(self.workdir, run)
    folder.mkdir(parents=True)
    summary = {'env_frames': env_frames, **summary}
    (folder / 'summary.json').write_text(json.dumps(summary))
    others = [name for name in run.variant.learned if name not in _LEARNED]
    rows = [
      f'{frames},{frames // 20},{frames / 100},{value},'
      f'{0.99 - frames / 1e5},0.9' + ',0.5' * len(others)
      for frames, value in ((1000, 'nan'), (2000, run.seed), (4000, 9))
    ]
    names = [
      *('env_frames', 'num_updates', 'seconds', 'mean_return_100'),
      *(*_LEARNED, *others),
    ]
    (folder / 'metrics.csv').write_text('\n'.join([','.join(names), *rows, '']))

  def evaluate(self, run: study_lib.Run, mean: float, protocol: str = 'noop'):
    """Leaves what a trained run's evaluation does."""
    folder = results.evaluation_folder(self.workdir, run, protocol)
    folder.mkdir(parents=True)
    (folder / 'summary.json').write_text(
      json.dumps(
        {
          'mean': mean,
          'interval': [mean - 1, mean + 1],
          'episodes': 30,
          'starts': 'a test',
        }
      )
    )

  def configure(self, run: study_lib.Run, **fields):
    """Leaves a config.json, of all runs of today, with these fields."""
    path = results.run_folder(self.workdir, run) / 'config.json'
    path.write_text(json.dumps(fields))

  def fail(self, run: study_lib.Run, reason: str):
    """Leaves what a run that failed does."""
    path = results.failure_path(self.workdir, run)
    path.parent.mkdir(parents=True)
    path.write_text(
      json.dumps({'stage': 'training', 'status': 4, 'reason': reason})
    )

  def do(self, game: str, variant: study_lib.Variant, *means: float):
    """Trains and evaluates seeds 1, 2, ..."""
    for seed, mean in enumerate(means, 1):
      run = study_lib.Run(game, variant, seed)
      self.train(run)
      self.evaluate(run, mean)


def partial(workdir: pathlib.Path) -> FakeStudy:
  """IMPALA done; {discount, lambda} without seaquest; one failed."""
  fake = FakeStudy(workdir)
  fake.do('breakout', IMPALA, 1.7 + 28.8, 1.7 + 2 * 28.8)  # 100%, 200%.
  fake.do('pong', IMPALA, -20.7, 14.6)  # 0%, 100%.
  fake.do('seaquest', IMPALA, 68.4, 68.4)  # 0%, 0%.
  fake.do('breakout', BOTH, 1.7 + 3 * 28.8, 1.7 + 3 * 28.8)  # 300%.
  fake.do('pong', BOTH, 14.6)  # 100%.
  fake.train(study_lib.Run('pong', BOTH, 2), env_frames=1000)
  fake.fail(study_lib.Run('breakout', UNCONDITIONED, 1), 'no <disk> left')
  return fake
