"""Environments by name: <family>:<argument>, <family>, or a game of ale-py.

A family is a module of this package with two functions, `spec(argument,
settings)` and `make(argument, num_envs, seed=, num_threads=, settings=)`:
catch, chain, gym:<id>, minatar:<game>, recall, snake. Any other name is the
argument of atari. A family, and what it needs, is imported when it is named.
"""

import importlib
import pkgutil
from typing import Protocol

from seed_metagrad import types
from seed_metagrad.environments import environment

_DEFAULT = 'atari'
_NO_FAMILY = ('environment', 'gym_spaces')
FAMILIES = tuple(
  sorted(
    {module.name for module in pkgutil.iter_modules(__path__)}
    - {_DEFAULT, *_NO_FAMILY}
  )
)


class Family(Protocol):
  """What a module of this package offers."""

  def spec(self, argument: str, settings: types.Settings) -> types.EnvSpec:
    """Returns the spec of an environment of the family."""

  def make(
    self,
    argument: str,
    num_envs: int,
    *,
    seed: int,
    num_threads: int,
    settings: types.Settings,
  ) -> environment.Environment:
    """Makes a batch of environments of the family."""


def spec(name: str, settings: types.Settings | None = None) -> types.EnvSpec:
  """Returns the spec of an environment without making a batch of it.

  Raises:
    ValueError: no such environment or setting, or an unsupported kind.
  """
  family, argument = _find(name)
  return family.spec(argument, settings or {})


def make(
  name: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int = 1,
  settings: types.Settings | None = None,
) -> environment.Environment:
  """Makes a batch of environments.

  Args:
    name: what to make.
    num_envs: E, how many.
    seed: the root of every environment's own seed.
    num_threads: threads that step the games; Atari only.
    settings: the environment's own, by name; what is left out has a default.

  Raises:
    ValueError: no such environment, no such setting, or a value out of its
      range.
  """
  if num_envs < 1:
    raise ValueError(f'num_envs must be at least 1, got {num_envs}.')
  family, argument = _find(name)
  return family.make(
    argument,
    num_envs,
    seed=seed,
    num_threads=num_threads,
    settings=settings or {},
  )


def family_of(name: str) -> str:
  """Returns the family of a name: atari where no other has that name."""
  family = name.partition(':')[0]
  return family if family in FAMILIES else _DEFAULT


def _find(name: str) -> tuple[Family, str]:
  family = family_of(name)
  argument = name if family == _DEFAULT else name.partition(':')[2]
  module: Family = importlib.import_module(f'{__name__}.{family}')
  return module, argument
