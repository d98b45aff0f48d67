"""What every environment offers, and checks of what it is sent and returns."""

from collections.abc import Collection, Iterator
import contextlib
from typing import Protocol, runtime_checkable

import numpy as np

from seed_metagrad import types

# In size; sums of their squares over a batch still fit float32 [our choice].
MAX_REWARD = MAX_OBSERVATION = 1e12
_SHOWN = 300  # Characters of an environment's own message or value.
_OLD_API = (
  'too many values to unpack',
  'not enough values to unpack',
  'cannot unpack',
)


class Failed(ValueError):
  """An environment raised, or returned what is unlike its spec.

  The message is one line: which environment, where, and what; the cause, where
  there is one, is the environment's own exception.
  """


class Environment(Protocol):
  """A batch of E environments that step together and restart by themselves.

  Where an episode ended, `step` answers with the ended episode's last reward
  and flags and with the next episode's first observation: the alignment of
  types.py. `terminated` and `truncated` are never both true. Arrays handed out
  are not written to again.
  """

  spec: types.EnvSpec
  num_envs: int

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Starts all E episodes: zero rewards, no flags, first observations."""

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Takes one action per environment.

    Raises:
      ValueError: not E integers in [0, num_actions).
    """

  def close(self) -> None:
    """Frees what the environments hold."""


@runtime_checkable
class Savable(Protocol):
  """An environment whose whole state can be saved and restored."""

  def get_state(self) -> bytes:
    """Returns all that `set_state` needs to continue exactly from here."""

  def set_state(self, state: bytes) -> None:
    """Restores what `get_state` returned.

    Raises:
      ValueError: it is of another number of environments.
    """


class Limits:
  """What observations of a spec must lie within.

  Where both bounds of an element are finite: within them, and beyond by no more
  than they are apart, since many environments overshoot a little. Everywhere:
  MAX_OBSERVATION in size.
  """

  def __init__(self, spec: types.EnvSpec):
    low = np.array(spec.observation_low or -np.inf)
    high = np.array(spec.observation_high or np.inf)
    with np.errstate(over='ignore'):
      apart = np.where(np.isfinite(low) & np.isfinite(high), high - low, np.inf)
      self.low = _limit(low - apart, spec)
      self.high = _limit(high + apart, spec)
    # All that its numbers can be is within them.
    self.is_open = bool(
      spec.observation_dtype == 'uint8'
      and self.low.max() <= 0
      and self.high.min() >= 255
    )

  def find_outside(
    self, observations: np.ndarray
  ) -> tuple[np.intp, ...] | None:
    """Returns the index of a number outside of them or NaN; mostly None.

    observations: [E, *observation_shape].
    """
    if self.is_open or not observations.size:
      return None
    if not self.low.ndim:  # Twice as fast, and without temporary arrays.
      if observations.min() >= self.low and observations.max() <= self.high:
        return None
    inside = (observations >= self.low) & (observations <= self.high)
    if inside.all():
      return None
    return np.unravel_index(inside.argmin(), inside.shape)


def _limit(limit: np.ndarray, spec: types.EnvSpec) -> np.ndarray:
  limit = np.clip(limit, -MAX_OBSERVATION, MAX_OBSERVATION)
  if limit.size == 1:
    return limit.reshape([])
  return limit.reshape(spec.observation_shape)


def first_output(observation: np.ndarray) -> types.EnvOutput[np.ndarray]:
  """Returns the answer to a reset: no reward, no flags."""
  num_envs = len(observation)
  return types.EnvOutput(
    reward=np.zeros(num_envs, np.float32),
    terminated=np.zeros(num_envs, bool),
    truncated=np.zeros(num_envs, bool),
    life_lost=np.zeros(num_envs, bool),
    observation=observation,
  )


def check_settings(
  name: str, settings: types.Settings, known: Collection[str] = ()
) -> None:
  """Raises ValueError where a setting is not one of the `known`."""
  for setting, value in settings.items():
    if setting not in known:
      raise ValueError(f'{name} takes no setting {setting}, got {value!r}.')


def check_name(family: str, argument: str, settings: types.Settings) -> None:
  """Raises ValueError unless the name is the family's own, without settings."""
  if argument:
    raise ValueError(f'env must be {family}, got {family}:{argument}.')
  check_settings(family, settings)


def check_actions(
  actions: np.ndarray, num_envs: int, spec: types.EnvSpec
) -> None:
  """Raises ValueError unless `actions` are E of a spec.

  Discrete numbers are in [0, n), others finite.
  """
  shape = (num_envs, *spec.action_shape)
  kind: type = np.floating if spec.action_dims else np.integer
  if not (
    isinstance(actions, np.ndarray)
    and np.issubdtype(actions.dtype, kind)
    and actions.shape == shape
  ):
    raise ValueError(
      f'actions must be {spec.action_dtype} of shape {shape}, got {actions!r}.'
    )
  if spec.action_dims:
    if not np.isfinite(actions).all():
      raise ValueError(f'actions must be finite, got {actions.tolist()}.')
    return
  sizes = np.array(spec.action_sizes or spec.num_actions)
  if (actions < 0).any() or (actions >= sizes).any():
    raise ValueError(
      f'actions must be in [0, {sizes.tolist()}), got {actions.tolist()}.'
    )


@contextlib.contextmanager
def told(name: str, where: str) -> Iterator[None]:
  """Raises `Failed` for whatever an environment raises."""
  try:
    yield
  except (Failed, KeyboardInterrupt):
    raise
  except (Exception, SystemExit) as error:
    text = ': '.join(filter(None, (type(error).__name__, short(error))))
    if isinstance(error, (ValueError, TypeError)) and any(
      words in str(error) for words in _OLD_API
    ):
      text += (
        '. Is it of an old API? reset returns (observation, info), step'
        ' (observation, reward, terminated, truncated, info).'
      )
    raise Failed(f'{name} failed {where}: {text}') from error


def short(value: object) -> str:
  """Returns its text, in one line that is not too long."""
  return ' '.join(str(value).split())[:_SHOWN]
