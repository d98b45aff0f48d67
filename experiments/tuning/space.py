"""The space of a search: what a study's variants leave open.

[[variants]]
learned = ["discount"]
discount = [0.9, 0.95, 0.99]                           # One of these.
meta_learning_rate = { low = 1e-3, high = 0.1, log = true }  # Any between.

More than one variant is a choice too.
"""

from collections.abc import Sequence
import os
import pathlib
import tomllib
from typing import Any, NamedTuple, Protocol

from experiments.comparison import study as study_lib
from learner.storage import files
from seed_metagrad import config as config_lib

_PROTOCOL = 'noop'
_VARIANT = 'variant'  # The parameter that chooses one, counted from 1.
_DIGITS = 4  # A number out of a range has so many, in the name of a folder.


class Trial(Protocol):
  """What chooses: a trial of Optuna."""

  def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
    """One of the choices: numbers, texts, bools."""

  def suggest_float(
    self, name: str, low: float, high: float, *, log: bool
  ) -> float:
    """A number of the closed range."""

  def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
    """A whole number of the closed range."""


class Range(NamedTuple):
  """Any number between two, which are in it."""

  low: float
  high: float
  log: bool  # Evenly by ratio, not by difference.
  is_whole: bool  # As the field is.


class Sample(NamedTuple):
  """One point of a space."""

  study: study_lib.Study  # It has one variant.
  values: dict[str, Any]  # What was chosen, by the name of its parameter.


class Space(NamedTuple):
  """A study file whose variants are open."""

  fields: dict[str, Any]  # What the file says.
  folder: pathlib.Path  # Where the file is.
  variants: tuple[dict[str, list[Any] | Range], ...]

  def sample(self, trial: Trial) -> Sample:
    """Lets a trial choose.

    Raises:
      ValueError: these values do not go together.
    """
    values, index = {}, 0
    if len(self.variants) > 1:
      numbers = range(1, len(self.variants) + 1)
      values[_VARIANT] = trial.suggest_categorical(_VARIANT, [*numbers])
      index = values[_VARIANT] - 1
    chosen = {}
    for name, choices in self.variants[index].items():
      # Optuna knows one range of a name.
      parameter = name if len(self.variants) == 1 else f'{index + 1}.{name}'
      if isinstance(choices, Range):
        chosen[name] = _number(trial, parameter, choices)
      elif len(choices) == 1:
        (chosen[name],) = choices
        continue
      else:
        texts = [_text(choice) for choice in choices]
        text = trial.suggest_categorical(parameter, texts)
        chosen[name] = choices[texts.index(text)]
      values[parameter] = chosen[name]
    return Sample(self._study(index, chosen), values)

  def _study(self, index: int, chosen: dict[str, Any]) -> study_lib.Study:
    label = self.fields['variants'][index].get('label', '')
    variant = {**chosen, 'label': label}
    return study_lib.parse({**self.fields, 'variants': [variant]}, self.folder)

  def check(self) -> study_lib.Study:
    """Returns a study of the first of all choices.

    Each choice, and both ends of ranges, is tried beside the first of the rest.

    Raises:
      ValueError: one is impossible, or nothing is open.
    """
    is_open = len(self.variants) > 1
    studies = []
    for index, variant in enumerate(self.variants):
      ends = {name: _ends(choices) for name, choices in variant.items()}
      first = {name: values[0] for name, values in ends.items()}
      studies.append(self._study(index, first))
      for name, values in ends.items():
        is_open |= len(values) > 1
        for value in values[1:]:
          self._study(index, {**first, name: value})
    if not is_open:
      raise ValueError('nothing is open: no variant has a list or a range.')
    return studies[0]


def read(path: str | os.PathLike[str]) -> Space:
  """Reads a study file as a space.

  Raises:
    FileNotFoundError: no such file.
    ValueError: it is no study, or none to search: its scores must be of one
      game and one protocol.
  """
  path = pathlib.Path(path)
  with study_lib.errors_named(path):
    fields = tomllib.loads(files.read_text(path))
    variants = fields.get('variants')
    if not isinstance(variants, list) or not all(
      isinstance(variant, dict) for variant in variants
    ):
      raise ValueError('it needs [[variants]].')
    space = Space(
      fields,
      path.parent,
      tuple(
        {name: _open(name, v) for name, v in study_lib.choices(one).items()}
        for one in variants
      ),
    )
    study = space.check()
    if len(study.games) > 1 or study.protocols != (_PROTOCOL,):
      raise ValueError(
        f'a search needs one game and protocols = ["{_PROTOCOL}"]: scores of'
        ' several cannot be added.'
      )
  return space


def _open(name: str, choices: list[Any]) -> list[Any] | Range:
  """The choices of a field, or its range."""
  value = choices[0]
  if not isinstance(value, dict):
    texts = [_text(choice) for choice in choices]
    if len({*texts}) < len(texts):
      raise ValueError(f'{name} has a value twice: {choices}.')
    return choices
  range_: dict[str, Any] = {'low': None, 'high': None, 'log': False, **value}
  low, high, log = (range_[end] for end in ('low', 'high', 'log'))
  if (
    len(choices) > 1
    or value.keys() - {'low', 'high', 'log'}
    or type(log) is not bool
    or not all(type(end) in (int, float) for end in (low, high))
    or not low < high
    or (log and low <= 0)
  ):
    raise ValueError(
      f'{name} must be {{low = ..., high = ..., log = true or false}} with low'
      f' below high, and above 0 by log; got {value}.'
    )
  is_whole = type(getattr(config_lib.Config, name, None)) is int
  return Range(low, high, log, is_whole)


def _ends(choices: list[Any] | Range) -> list[Any]:
  return [*choices[:2]] if isinstance(choices, Range) else choices


def _number(trial: Trial, parameter: str, within: Range) -> float:
  low, high, log, is_whole = within
  if is_whole:
    return trial.suggest_int(parameter, int(low), int(high), log=log)
  value = trial.suggest_float(parameter, low, high, log=log)
  return min(max(float(f'{value:.{_DIGITS}g}'), low), high)


def _text(value: Any) -> Any:
  """A list of names as one text; the rest as it is."""
  return ','.join(value) if isinstance(value, list) else value
