"""A search finds what is best and goes on; a fake stands for the commands."""

import collections
import contextlib
import csv
import io
import json
import os
import pathlib
import signal
import tempfile
import threading
import time

from absl.testing import absltest
import pytest

from experiments.comparison import running
from experiments.tuning import tune
from learner.storage import lock
from tests.support import command_flags

pytest.importorskip('optuna')

_DEADLINE_SECS = 30.0
_SPACE = """
title = "A search"
preset = "smoke"
games = ["catch"]
seeds = [1, 2]
protocols = ["noop"]
episodes = 7
[settings]
total_env_frames = 500
[[variants]]
learned = []
discount = [0.8, 0.9]
learning_rate = { low = 1e-4, high = 1.0 }
"""
# The score is 10 (discount is .9) + learning_rate + seed.
_FAKE = """
import json, os, pathlib, sys, time
command, *arguments = sys.argv[1:]
flags = dict(argument[2:].split('=', 1) for argument in arguments)
with open(os.environ['CALLS'], 'a') as file:
  file.write(json.dumps([command, flags]) + '\\n')
if os.environ['MODE'] == 'hang':
  time.sleep(60)
folder = pathlib.Path(flags.get('workdir') or flags['out'])
if command == 'train' and os.environ['MODE'] in str(folder):
  print('ValueError: it broke')
  sys.exit(4)
folder.mkdir(parents=True)
if command == 'train':
  (folder / 'flags.json').write_text(json.dumps(flags))
  summary = {'env_frames': int(flags['total_env_frames'])}
else:
  told = pathlib.Path(flags['checkpoint']) / 'flags.json'
  told = json.loads(told.read_text())
  mean = 10. * (told['discount'] == '0.9') + float(told['learning_rate'])
  summary = {'mean': mean + int(told['seed']), 'interval': [0., 2.],
             'episodes': 7}
(folder / 'metrics.csv').write_text(
    'env_frames,mean_return_100,discount\\n500,1,.9\\n')
(folder / 'summary.json').write_text(json.dumps(summary))
"""


class TuneTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.folder / 'fake_cli.py').write_text(_FAKE)
    self.study = self.folder / 'a.toml'
    self.study.write_text(_SPACE)
    self.workdir = self.folder / 'out'
    self.calls = self.folder / 'calls'
    self.enterContext(
      absltest.mock.patch.multiple(running, _CLI='fake_cli', _POLL_SECS=0.01)
    )

  def _tune(self, trials, *arguments, mode='well', status=0):
    """Returns the calls of the fake: [(command, flags)]."""
    self.calls.write_text('')
    self.printed = io.StringIO()
    environ = dict(
      PYTHONPATH=str(self.folder), CALLS=str(self.calls), MODE=mode
    )
    with (
      absltest.mock.patch.dict(os.environ, environ),
      contextlib.redirect_stdout(self.printed),
    ):
      self.assertEqual(
        status,
        tune.run(
          command_flags.parse(
            tune,
            f'--study={self.study}',
            f'--workdir={self.workdir}',
            f'--trials={trials}',
            '--parallel=1',
            *arguments,
          )
        ),
      )
    return [json.loads(line) for line in self.calls.read_text().splitlines()]

  def _trials(self):
    with open(self.workdir / 'trials.csv') as file:
      return list(csv.DictReader(file))

  def test_a_score_is_the_mean_of_the_seeds(self):
    calls = self._tune(3)
    self.assertEqual(
      [command for command, _ in calls], ['train', 'evaluate'] * 2 * 3
    )
    trials = self._trials()
    self.assertEqual([trial['trial'] for trial in trials], ['0', '1', '2'])
    for trial, (_, flags) in zip(trials, calls[::4]):
      self.assertEqual(trial['state'], 'complete')
      self.assertEqual(flags['discount'], trial['discount'])
      self.assertEqual(flags['learning_rate'], trial['learning_rate'])
      expected = 10 * (trial['discount'] == '0.9') + 1.5
      self.assertAlmostEqual(
        float(trial['score']), expected + float(trial['learning_rate'])
      )

  def test_the_best_is_said_and_the_search_gets_there(self):
    self._tune(25)
    trials = self._trials()
    best = max(trials, key=lambda trial: float(trial['score']))
    lines = self.printed.getvalue().splitlines()
    self.assertStartsWith(lines[-3], f'Best of 25 trials is {best["trial"]}:')
    self.assertStartsWith(lines[-2], '  seed-metagrad train --preset=smoke ')
    self.assertIn(f' --learning_rate={best["learning_rate"]}', lines[-2])
    self.assertNotIn('--seed', lines[-2])
    # Ten at random, then most where it is best; at random half are.
    counts = collections.Counter(trial['discount'] for trial in trials[10:])
    self.assertGreater(counts['0.9'], 10)

  def test_what_is_done_counts_and_other_trials_follow(self):
    self._tune(2)
    self.assertEmpty(self._tune(2))
    self.assertLen(self._tune(4), 2 * 4)
    self.assertLen({trial['learning_rate'] for trial in self._trials()}, 4)

  def test_an_interrupted_trial_is_done_first(self):
    def kill_when_called():
      deadline = time.monotonic() + _DEADLINE_SECS
      while not (self.calls.exists() and self.calls.read_text()):
        if time.monotonic() > deadline:
          break
        time.sleep(0.01)
      os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=kill_when_called)
    thread.start()
    ((_, interrupted),) = self._tune(2, mode='hang', status=130)
    thread.join()
    calls = self._tune(2)
    self.assertLen(calls, 2 * 4)
    self.assertEqual(calls[0][1], interrupted)
    self.assertEqual(
      [trial['state'] for trial in self._trials()],
      ['interrupted', 'complete', 'complete'],
    )

  def test_a_failed_trial_is_noted_and_the_others_go_on(self):
    self._tune(6, mode='discount=0.8', status=1)
    states = collections.Counter(
      (trial['state'], trial['discount'], bool(trial['score']))
      for trial in self._trials()
    )
    self.assertCountEqual(
      states, [('fail', '0.8', False), ('complete', '0.9', True)]
    )
    num_failed = states['fail', '0.8', False]
    self._tune(6)
    self.assertLen(self._trials(), 6 + num_failed)

  def test_the_same_draw_at_the_same_time_is_trained_once(self):
    self.study.write_text(_SPACE.replace('{ low = 1e-4, high = 1.0 }', '0.5'))
    calls = self._tune(8, '--parallel=4')
    folders = [flags.get('workdir') for name, flags in calls if name == 'train']
    self.assertLen(folders, 4)  # Two discounts and two seeds.
    self.assertLen({*folders}, 4)
    self.assertEqual(
      {trial['score'] for trial in self._trials()}, {'2.0', '12.0'}
    )

  def test_values_that_do_not_go_together_are_a_failed_trial(self):
    sizes = 'batch_size = [8, 2]\nmeta_batch_size = [2, 8]\n'
    self.study.write_text(_SPACE + sizes)
    self._tune(8, status=1)
    self.assertIn('not tried: ', self.printed.getvalue())
    self.assertNotEmpty(
      [trial for trial in self._trials() if trial['state'] == 'complete']
    )

  def test_another_space_is_refused(self):
    self._tune(1)
    self.study.write_text(_SPACE.replace('A search', 'Its title'))
    self._tune(1)
    self.study.write_text(_SPACE.replace('0.8', '0.7'))
    with self.assertRaisesRegex(ValueError, 'of another space'):
      self._tune(1)

  def test_one_search_at_a_time(self):
    self.workdir.mkdir()
    with lock.held(self.workdir):
      with self.assertRaisesRegex((ValueError, OSError), 'is in use'):
        self._tune(1)

  def test_without_optuna_its_extra_is_named(self):
    with absltest.mock.patch.object(
      tune.extras.util, 'find_spec', return_value=None
    ):
      with self.assertRaisesRegex(ValueError, r'seed-metagrad\[tune\]'):
        self._tune(1)


if __name__ == '__main__':
  absltest.main()
