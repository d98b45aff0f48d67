"""The command evaluates, writes what it says and writes over nothing."""

# Before everything that imports TensorFlow.
from experiments.evaluation import policy  # noqa: F401  # isort: skip

import contextlib
import csv
import io
import json
import os
import pathlib
import signal
import tempfile

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.evaluation import evaluate
from experiments.evaluation import playing
from experiments.evaluation import start_states
from tests.support import command_flags
from tests.support import gym_cases  # noqa: F401
from tests.support import untrained


class EvaluateTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

  def _evaluate(self, env, *arguments, status=0):
    if not (self.folder / env).exists():
      untrained.make_workdir(self.folder / env, env)
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
      found = evaluate.run(
        command_flags.parse(
          evaluate,
          f'--checkpoint={self.folder / env}',
          '--max_episode_frames=48',
          *arguments,
        )
      )
    self.assertEqual(found, status)
    return stdout.getvalue()

  def _refused(self, text, env, *arguments):
    with self.assertRaisesRegex((ValueError, OSError), text):
      self._evaluate(env, *arguments)

  def _read(self, folder):
    with open(folder / 'episodes.csv', encoding='utf-8') as file:
      rows = list(csv.DictReader(file))
    return rows, json.loads((folder / 'summary.json').read_text())

  def test_summary_is_that_of_the_episodes(self):
    printed = self._evaluate('catch', '--episodes=40')
    rows, summary = self._read(self.folder / 'catch/evaluation/noop_0')
    scores = [float(row['score']) for row in rows]
    self.assertContainsSubset(scores, [-1.0, 1.0])
    self.assertEqual({row['frames'] for row in rows}, {'9'})  # 10 rows to fall.
    self.assertAlmostEqual(summary['mean'], np.mean(scores))
    self.assertEqual(summary['median'], np.median(scores))
    low, high = summary['interval']
    self.assertTrue(low < summary['mean'] < high)
    self.assertIsNone(summary['human_normalised'])
    self.assertEqual(
      (summary['episodes'], summary['planned_episodes']), (40, 40)
    )
    self.assertEqual(summary['capped_episodes'], 0)
    self.assertEqual(summary['starts'], 'its own starts')
    self.assertIn(json.dumps(summary, indent=2), printed)

  def test_a_tracker_has_the_scores_and_the_videos(self):
    with absltest.mock.patch.object(evaluate.trackers, 'Tracker') as made:
      self._evaluate('breakout', '--episodes=2', '--video', '--track=wandb')
    (kind, workdir), settings = made.call_args
    self.assertEqual((kind, workdir.name), ('wandb', 'breakout'))
    self.assertEqual(settings['project'], 'seed_metagrad')
    self.assertEqual(settings['config']['env'], 'breakout')
    tracker = made.return_value
    (row,) = tracker.write.call_args.args
    _, summary = self._read(self.folder / 'breakout/evaluation/noop_0')
    self.assertEqual(row['env_frames'], 0)
    self.assertEqual(row['evaluation/noop/mean'], summary['mean'])
    sent = dict(x.args for x in tracker.file.mock_calls)
    self.assertEqual(
      set(sent), {f'evaluation/noop/{x}' for x in ('best', 'median', 'worst')}
    )
    for path in sent.values():
      self.assertStartsWith(path.read_bytes(), b'GIF89a')
    tracker.close.assert_called_once()

  def test_atari_from_no_ops_with_videos(self):
    out = self.folder / 'new/out'
    self._evaluate(
      'breakout', '--episodes=3', '--greedy', '--video', f'--out={out}'
    )
    rows, summary = self._read(out)
    for row in rows:
      self.assertBetween(int(row['start_frames']), 1, 30)
      self.assertEqual(row['frames'], '48')
    # No brick in 48 frames; random 1.7 and human 30.5.
    self.assertEqual(summary['capped_episodes'], 3)
    self.assertEqual(summary['mean'], 0.0)
    self.assertAlmostEqual(summary['human_normalised'], -170 / 28.8)
    self.assertEqual(
      (summary['policy'], summary['protocol']), ('greedy', 'noop')
    )
    for name in ('best', 'median', 'worst'):
      self.assertStartsWith((out / f'{name}.gif').read_bytes(), b'GIF89a')

  def test_atari_from_start_states(self):
    path = self.folder / 'starts.json'
    start_states.write(
      path,
      start_states.StartStates('breakout', 'a test', [bytes(60), bytes(70)]),
    )
    self._evaluate(
      'breakout',
      '--protocol=start_states',
      f'--starts={path}',
      '--episodes=4',
      f'--out={self.folder / "out"}',
    )
    rows, summary = self._read(self.folder / 'out')
    self.assertCountEqual(
      [row['start_frames'] for row in rows], ['60', '60', '70', '70']
    )
    # Random 1.6 and human 27.9 from human starts.
    self.assertAlmostEqual(summary['human_normalised'], -160 / 26.3)
    self.assertEqual(summary['starts'], '2 start states of a test')

  def test_endless_episodes_are_cut_and_counted(self):
    out = self.folder / 'out'
    self._evaluate('gym:EndlessTest-v0', '--episodes=3', f'--out={out}')
    rows, summary = self._read(out)
    self.assertEqual([row['frames'] for row in rows], ['48'] * 3)
    self.assertEqual(
      (summary['capped_episodes'], summary['max_episode_frames']), (3, 48)
    )

  def test_what_is_not_finite_is_refused(self):
    self._refused('observation must be finite', 'gym:NanObservationTest-v0')
    self.assertFalse(
      (self.folder / 'gym:NanObservationTest-v0/evaluation').exists()
    )

  def test_a_signal_keeps_the_episodes_that_have_ended(self):
    def interrupt(unused_progress):
      os.kill(os.getpid(), signal.SIGINT)

    out = self.folder / 'out'
    with absltest.mock.patch.object(playing.Progress, 'ended', interrupt):
      printed = self._evaluate(
        'catch', '--episodes=40', f'--out={out}', status=130
      )
    self.assertIn('only 16 of 40 episodes had ended', printed)
    self.assertFalse(out.exists())  # Nobody takes it for an evaluation.
    rows, summary = self._read(self.folder / 'out.partial')
    self.assertLen(rows, 16)  # The games that are played at a time.
    self.assertEqual(
      (summary['episodes'], summary['planned_episodes']), (16, 40)
    )

  def test_a_signal_before_an_episode_has_ended_writes_nothing(self):
    def interrupt(unused_progress, unused_num_envs):
      os.kill(os.getpid(), signal.SIGINT)
      return False

    with absltest.mock.patch.object(playing.Progress, 'stepped', interrupt):
      printed = self._evaluate('catch', status=130)
    self.assertIn('nothing is written', printed)
    self.assertFalse((self.folder / 'catch/evaluation').exists())

  def test_nothing_is_written_over(self):
    out = self.folder / 'out'
    out.mkdir()
    self._refused('out is there already', 'catch', f'--out={out}')
    self.assertEmpty(list(out.iterdir()))
    self._evaluate('catch', '--episodes=2')
    self._refused('noop_0 is there already', 'catch', '--episodes=2')

  @parameterized.parameters(
    ("'cath'", '--env=cath'),
    ('not on .chain', '--env=chain'),
    ('needs a file by --starts', '--protocol=start_states'),
    ('needs a file by --starts', '--starts=x.json'),
    ('of Atari games only', '--video'),
    ('catch takes no setting sticky_actions, got 0.25', '--sticky_actions=.25'),
    ('not of catch', '--protocol=start_states', '--starts=x.json'),
  )
  def test_impossible_flags_get_a_sentence(self, text, *arguments):
    self._refused(text, 'catch', '--episodes=2', *arguments)
    self.assertFalse((self.folder / 'catch/evaluation').exists())

  def test_no_checkpoint(self):
    (self.folder / 'empty').mkdir()
    self._refused('empty holds no checkpoint', 'empty')

  def test_unknown_protocol(self):
    with self.assertRaisesRegex(flags.IllegalFlagValueError, 'noop'):
      self._evaluate('catch', '--protocol=human')


if __name__ == '__main__':
  absltest.main()
