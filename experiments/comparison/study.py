"""Studies: games x variants x seeds at one budget, as a TOML file.

title = "..."                     # Heading of the report.
preset = "local"                  # A preset of the config.
games = ["breakout", "pong"]      # Or "atari57", all of them.
seeds = [1, 2]
protocols = ["noop"]              # And "start_states".
episodes = 30                     # Per protocol; without, the papers'.
start_states = "starts"           # A folder of <game>.json files beside the
                                  # study; without, random ones are recorded.
[settings]                        # Fields of the config, for all runs.
total_env_frames = 4_000_000
[[variants]]
learned = ["discount"]            # [] learns none of them.
reference_discount = 0.99         # Also the discount, where none is named.
[[variants]]
label = "outer critic"            # In the report; made where none is given.
learned = ["discount"]
discount = [0.8, 0.9]             # A list is a sweep: two variants. Any field
outer_critic = "head"             # of the config, or a preset, may be named;
                                  # what is not is the preset's. A range,
                                  # {low = 0.8, high = 0.99}, is for `tune`.
"""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import dataclasses
import itertools
import os
import pathlib
import re
import tomllib
from typing import Any, NamedTuple

from experiments.evaluation import atari_game
from experiments.scores import atari57
from learner.storage import files
from seed_metagrad import config as config_lib
from seed_metagrad import environments

_OF_VARIANT = ('learned', 'reference_discount', 'conditioning')
_OF_RUN = ('env', 'seed', 'workdir')
OWN = (*_OF_RUN, 'discount', *_OF_VARIANT)  # Not `settings`.

_KINDS = {
  bool: 'true or false',
  dict: 'a table',
  float: 'a number',
  int: 'a whole number',
  list: 'a list',
  str: 'a text',
}


class Variant(NamedTuple):
  """What is compared."""

  learned: tuple[str, ...]
  reference_discount: float  # Also the discount, unless `settings` has one.
  conditioning: bool = True
  settings: tuple[tuple[str, Any], ...] = ()  # Other fields, and a preset.
  given_label: str = ''

  @property
  def label(self) -> str:
    """{discount, lambda}, as in the paper, and what else is set."""
    if self.given_label:
      return self.given_label
    names = ', '.join(name.rstrip('_') for name in self.learned)
    label = f'{{{names}}}' + ('' if self.conditioning else ' unconditioned')
    others = (f'{name} {_text(value)}' for name, value in self.settings)
    return ', '.join((label, *others))

  @property
  def title(self) -> str:
    """The label, with the reference discount where it was made."""
    if self.given_label:
      return self.given_label
    return f'{self.label}, {self.reference_discount:g}'

  @property
  def name(self) -> str:
    """The name of its folders."""
    names = '-'.join(name.rstrip('_') for name in self.learned) or 'impala'
    suffix = '' if self.conditioning else '_unconditioned'
    others = (f'_{name}={_text(value)}' for name, value in self.settings)
    made = f'{names}_{self.reference_discount:g}{suffix}{"".join(others)}'
    return re.sub(r'[^\w.,=+-]', '-', made)


class Run(NamedTuple):
  """One training run of a study."""

  game: str
  variant: Variant
  seed: int

  @property
  def name(self) -> str:
    """Its folder in `runs`; no colon, which Windows has not in file names."""
    game = self.game.replace(':', '_')
    return f'{game}/{self.variant.name}/seed_{self.seed}'


class Study(NamedTuple):
  """The contents of a study file."""

  title: str
  preset: str
  games: tuple[str, ...]
  variants: tuple[Variant, ...]
  seeds: tuple[int, ...]
  protocols: tuple[str, ...]
  settings: dict[str, Any]
  episodes: int | None = None
  start_states: str = ''  # An absolute path, or '' for random ones.

  def runs(self) -> list[Run]:
    """All runs; a whole comparison with one seed comes before the next."""
    return [
      Run(game, variant, seed)
      for seed, game, variant in itertools.product(
        self.seeds, self.games, self.variants
      )
    ]

  def fields(self, run: Run) -> dict[str, Any]:
    """The preset of a run, and what of its config differs from it."""
    variant = run.variant
    return {
      'preset': self.preset,
      **self.settings,
      'env': run.game,
      'seed': run.seed,
      'discount': variant.reference_discount,
      'learned': variant.learned,
      'reference_discount': variant.reference_discount,
      'conditioning': variant.conditioning,
      **dict(variant.settings),
    }

  def config(self, run: Run) -> config_lib.Config:
    """The config of a run."""
    fields = self.fields(run)
    return config_lib.preset(fields.pop('preset'), **fields)


def read(path: str | os.PathLike[str]) -> Study:
  """Reads a study; whether its games exist is left to `check_games`.

  Raises:
    FileNotFoundError: no such file.
    ValueError: it is no study, is empty, or asks for something impossible.
  """
  path = pathlib.Path(path)
  with errors_named(path):
    return parse(tomllib.loads(files.read_text(path)), path.parent)


@contextlib.contextmanager
def errors_named(path: pathlib.Path) -> Iterator[None]:
  """Says in an error's text which study it is of."""
  try:
    yield
  except RecursionError:
    raise ValueError(f'study {path}: it is nested too deeply.') from None
  except ValueError as error:
    raise ValueError(f'study {path}: {error}') from None


def parse(fields: Mapping[str, Any], folder: pathlib.Path) -> Study:
  """The study with these fields, as of a file in the folder.

  Raises:
    ValueError: it is empty, or asks for something impossible.
  """
  study = _study(dict(fields), folder)
  for run in study.runs():
    study.config(run)
  return study


def check_games(study: Study) -> None:
  """Makes sure that every game is there; a gym:<module>:<id> is imported.

  Raises:
    ValueError: a game is unknown, or has no start states.
  """
  for game in study.games:
    if not atari_game.exists(game):
      environments.spec(game)  # Names the nearest games.
      if 'start_states' in study.protocols:
        raise ValueError(f'start states are of Atari games, not of {game}.')


def _study(fields: dict[str, Any], folder: pathlib.Path) -> Study:
  _check_names(
    'a study',
    fields,
    Study._fields,
    optional=('episodes', 'settings', 'start_states'),
  )
  if fields['games'] == 'atari57':
    fields['games'] = list(atari57.games())
  for name in ('title', 'preset', 'start_states'):
    _check_type(name, fields.get(name, ''), str)
  _check_type('episodes', fields.get('episodes', 1), int)
  for name, kind in (('games', str), ('seeds', int), ('protocols', str)):
    fields[name] = _list(name, fields[name], kind)
  if fields.get('episodes', 1) < 1:
    raise ValueError(f'episodes must be at least 1, got {fields["episodes"]}.')
  settings = fields.setdefault('settings', {})
  fields['settings'] = _typed('settings', settings, _fields_but(OWN))
  fields['variants'] = tuple(
    variant
    for one in _list('variants', fields['variants'], dict)
    for variant in _variants(one, fields['preset'])
  )
  if 'start_states' in fields:
    fields['start_states'] = str((folder / fields['start_states']).resolve())
  study = Study(**fields)
  _check(study)
  return study


def _variants(fields: dict[str, Any], preset: str) -> list[Variant]:
  """Those of one table: a list of values is a sweep."""
  label = fields.get('label', '')
  _check_type('label', label, str)
  open_to = choices(fields)
  swept = [name for name, values in open_to.items() if len(values) > 1]
  variants = []
  for name, (value, *_) in open_to.items():
    if isinstance(value, dict):
      raise ValueError(f'{name} is a range: that is for seed-metagrad tune.')
  for values in itertools.product(*open_to.values()):
    one = _typed('a variant', dict(zip(open_to, values)), _of_variant())
    at = ', '.join(f'{name} {_text(one[name])}' for name in swept)
    variants.append(
      _variant(one, preset, f'{label}, {at}' if label and at else label)
    )
  return variants


def choices(fields: Mapping[str, Any]) -> dict[str, list[Any]]:
  """What each field of one of a study file's variants may be.

  Raises:
    ValueError: a field is unknown, or an empty sweep.
  """
  known = _of_variant()
  for name in fields:
    if name not in known and name != 'label':
      raise ValueError(
        f'a variant has no {name!r}; it has label, {", ".join(sorted(known))}.'
      )
  return {
    name: _choices(value, known[name])
    for name, value in fields.items()
    if name != 'label'
  }


def _of_variant() -> dict[str, type]:
  return {**_fields_but(_OF_RUN), 'preset': str}


def _choices(value: Any, kind: type) -> list[Any]:
  """What a field is to be; a list of names is one value."""
  is_sweep = isinstance(value, list) and (
    kind is not tuple or any(isinstance(part, list) for part in value)
  )
  if is_sweep and not value:
    raise ValueError('a sweep needs at least one value, got an empty list.')
  return value if is_sweep else [value]


def _variant(fields: dict[str, Any], preset: str, label: str) -> Variant:
  """One variant; what it does not name is its preset's."""
  base = config_lib.preset(fields.get('preset', preset))
  discount = fields.pop(
    'discount', fields.get('reference_discount', base.discount)
  )
  learned, reference, conditioning = (
    fields.pop(name, getattr(base, name)) for name in _OF_VARIANT
  )
  others = sorted(fields.items())
  if discount != reference:
    others.insert(0, ('discount', discount))
  return Variant(learned, reference, conditioning, tuple(others), label)


def _fields_but(names: Iterable[str]) -> dict[str, type]:
  """The fields of the config, and the types of their values."""
  return {
    field.name: type(field.default)
    for field in dataclasses.fields(config_lib.Config)
    if field.name not in names
  }


def _typed(what: str, fields: Any, known: dict[str, type]) -> dict[str, Any]:
  """The fields, checked; lists of names as tuples."""
  _check_names(what, fields, known, optional=known)
  typed = {}
  for name, value in fields.items():
    if known[name] is tuple:
      value = _list(name, value, str, may_be_empty=True)
    else:
      _check_type(name, value, known[name])
    typed[name] = value
  return typed


def _text(value: Any) -> str:
  if isinstance(value, tuple):
    return ','.join(value)
  return f'{value:g}' if isinstance(value, float) else str(value)


def _check_names(
  what: str, fields: Any, known: Iterable[str], optional: Iterable[str]
) -> None:
  _check_type(what, fields, dict)
  unknown = sorted(fields.keys() - set(known))
  if unknown:
    raise ValueError(
      f'{what} has no {unknown[0]!r}; it has {", ".join(sorted(known))}.'
    )
  missing = sorted(set(known) - set(optional) - fields.keys())
  if missing:
    raise ValueError(f'{what} needs {missing[0]!r}.')


def _check_type(name: str, value: Any, kind: type) -> None:
  """As TOML has types, but that a whole number will do for a float."""
  if type(value) is not kind and (type(value), kind) != (int, float):
    raise ValueError(f'{name} must be {_KINDS[kind]}, got {value!r}.')


def _list(
  name: str, value: Any, kind: type, *, may_be_empty: bool = False
) -> tuple[Any, ...]:
  _check_type(name, value, list)
  if not value and not may_be_empty:
    raise ValueError(f'it is empty: {name} is an empty list.')
  for part in value:
    _check_type(f'each of {name}', part, kind)
  return tuple(value)


def _check(study: Study) -> None:
  for values in (study.games, study.variants, study.seeds, study.protocols):
    twice = [value for value in values if values.count(value) > 1]
    if twice:
      raise ValueError(f'{twice[0]!r} is there twice.')
  for protocol in study.protocols:
    if protocol not in atari57.PROTOCOLS:
      raise ValueError(
        f'protocols must be out of {atari57.PROTOCOLS}, got {protocol!r}.'
      )
