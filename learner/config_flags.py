"""Every field of the config as a flag, with the field's help text."""

from collections.abc import Callable
import dataclasses
import os
import typing
from typing import Any

from absl import flags

from seed_metagrad import config as config_lib
from seed_metagrad import presets

_DEFAULT_PRESET = 'local'


def define(flag_values: flags.FlagValues) -> None:
  """Defines --preset and one flag for each field of the config.

  A field's flag is None unless it is passed: the preset decides.
  """
  flags.DEFINE_enum(
    'preset',
    _DEFAULT_PRESET,
    sorted(presets.PRESETS),
    'Preset for the fields that are not passed. The helps below name the '
    "sources of the paper's defaults: [MGRL] Xu et al. 2018, [IMPALA] Espeholt "
    'et al. 2018, [C] our choice.',
    flag_values=flag_values,
  )
  types = typing.get_type_hints(config_lib.Config)
  for field in dataclasses.fields(config_lib.Config):
    text = f'{field.metadata["help"]} (paper: {_shown(field.default)})'
    _DEFINE[types[field.name]](field.name, None, text, flag_values=flag_values)


def read(flag_values: flags.FlagValues) -> config_lib.Config:
  """The preset with the flags that were passed, checked.

  Raises:
    ValueError: a value is out of its range.
  """
  passed = {
    field.name: flag_values[field.name].value
    for field in dataclasses.fields(config_lib.Config)
    if flag_values[field.name].present
  }
  if workdir := passed.get('workdir'):
    passed['workdir'] = os.path.expanduser(workdir)
  return config_lib.preset(
    flag_values.preset,
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in passed.items()
    },
  )


_DEFINE: dict[object, Callable[..., Any]] = {
  bool: flags.DEFINE_bool,
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  str: flags.DEFINE_string,
  tuple[str, ...]: flags.DEFINE_list,
}


def _shown(value: object) -> str:
  return ','.join(value) if isinstance(value, tuple) else str(value)
