"""Published scores of Snake and MinAtar, whose settings are presets here.

Snake: Bonnet, Midgley and Laterre 2022 (2211.10550), figure 3 and the authors'
data; 10 seeds, +- one standard deviation. MinAtar: Young and Tian 2019, actor
critic with eligibility traces, 30 seeds, read off the authors' figure by eye.
"""

from typing import NamedTuple

from seed_metagrad import config as config_lib

_SNAKE = 'Bonnet et al. 2022'
_MINATAR = 'Young and Tian 2019, read off a figure'
_SNAKE_FRAMES = (15_000_000, 30_000_000, 75_000_000)
_MINATAR_FRAMES = 5_000_000


class Published(NamedTuple):
  """A score of a variant after so many frames."""

  variant: str
  env_frames: int
  mean: float
  spread: float | None  # One standard deviation.
  source: str


A2C, MG, MG_OUTER = 'A2C, discount .8', 'MG', 'MG + outer critic'
BMG, BMG_OUTER = 'BMG', 'BMG + outer critic'
_SNAKE_SCORES = {
  A2C: ((9.5, 1.5), (14.6, 0.9), (17.3, 0.2)),
  MG: ((10.2, 1.5), (16.2, 0.8), (25.0, 6.2)),
  MG_OUTER: ((14.9, 1.8), (27.2, 5.5), (34.2, 0.3)),
  BMG: ((9.0, 2.1), (14.3, 3.2), (23.9, 11.4)),
  BMG_OUTER: ((12.4, 2.6), (21.4, 6.4), (31.5, 5.9)),
}
# With lambda .8 and 0.
_MINATAR_SCORES = {
  'asterix': (19.0, 20.5),
  'breakout': (17.5, 15.5),
  'freeway': (47.0, 47.0),
  'seaquest': (15.5, 7.5),
  'space_invaders': (185.0, 145.0),
}
_LAMBDAS = (0.8, 0.0)


def published(game: str) -> list[Published]:
  """Everything that was published of a game, none of most."""
  if game == 'snake':
    return [
      Published(variant, env_frames, mean, spread, _SNAKE)
      for variant, scores in _SNAKE_SCORES.items()
      for env_frames, (mean, spread) in zip(_SNAKE_FRAMES, scores)
    ]
  world, _, name = game.partition(':')
  if world != 'minatar' or name not in _MINATAR_SCORES:
    return []
  return [
    Published(_lambda(value), _MINATAR_FRAMES, mean, None, _MINATAR)
    for value, mean in zip(_LAMBDAS, _MINATAR_SCORES[name])
  ]


def variant(config: config_lib.Config) -> str | None:
  """The published variant that a config is of; None of another one.

  What else of its settings differs is not looked at.
  """
  if config.env == 'snake' and config.discount == 0.8:
    if not config.learned:
      return A2C
    return _of_snake(config)
  if (
    config.env.startswith('minatar:')
    and not config.learned
    and config.discount == 0.99
  ):
    return _lambda(config.lambda_) if config.lambda_ in _LAMBDAS else None
  return None


def _of_snake(config: config_lib.Config) -> str | None:
  if config.learned != ('discount',) or config.replay_eta:
    return None
  if config.outer_critic == 'conditioned' or config.trace_decay:
    return None
  names = {'policy_gradient': (MG, MG_OUTER), 'bootstrap': (BMG, BMG_OUTER)}
  plain, with_critic = names.get(config.outer, (None, None))
  return plain if config.outer_critic == 'none' else with_critic


def _lambda(value: float) -> str:
  return f'AC(lambda), lambda {value:g}'
