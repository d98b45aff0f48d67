"""Environments by name: catch, chain, gym:<id>, or the ale-py name of a game.

Gymnasium and ale-py are imported only for what needs them.
"""

from seed_metagrad import types
from seed_metagrad.environments import catch
from seed_metagrad.environments import chain
from seed_metagrad.environments import environment

ENVIRONMENTS = {'catch': catch.Catch, 'chain': chain.Chain}
_GYM = 'gym:'


def spec(name: str) -> types.EnvSpec:
  """Returns the spec of an environment without making it.

  Raises:
    ValueError: no such environment, or one of an unsupported kind.
  """
  if name in ENVIRONMENTS:
    return ENVIRONMENTS[name].spec
  if name.startswith(_GYM):
    from seed_metagrad.environments import gymnasium_adapter

    return gymnasium_adapter.spec(name.removeprefix(_GYM))
  from seed_metagrad.environments import atari

  return atari.spec(name)


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
  settings = settings or {}
  if name in ENVIRONMENTS or name.startswith(_GYM):
    environment.check_settings(name, settings)
  if name in ENVIRONMENTS:
    return ENVIRONMENTS[name](num_envs, seed=seed)
  if name.startswith(_GYM):
    from seed_metagrad.environments import gymnasium_adapter

    return gymnasium_adapter.GymnasiumAdapter(
      name.removeprefix(_GYM), num_envs, seed=seed
    )
  from seed_metagrad.environments import atari

  return atari.Atari(
    name, num_envs, seed=seed, num_threads=num_threads, settings=settings
  )
