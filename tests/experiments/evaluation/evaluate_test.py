"""The command evaluates, writes what it says and writes over nothing."""

# Before everything that imports TensorFlow.
from experiments.evaluation import policy  # noqa: F401  # isort: skip

import contextlib
import csv
import io
import json
import pathlib
import tempfile

from absl import flags
from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.evaluation import evaluate
from experiments.evaluation import start_states
from tests.support import command_flags
from tests.support import untrained


class EvaluateTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.enterContext(
      absltest.mock.patch.object(evaluate.atari, 'MAX_EPISODE_FRAMES', 48)
    )

  def _evaluate(self, env, *arguments):
    if not (self.folder / env).exists():
      untrained.make_workdir(self.folder / env, env)
    stdout = io.StringIO()
    with contextlib.redirect_stdout(stdout):
      status = evaluate.run(
        command_flags.parse(
          evaluate, f'--checkpoint={self.folder / env}', *arguments
        )
      )
    self.assertEqual(status, 0)
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
    self.assertEqual(summary['episodes'], 40)
    self.assertIn(json.dumps(summary, indent=2), printed)

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

  def test_no_op_starts_are_uniform_in_1_to_30(self):
    lengths = [len(start) for start in evaluate.no_op_starts(6000, seed=1)]
    counts = np.bincount(lengths, minlength=31)
    np.testing.assert_allclose(counts, [0] + [200] * 30, atol=50)
    self.assertLen(counts, 31)
    self.assertNotEqual(
      lengths[:50], [len(start) for start in evaluate.no_op_starts(50, seed=2)]
    )

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
