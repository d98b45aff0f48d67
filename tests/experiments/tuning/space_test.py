"""Spaces are read, sampled and refused; a list stands for Optuna's trial."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.tuning import space as space_lib
from tests.repository import sources
from tests.support import fake_study

_HEAD = """
title = "A search"
preset = "smoke"
games = ["catch"]
seeds = [3, 5]
protocols = ["noop"]
[settings]
total_env_frames = 500
"""
_ONE = """
[[variants]]
label = "mine"
learned = [["discount"], []]
discount = [0.8, 0.9]
outer_critic = "none"
learning_rate = { low = 1e-4, high = 1e-2, log = true }
batch_size = { low = 8, high = 16 }
"""
_TWO = """
[[variants]]
learned = ["discount"]
discount = [0.9, 0.95]
[[variants]]
learned = []
discount = { low = 0, high = 0.99 }
"""


class _Trial:
  """Gives what it was made with, in turn; notes what it was asked."""

  def __init__(self, *values):
    self.values, self.asked = list(values), []

  def suggest_categorical(self, name, choices):
    return self._next(name, list(choices))

  def suggest_float(self, name, low, high, *, log):
    return self._next(name, (float, low, high, log))

  def suggest_int(self, name, low, high, *, log):
    return self._next(name, (int, low, high, log))

  def _next(self, *asked):
    self.asked.append(asked)
    return self.values.pop(0)


def _read(text):
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'search.toml'
    path.write_text(text)
    return space_lib.read(path)


class SpaceTest(parameterized.TestCase):
  def test_what_is_open_is_chosen(self):
    trial = _Trial('', 0.9, 0.00123456, 9)
    study, values = _read(_HEAD + _ONE).sample(trial)
    self.assertEqual(
      trial.asked,
      [
        ('learned', ['discount', '']),
        ('discount', [0.8, 0.9]),
        ('learning_rate', (float, 1e-4, 1e-2, True)),
        ('batch_size', (int, 8, 16, False)),
      ],
    )
    self.assertEqual(
      values,
      dict(learned=[], discount=0.9, learning_rate=0.001235, batch_size=9),
    )
    config = study.config(study.runs()[1])
    self.assertEqual(
      (
        config.env,
        config.seed,
        config.learned,
        config.discount,
        config.learning_rate,
        config.batch_size,
        config.outer_critic,
        config.total_env_frames,
      ),
      ('catch', 5, (), 0.9, 0.001235, 9, 'none', 500),
    )
    self.assertEqual(study.variants[0].title, 'mine')

  def test_a_variant_is_chosen_and_its_parameters_are_its_own(self):
    space = _read(_HEAD + _TWO)
    first, second = _Trial(1, 0.95), _Trial(2, 0.123456)
    study, values = space.sample(first)
    self.assertEqual(values, {'variant': 1, '1.discount': 0.95})
    self.assertEqual(study.variants[0].learned, ('discount',))
    study, values = space.sample(second)
    self.assertEqual(values, {'variant': 2, '2.discount': 0.1235})
    self.assertEqual(study.variants[0].learned, ())
    # Whole ends do not make a discount a whole number.
    self.assertEqual(second.asked[1], ('2.discount', (float, 0, 0.99, False)))

  def test_a_rounded_number_stays_in_its_range(self):
    space = _read(_HEAD + _ONE.replace('1e-4, high', '1.23456e-4, high'))
    _, values = space.sample(_Trial('', 0.8, 1.23456e-4, 8))
    self.assertEqual(values['learning_rate'], 1.235e-4)
    space = _read(_HEAD + _ONE.replace('1e-2', '1.23456e-3'))
    _, values = space.sample(_Trial('', 0.8, 1.23456e-3, 8))
    self.assertEqual(values['learning_rate'], 1.23456e-3)

  def test_values_that_do_not_go_together_are_refused(self):
    # Each is possible beside the first of the other.
    sizes = 'batch_size = [8, 2]\nmeta_batch_size = [2, 8]\n'
    space = _read(f'{_HEAD}[[variants]]\n{sizes}')
    space.sample(_Trial(8, 8))
    with self.assertRaisesRegex(ValueError, 'meta_batch_size must be at most'):
      space.sample(_Trial(2, 8))

  @parameterized.parameters(
    (_ONE, '', r'it needs \[\[variants\]\]'),
    (_ONE, '[[variants]]\nlearned = []\n', 'nothing is open'),
    ('["catch"]', '["catch", "pong"]', 'one game'),
    ('["noop"]', '["start_states"]', 'protocols = ."noop".'),
    ('[0.8, 0.9]', '[0.8, 0.8]', 'discount has a value twice'),
    ('[0.8, 0.9]', '[0.8, 1.5]', 'discount'),
    ('[0.8, 0.9]', '{low = 0.9, high = 0.8}', 'discount must be .low'),
    ('[0.8, 0.9]', '{low = 0.8}', 'discount must be .low'),
    ('[0.8, 0.9]', '{low = 0.8, high = 0.9, step = 1}', 'discount must be'),
    ('[0.8, 0.9]', '{low = 0.8, high = 1.5}', 'discount'),
    ('[0.8, 0.9]', '{low = 0, high = 0.9, log = true}', 'above 0 by log'),
    ('{ low = 8, high = 16 }', '{low = 8, high = 9.5}', 'whole number'),
    ('{ low = 8, high = 16 }', '{low = 0, high = 16}', 'batch_size'),
    ('outer_critic', 'outer_crtic', "a variant has no 'outer_crtic'"),
  )
  def test_impossible_space_is_refused(self, old, new, message):
    text = _HEAD + _ONE
    self.assertIn(old, text)
    with self.assertRaisesRegex(ValueError, f'search.toml: .*{message}'):
      _read(text.replace(old, new))

  def test_a_study_with_sweeps_is_a_space(self):
    text = fake_study.TOML.replace(
      '["breakout", "pong", "seaquest"]', '["pong"]'
    )
    self.assertLen(_read(text).variants, 3)

  def test_shipped_space(self):
    space = space_lib.read(sources.ROOT / 'experiments/studies/search.toml')
    trial = _Trial(0.9, 0.002)
    self.assertEqual(
      space.sample(trial).values, dict(discount=0.9, learning_rate=0.002)
    )


if __name__ == '__main__':
  absltest.main()
