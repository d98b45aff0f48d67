"""The command writes its tables and figures."""

import contextlib
import csv
import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest
import numpy as np
import pytest

from experiments.illustrative import chain_control
from experiments.illustrative import discounting_chain
from experiments.illustrative import prediction
from experiments.illustrative import run as illustrative
from experiments.illustrative import two_colours

pytestmark = pytest.mark.integration


def _run(out, *arguments):
  flag_values = flags.FlagValues()
  illustrative.define_flags(flag_values)
  flag_values(['illustrative', f'--out={out}', *arguments])
  return illustrative.run(flag_values)


def _rows(path):
  with open(path, newline='', encoding='utf-8') as file:
    return list(csv.DictReader(file))


@contextlib.contextmanager
def _fake_training():
  """Training that learns .5 and nothing; gives what it was called with."""
  given = []

  def learn(process, rewards, decays_or_values, settings, bar):
    del bar
    given.append((rewards.shape, decays_or_values, settings))
    updates = rewards.shape[1] // settings.inner_updates
    table = np.full([updates, len(rewards), len(process.high)], 0.5)
    return prediction.History(table, table)

  with (
    mock.patch.object(prediction, 'learn', learn),
    mock.patch.object(prediction, 'learn_values', learn),
  ):
    yield given


class IllustrativeTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self._folder = pathlib.Path(
      self.enter_context(tempfile.TemporaryDirectory())
    )

  def test_both_processes_are_written(self):
    out = self._folder / 'new'
    with _fake_training() as given:
      _run(out, '--seeds=2', '--episodes=100', '--inner_updates=2')
    self.assertEqual(
      [shape for shape, _, _ in given],
      [(4 * 2, 101, 10), (21 * 2, 101, 10), (4 * 2, 101, 9), (21 * 2, 101, 9)],
    )
    values = _rows(out / 'final_values.csv')
    self.assertLen(values, 2 * (10 + 9))
    self.assertEqual(
      {(row['process'], row['kind']) for row in values},
      {('A', 'signal'), ('A', 'noise'), ('B', 'noisy'), ('B', 'known')},
    )
    curves = _rows(out / 'curves.csv')
    self.assertLen(curves, 2 * 4 * 2 * 5)  # Process, mu, kind, tenth update.
    self.assertEqual(curves[-1]['episode'], '100')
    for name in ('figure1.png', 'trace.png'):
      self.assertGreater((out / name).stat().st_size, 10_000)

  def test_one_process_is_trained(self):
    _run(self._folder, '--seeds=2', '--episodes=100', '--mu=0.9', '--n_step=1')
    values, curves, comparison = (
      _rows(self._folder / f'{name}.csv')
      for name in ('final_values', 'curves', 'comparison')
    )
    self.assertEqual({row['process'] for row in values}, {'A'})
    signal = [
      float(row['value'])
      for row in values
      if row['kind'] == 'signal' and row['state'] != '1'
    ]
    (last,) = (
      row
      for row in curves
      if row['mu'] == '0.9'
      and row['kind'] == 'signal'
      and row['episode'] == '100'
    )
    self.assertAlmostEqual(float(last['mean']), np.mean(signal), places=3)
    self.assertNotEqual(last['mean'], '0.5000')
    self.assertLen(comparison, 1 + 21 + 1)
    for row in comparison:
      self.assertBetween(
        float(row['mse']), float(row['low']), float(row['high'])
      )

  def test_flags_reach_the_training(self):
    with _fake_training() as given:
      _run(
        self._folder,
        '--seeds=2',
        '--episodes=100',
        '--inner_updates=2',
        '--n_step=3',
        '--mu=0.25',
        '--learning_rate=0.2',
        '--meta_learning_rate=0.1',
        '--meta_optimizer=sgd',
      )
    (_, mus, settings), (_, values, fixed_settings) = given  # A alone.
    self.assertEqual(settings, prediction.Settings(0.2, 0.1, 'sgd', 3, 2))
    self.assertEqual(settings, fixed_settings)
    np.testing.assert_array_equal(mus, np.repeat([0.0, 0.25, 0.5, 0.9, 1.0], 2))
    np.testing.assert_allclose(values, np.repeat(np.linspace(0, 1, 21), 2))

  def test_control_is_written(self):
    out = self._folder
    with mock.patch.object(chain_control, 'NUM_UPDATES', 20):
      _run(out, '--experiment=chain', '--seeds=2')
    self.assertLen(_rows(out / 'control_curves.csv'), 3 * 2 * 2)
    final = _rows(out / 'control_final.csv')
    self.assertEqual(
      [row['quantity'] for row in final], 3 * ['discount', 'waiting']
    )
    self.assertGreater((out / 'control.png').stat().st_size, 10_000)

  def test_the_discounting_chain_is_written(self):
    out = self._folder
    with (
      mock.patch.object(discounting_chain, 'NUM_UPDATES', 20),
      mock.patch.object(discounting_chain, 'ROW_EVERY', 10),
    ):
      _run(out, '--experiment=discounting_chain', '--seeds=2')
    curves, final = (_rows(out / f'{name}.csv') for name in ('curves', 'final'))
    self.assertLen(curves, 4 * 2 * 2)  # Variant, row, seed.
    self.assertEqual(
      {(row['variant'], row['name']) for row in final},
      {
        (variant, name)
        for variant in ('fixed', 'mg', 'bmg', 'mg_outer_critic')
        for name in ('discount', 'return')
      },
    )
    last = {
      (row['variant'], row['seed']): (row['discount'], row['return'])
      for row in curves
      if row['update'] == '20'
    }
    for row in final:
      column = ('discount', 'return').index(row['name'])
      self.assertEqual(row['value'], last[row['variant'], row['seed']][column])
    self.assertGreater((out / 'discounting_chain.png').stat().st_size, 10_000)

  def test_two_colours_is_written(self):
    out = self._folder
    variants = two_colours.VARIANTS
    with (
      mock.patch.object(two_colours, 'NUM_ROWS', 2),
      mock.patch.object(two_colours, 'ROW_STEPS', 256),
      mock.patch.object(
        two_colours,
        'VARIANTS',
        {name: variants[name] for name in ('fixed', 'mg_context')},
      ),
    ):
      _run(out, '--experiment=two_colours', '--seeds=2')
    curves, final = (_rows(out / f'{name}.csv') for name in ('curves', 'final'))
    self.assertLen(curves, 2 * 2 * 2)  # Variant, row, seed.
    self.assertEqual({row['name'] for row in final}, {'total_return'})
    last = {
      (row['variant'], row['seed']): row['total_return']
      for row in curves
      if row['step'] == '512'
    }
    for row in final:
      self.assertEqual(row['value'], last[row['variant'], row['seed']])
    self.assertGreater((out / 'two_colours.png').stat().st_size, 10_000)

  def test_flags_without_meaning_for_control_are_refused(self):
    with self.assertRaisesRegex((ValueError, OSError), "no .*'mu', 'n_step'"):
      _run(self._folder, '--experiment=chain', '--mu=1', '--n_step=3')

  def test_impossible_values_are_refused(self):
    for flag in ('--mu=1.1', '--seeds=1', '--episodes=0', '--n_step=-1'):
      with self.assertRaises(flags.IllegalFlagValueError):
        _run(self._folder, flag)


if __name__ == '__main__':
  absltest.main()
