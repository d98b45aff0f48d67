"""Flags and config agree, field by field."""

import dataclasses

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized

from learner import config_flags
from seed_metagrad import config as config_lib


def _parse(*arguments: str) -> flags.FlagValues:
  values = flags.FlagValues()
  config_flags.define(values)
  values(['program', *arguments])
  return values


class ConfigFlagsTest(parameterized.TestCase):
  @parameterized.parameters('local', 'paper', 'smoke')
  def test_read_is_the_preset_when_nothing_else_is_passed(self, name):
    self.assertEqual(
      config_flags.read(_parse(f'--preset={name}')), config_lib.preset(name)
    )

  def test_read_starts_from_local(self):
    self.assertEqual(config_flags.read(_parse()), config_lib.preset('local'))

  def test_read_takes_what_was_passed(self):
    config = config_flags.read(
      _parse(
        '--env=breakout',
        '--learned=lambda_',
        '--seed=7',
        '--xla',
        '--noconditioning',
        '--learning_rate=1e-3',
        '--batch_size=32',
      )
    )
    self.assertEqual(
      config,
      dataclasses.replace(
        config_lib.preset('local'),
        env='breakout',
        learned=('lambda_',),
        seed=7,
        xla=True,
        conditioning=False,
        learning_rate=1e-3,
        batch_size=32,
      ),
    )

  @parameterized.parameters(
    ('', ()), ('discount, lambda_', ('discount', 'lambda_'))
  )
  def test_learned_is_a_list_of_names(self, text, names):
    config = config_flags.read(_parse(f'--learned={text}'))
    self.assertEqual(config.learned, names)

  @parameterized.parameters(
    '--seed=x',
    '--xla=perhaps',
    '--preset=huge',
    '--gamma=1',
    '--learning_rate=',
  )
  def test_parsing_refuses_when_a_value_has_another_type(self, argument):
    with self.assertRaises(flags.Error):
      _parse(argument)

  @parameterized.parameters(
    ('--discount=1.5', r'discount must be in \[0, 1\], got 1.5'),
    ('--learned=gamma', r"must be different names .* got \('gamma',\)"),
    ('--policy_target=q', 'policy_target must be one of'),
  )
  def test_read_refuses_when_a_value_is_out_of_range(self, argument, message):
    with self.assertRaisesRegex(ValueError, message):
      config_flags.read(_parse(argument))

  def test_help_is_the_fields_help_and_the_default(self):
    values = _parse()
    self.assertEqual(
      values['trace_decay'].help,
      'Decay of the trace, mu; 0 on Atari [MGRL]. (paper: 0.0)',
    )
    self.assertEqual(
      values['learned'].help,
      'Meta-parameters; none is plain IMPALA. (paper: discount,lambda_)',
    )

  def test_every_help_is_one_sentence_that_starts_with_the_thing(self):
    for field in dataclasses.fields(config_lib.Config):
      with self.subTest(field.name):
        text = field.metadata['help']
        self.assertRegex(text, r'^[A-Z].*[^.]\.$')
        self.assertNotRegex(text, '^(Of|From|Or|On|In|The|A) ')

  def test_every_field_has_a_flag(self):
    values = _parse()
    for field in dataclasses.fields(config_lib.Config):
      self.assertIn(field.name, values)


if __name__ == '__main__':
  absltest.main()
