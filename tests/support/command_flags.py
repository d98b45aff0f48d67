"""The flags of a command, as its module defines them."""

from absl import flags


def parse(module, *arguments: str) -> flags.FlagValues:
  """Parses what would follow the command's name."""
  flag_values = flags.FlagValues()
  module.define_flags(flag_values)
  flag_values(['seed-metagrad', *arguments])
  return flag_values
