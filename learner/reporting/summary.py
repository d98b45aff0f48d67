"""How a run ended: summary.json."""

from collections.abc import Mapping
import os
import pathlib
from typing import NamedTuple

from learner.storage import files


class Summary(NamedTuple):
  """The keys of summary.json; each hyperparameter has a key of its own."""

  env_frames: int
  num_updates: int
  mean_return_100: float  # Unclipped; NaN without an episode: null in the file.
  episodes: int
  hyperparameters: Mapping[str, float]  # At the end, learned or fixed.
  frames_per_s: float
  learned: tuple[str, ...]
  game: str
  seconds: float


def write(workdir: str | os.PathLike[str], summary: Summary) -> None:
  """Writes summary.json; NaN and infinity become null."""
  fields = summary._asdict()
  hyperparameters = fields.pop('hyperparameters')
  files.write_json(
    pathlib.Path(workdir) / 'summary.json', {**fields, **hyperparameters}
  )
