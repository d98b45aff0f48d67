"""Every field of the config as a flag, with its comment as the help text."""

import ast
import dataclasses
import inspect
import re
import typing

from absl import flags

from seed_metagrad import config as config_lib

_DEFAULT_PRESET = 'local'


def define(flag_values: flags.FlagValues):
  """Defines --preset and one flag for each field of the config.

  A field's flag is None unless it is passed: the preset decides.
  """
  flags.DEFINE_enum(
    'preset',
    _DEFAULT_PRESET,
    sorted(config_lib.PRESETS),
    'Where the fields that are not passed come from.',
    flag_values=flag_values,
  )
  comments = _comments()
  types = typing.get_type_hints(config_lib.Config)
  for field in dataclasses.fields(config_lib.Config):
    text = f'{comments[field.name]} [paper: {_shown(field.default)}]'.strip()
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
  return config_lib.preset(
    flag_values.preset,
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in passed.items()
    },
  )


_DEFINE = {
  bool: flags.DEFINE_bool,
  int: flags.DEFINE_integer,
  float: flags.DEFINE_float,
  str: flags.DEFINE_string,
  tuple[str, ...]: flags.DEFINE_list,
}


def _shown(value) -> str:
  return ','.join(value) if isinstance(value, tuple) else str(value)


def _comments() -> dict[str, str]:
  """What the source of the config says behind each field."""
  lines = inspect.getsource(config_lib).splitlines()
  fields = next(
    node.body
    for node in ast.parse('\n'.join(lines)).body
    if isinstance(node, ast.ClassDef) and node.name == 'Config'
  )
  return {
    node.target.id: re.sub(r'^[^#]*#?\s*', '', lines[node.lineno - 1])
    for node in fields
    if isinstance(node, ast.AnnAssign)
  }
