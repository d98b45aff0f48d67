"""The newest parameters: written by the learner, read by inference."""

from typing import NamedTuple

from seed_metagrad import types
from seed_metagrad.meta_gradients import meta_parameters


class Published(NamedTuple):
  """What acting needs of the learner; replaced whole, never written into."""

  params: types.Nest
  eta: types.Eta  # Logits by name.
  num_updates: int


class ParameterStore:
  """Holds the newest `Published`; one thread publishes, any thread reads.

  Publishing is one assignment: a reader sees the old or the new, never half of
  each.
  """

  def __init__(self, published: Published):
    self._published = published

  def publish(self, published: Published) -> None:
    """Replaces what `newest` returns."""
    self._published = published

  def newest(self) -> Published:
    """Returns what was published last."""
    return self._published


def published(state: types.LearnerState) -> Published:
  """Returns what acting needs of the state of training."""
  eta = meta_parameters.logits(state.eta, state.context)
  return Published(state.params, eta, int(state.num_updates))
