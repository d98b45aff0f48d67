"""What Gymnasium's spaces are here: a spec, and actions there and back.

An action is a Discrete, MultiDiscrete, MultiBinary or Box one.
"""

from collections.abc import Callable
from typing import Any
import warnings

from gymnasium import spaces
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment


def are_vectors(space: spaces.Space[Any]) -> bool:
  """Whether it is no Box, and made of vectors and numbers."""
  match space:
    case spaces.Discrete() | spaces.MultiDiscrete() | spaces.MultiBinary():
      return True
    case spaces.Dict():
      leaves = list(space.values())
    case spaces.Tuple():
      leaves = list(space)
    case _:
      return False
  return all(
    len(leaf.shape) <= 1 if isinstance(leaf, spaces.Box) else are_vectors(leaf)
    for leaf in leaves
  )


def spec_of(
  name: str, observations: spaces.Space[Any], actions: spaces.Space[Any]
) -> types.EnvSpec:
  """The spec of one environment's spaces.

  Raises:
    ValueError: they are of another kind.
  """
  if not isinstance(observations, spaces.Box):
    raise ValueError(
      f'{name} must have a Box observation, a Discrete one, or a Dict or '
      f'Tuple of vectors, got {observations}; take what you need of it by '
      "--env_wrapper, for example with Gymnasium's FilterObservation."
    )
  if 0 in observations.shape:
    raise ValueError(
      f'{name} must observe at least one number, got {observations}.'
    )
  if observations.dtype == np.float64:
    warnings.warn(f'{name} shows float64: it becomes float32.', stacklevel=2)
  return types.EnvSpec(
    observations.shape,
    'uint8' if observations.dtype == np.uint8 else 'float32',
    observation_low=_bound(observations.low),
    observation_high=_bound(observations.high),
    **_action_fields(name, actions),
  )


def _action_fields(name: str, space: spaces.Space[Any]) -> dict[str, Any]:
  """The fields of a spec that say what an action is."""
  fields: dict[str, Any] = dict(num_actions=0)
  match space:
    case spaces.Discrete():
      return dict(num_actions=int(space.n))
    case spaces.MultiDiscrete() if space.nvec.size:
      return fields | dict(action_sizes=tuple(space.nvec.ravel().tolist()))
    case spaces.MultiBinary():
      return fields | dict(action_sizes=(2,) * int(np.prod(space.shape)))
    case spaces.Box() if space.dtype.kind == 'f' and 0 not in space.shape:
      return fields | dict(action_dims=int(np.prod(space.shape)))
  raise ValueError(
    f'{name} must have an action that is Discrete, MultiDiscrete, MultiBinary '
    f'or a Box of floats, got {environment.short(space)}; turn it into one by '
    '--env_wrapper.'
  )


def to_theirs(space: spaces.Space[Any]) -> Callable[[np.ndarray], Any]:
  """From an action of ours to one of an environment.

  -1 and 1 are a Box's bounds, and what is beyond them is clipped; a number
  without both bounds is left as it is, and clipped to the one it has.
  """
  if isinstance(space, spaces.Box):
    low, high = space.low.astype(float), space.high.astype(float)
    bounded = np.isfinite(low) & np.isfinite(high)
    middle = np.where(bounded, low + (np.where(bounded, high, 0) - low) / 2, 0)
    half = np.where(bounded, high - middle, 1)

    def scaled(action: np.ndarray) -> np.ndarray:
      theirs = middle + half * action.reshape(space.shape)
      clipped: np.ndarray = np.clip(theirs, low, high).astype(space.dtype)
      return clipped

    return scaled
  start = getattr(space, 'start', 0)
  return lambda action: (
    action.astype(space.dtype).reshape(space.shape or ()) + start
  )


def _bound(bound: np.ndarray) -> tuple[float, ...]:
  """One number where all are equal."""
  numbers = bound.ravel().astype(float)
  return tuple(
    (numbers[:1] if (numbers == numbers[0]).all() else numbers).tolist()
  )
