"""Runs are done once, failures stay alone; a fake stands for the commands."""

import contextlib
import io
import json
import os
import pathlib
import signal
import tempfile
import threading
import time

from absl.testing import absltest

from experiments.comparison import compare
from experiments.comparison import results
from experiments.comparison import running
from experiments.evaluation import start_states
from learner.storage import lock
from tests.support import command_flags

_DEADLINE_SECS = 30.0
_STUDY = """
title = "A study"
preset = "smoke"
games = ["catch"]
seeds = [1]
protocols = ["noop"]
episodes = 7
[settings]
total_env_frames = 500
[[variants]]
learned = []
reference_discount = 0.99
[[variants]]
learned = ["discount", "lambda_"]
reference_discount = 0.995
"""
# Notes what it was told; does it, fails or hangs.
_FAKE = """
import json, os, pathlib, sys, time
command, *arguments = sys.argv[1:]
flags = dict(argument[2:].split('=', 1) for argument in arguments)
with open(os.environ['CALLS'], 'a') as file:
  file.write(json.dumps([command, flags]) + '\\n')
if os.environ['MODE'] == 'hang':
  time.sleep(60)
while os.environ['MODE'] == 'pairs':
  if len(open(os.environ['CALLS']).readlines()) > 1:
    break
  time.sleep(.01)
folder = pathlib.Path(flags.get('workdir') or flags['out'])
if os.environ['MODE'] in f'{command} {folder}':
  print('Traceback\\nValueError: it broke\\n')
  sys.exit(4)
folder.mkdir(parents=True)
(folder / 'summary.json').write_text(json.dumps(
    {'env_frames': int(flags.get('total_env_frames', 0)), 'mean': 1.,
     'interval': [0., 2.], 'episodes': 7}))
(folder / 'metrics.csv').write_text(
    'env_frames,mean_return_100,discount,lambda_\\n500,1,.9,.9\\n')
"""


class CompareTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.folder / 'fake_cli.py').write_text(_FAKE)
    self.study = self.folder / 'a.toml'
    self.study.write_text(_STUDY)
    self.workdir = self.folder / 'out'
    self.calls = self.folder / 'calls'
    self.enterContext(
      absltest.mock.patch.multiple(running, _CLI='fake_cli', _POLL_SECS=0.01)
    )

  def test_dry_run_lists_and_does_nothing(self):
    self.assertEmpty(self._compare('--dry_run'))
    before = self.printed.getvalue()
    self.assertFalse(self.workdir.exists())
    self._compare()
    self.assertIn('1 left, about 0:00 hours', self.printed.getvalue())
    self.assertEmpty(self._compare('--dry_run'))
    after = self.printed.getvalue()
    self.assertIn('0 of 2 runs are trained.', before)
    self.assertIn('[1/2] catch/impala_0.99/seed_1', before)
    self.assertIn('--preset=smoke --total_env_frames=500 --env=catch', before)
    self.assertIn('--learned=discount,lambda_', before)
    self.assertIn('[2/2] catch/discount-lambda_0.995/seed_1 (trained)', after)
    self.assertIn('2 of 2 runs are trained.', after)

  def test_what_is_left_is_said_at_the_pace_so_far(self):
    times = iter([0.0, 600.0, 3600.0])
    clock = running.Clock(14, lambda: next(times))
    # 13 runs at 10 minutes each; 12 at half an hour each.
    self.assertEqual(clock.one_more(), '13 left, about 2:10 hours')
    self.assertEqual(clock.one_more(), '12 left, about 6:00 hours')

  def _compare(self, *arguments, mode='well', status=0):
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
        compare.run(
          command_flags.parse(
            compare,
            f'--study={self.study}',
            f'--workdir={self.workdir}',
            *arguments,
          )
        ),
      )
    return [json.loads(line) for line in self.calls.read_text().splitlines()]

  def _statuses(self):
    study = results.read_study(self.workdir)
    return {
      result.run.name: result.status
      for result in results.read(study, self.workdir)
    }

  def test_every_run_is_trained_and_evaluated_in_turn(self):
    calls = self._compare()
    self.assertEqual(
      [command for command, _ in calls], ['train', 'evaluate'] * 2
    )
    folder = str(self.workdir / 'runs/catch/discount-lambda_0.995/seed_1')
    self.assertEqual(
      calls[2][1],
      {
        'preset': 'smoke',
        'env': 'catch',
        'seed': '1',
        'discount': '0.995',
        'learned': 'discount,lambda_',
        'reference_discount': '0.995',
        'conditioning': 'True',
        'total_env_frames': '500',
        'workdir': folder,
      },
    )
    self.assertEqual(
      calls[3][1],
      {
        'checkpoint': folder,
        'env': 'catch',
        'protocol': 'noop',
        'seed': '1',
        'episodes': '7',
        'out': f'{folder}/evaluation/noop',
      },
    )
    self.assertEqual(set(self._statuses().values()), {'done'})

  def test_finished_runs_are_not_done_again(self):
    self._compare()
    self.assertEmpty(self._compare())
    self.study.write_text(_STUDY.replace('seeds = [1]', 'seeds = [1, 2]'))
    self.assertEqual({flags['seed'] for _, flags in self._compare()}, {'2'})

  def test_a_failed_run_is_noted_and_the_others_go_on(self):
    calls = self._compare(mode='catch/impala', status=1)
    self.assertLen(calls, 3)  # Its evaluation is not tried.
    self.assertEqual(
      self._statuses(),
      {
        'catch/impala_0.99/seed_1': 'failed',
        'catch/discount-lambda_0.995/seed_1': 'done',
      },
    )
    failed = self.workdir / 'failed/catch/impala_0.99/seed_1.json'
    self.assertEqual(
      json.loads(failed.read_text()),
      {'stage': 'training', 'status': 4, 'reason': 'ValueError: it broke'},
    )
    self.assertLen(self._compare(), 2)  # It is tried again, and well.
    self.assertEqual(set(self._statuses().values()), {'done'})

  def test_a_failed_evaluation_alone_is_tried_again(self):
    self._compare(mode='evaluate', status=1)
    self.assertEqual(set(self._statuses().values()), {'failed'})
    calls = self._compare()
    self.assertEqual([command for command, _ in calls], ['evaluate'] * 2)

  def test_a_signal_stops_and_the_same_command_goes_on(self):
    def kill_when_called():
      deadline = time.monotonic() + _DEADLINE_SECS
      while not (self.calls.exists() and self.calls.read_text()):
        if time.monotonic() > deadline:
          break
        time.sleep(0.01)
      os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=kill_when_called)
    thread.start()
    calls = self._compare(mode='hang', status=130)
    thread.join()
    self.assertLen(calls, 1)
    self.assertEqual(set(self._statuses().values()), {'not run'})
    self.assertLen(self._compare(), 4)

  def test_as_many_at_a_time_as_told(self):
    # With one at a time the first call would wait for ever.
    self.assertLen(self._compare('--parallel=2', mode='pairs'), 4)

  def test_training_goes_to_a_cluster_when_told(self):
    calls = self._compare('--launcher=ray', '--ray_address=a:1')
    for command, flags in calls:
      self.assertEqual(
        [flags.get(name) for name in ('launcher', 'ray_address')],
        ['ray', 'a:1'] if command == 'train' else [None, None],
      )

  def test_another_study_is_refused(self):
    self._compare()
    self.study.write_text(_STUDY.replace('500', '600'))
    with self.assertRaisesRegex((ValueError, OSError), 'settings .*500.*600'):
      self._compare()
    self.assertIn('500', (self.workdir / 'study.toml').read_text())

  def test_start_states_are_those_of_the_study(self):
    self.study.write_text(
      'start_states = "starts"\n'
      + _STUDY.replace('"noop"', '"start_states"').replace('"catch"', '"pong"')
    )
    with self.assertRaisesRegex((ValueError, OSError), 'pong.json'):
      self._compare()
    (self.folder / 'starts').mkdir()
    start_states.write(
      self.folder / 'starts/pong.json',
      start_states.StartStates('pong', 'a test', [b'\0']),
    )
    _, flags = self._compare()[1]
    self.assertEqual(
      (flags['protocol'], flags['starts']),
      ('start_states', str(self.folder / 'starts/pong.json')),
    )

  def test_random_start_states_are_recorded_once(self):
    self.study.write_text(
      _STUDY.replace('"noop"', '"start_states"').replace('"catch"', '"pong"')
    )
    with absltest.mock.patch.multiple(
      compare, _NUM_STARTS=3, _MAX_START_FRAMES=40
    ):
      self._compare()
      path = self.workdir / 'starts/pong.json'
      states = start_states.read(path, 'pong')
      self.assertLen(states.starts, 3)
      self.assertEqual(states.source, 'a random policy')
      before = path.read_bytes()
      self._compare()
    self.assertEqual(path.read_bytes(), before)
    self.study.write_text(f'start_states = "mine"\n{self.study.read_text()}')
    with self.assertRaisesRegex(
      (ValueError, OSError), "start_states '', now 'mine'"
    ):
      self._compare()

  def test_one_compare_at_a_time(self):
    self.workdir.mkdir()
    with lock.held(self.workdir):
      with self.assertRaisesRegex(
        (ValueError, OSError), f'{self.workdir} is in use by the process'
      ):
        self._compare()

  def test_no_study(self):
    self.study.unlink()
    with self.assertRaisesRegex((ValueError, OSError), 'a.toml'):
      self._compare()
    self.assertFalse(self.workdir.exists())


if __name__ == '__main__':
  absltest.main()
