"""An exported agent has the run's own numbers and plays as it did."""

# Before everything that imports TensorFlow.
from experiments.evaluation import policy as policy_lib  # isort: skip

import contextlib
import functools
import io
import json
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
import pytest
import tensorflow as tf

from experiments.evaluation import evaluate
from experiments.evaluation import play
from experiments.sharing import export
from learner.storage import model_files
from seed_metagrad import environments
from seed_metagrad.networks import frames
from tests.support import command_flags
from tests.support import fake_hub
from tests.support import untrained

huggingface_hub = pytest.importorskip('huggingface_hub')

_METRICS = """\
env_frames,seconds,mean_return_100,discount,lambda_
0,3600,-0.25,.5,.5
4,7200,0.75,.5,.5
"""
# The action and reward before, that only a core looks at.
_NOTHING_BEFORE = np.zeros(2, np.int32), np.zeros(2, np.float32)
_EVALUATION = {
  'num_updates': 0,
  'episodes': 5,
  'planned_episodes': 5,
  'protocol': 'noop',
  'mean': 17.5,
  'median': 18.0,
  'interval': [16.0, 19.0],
  'policy': 'sampled',
}


class ExportTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.workdir, self.out = self.folder / 'my-run', self.folder / 'out'

  def _run(self, module, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      status = module.run(command_flags.parse(module, *arguments))
    self.assertEqual(status, 0)
    return stdout.getvalue()

  def _export(self, env='catch', *arguments, **fields):
    untrained.make_workdir(self.workdir, env, **fields)
    return self._run(
      export, f'--checkpoint={self.workdir}', f'--out={self.out}', *arguments
    )

  def test_card_has_the_numbers_of_the_checkpoint(self):
    untrained.make_workdir(self.workdir, 'catch')
    (self.workdir / 'metrics.csv').write_text(_METRICS)
    for name, fields in (
      ('noop_0', {}),
      ('later', {'num_updates': 9, 'mean': 1234.0}),
      ('noop_0.partial', {'episodes': 4, 'mean': 5678.0}),
    ):
      folder = self.workdir / 'evaluation' / name
      folder.mkdir(parents=True)
      (folder / 'summary.json').write_text(json.dumps(_EVALUATION | fields))
    self._export()
    card = (self.out / 'README.md').read_text()
    # The checkpoint has 0 frames: the second row is later.
    self.assertIn('at 0 frames | -0.25 |', card)
    self.assertIn('hours of training | 1.00 |', card)
    self.assertIn('mean score 17.5 (95% interval 16 to 19), median 18', card)
    self.assertNotIn('1234', card)
    self.assertNotIn('5678', card)
    self.assertTrue((self.out / 'curves.png').exists())
    self.assertNotIn(str(self.folder), card)
    data = huggingface_hub.ModelCard(card).data
    self.assertEqual(data.eval_results[0].metric_value, 17.5)
    self.assertIn('catch', data.tags)

  def test_card_without_metrics(self):
    self._export()
    self.assertNotIn('curves.png', (self.out / 'README.md').read_text())

  def test_evaluate_reads_it(self):
    self._export()
    scores = []
    for path in (self.workdir, self.out):
      self._run(evaluate, f'--checkpoint={path}', '--episodes=30')
      summary = path / 'evaluation/noop_0/summary.json'
      scores.append(json.loads(summary.read_text())['mean'])
    self.assertEqual(*scores)

  def test_saved_model_acts_as_the_policy_on_recorded_frames(self):
    self._export('breakout')
    saved = tf.saved_model.load(str(self.out / 'saved_model'))
    act = saved.signatures['serving_default']
    policy = policy_lib.load(self.workdir)
    policy.reset(2)
    with contextlib.closing(environments.make('breakout', 2, seed=1)) as env:
      output = env.reset()
      stacks = frames.empty(env.spec, 2)
      for t in range(12):
        reset = np.full([2], t == 0)
        frames.push(stacks, output.observation, reset)
        logits, values = policy.act(output.observation, reset, *_NOTHING_BEFORE)
        found = act(stacked=tf.constant(stacks))
        np.testing.assert_allclose(found['policy_logits'], logits, atol=1e-5)
        np.testing.assert_allclose(found['baseline'], values, atol=1e-5)
        output = env.step(np.full([2], t % 4, np.int32))
    self.assertGreater(stacks.max(), 0)

  def test_saved_model_of_a_recurrent_agent(self):
    self._export('recall', core='lstm', core_units=8)
    saved = tf.saved_model.load(str(self.out / 'saved_model'))
    act = saved.signatures['serving_default']
    policy = policy_lib.load(self.workdir)
    policy.reset(2)
    lstm = np.zeros([2, 16], np.float32)
    actions, rewards = np.array([1, 3], np.int32), np.float32([0.5, 1.0])
    with contextlib.closing(environments.make('recall', 2, seed=1)) as env:
      output = env.reset()
      for t in range(4):
        reset = np.full([2], t == 0)
        logits, _ = policy.act(output.observation, reset, actions, rewards)
        found = act(
          stacked=tf.constant(output.observation[..., np.newaxis]),
          lstm=tf.constant(lstm),
          action=tf.constant(actions),
          reward=tf.constant(rewards),
          starts=tf.constant(reset),
        )
        np.testing.assert_allclose(found['policy_logits'], logits, atol=1e-5)
        lstm = found['lstm'].numpy()
        output = env.step(actions)
    self.assertGreater(abs(lstm).max(), 0)

  def test_video_and_play(self):
    self._export('breakout', '--video')
    self.assertStartsWith((self.out / 'play.gif').read_bytes(), b'GIF89a')
    printed = self._run(
      play,
      f'--checkpoint={self.out}',
      f'--out={self.folder / "again.gif"}',
      '--max_episode_frames=40',
    )
    self.assertStartsWith(printed, 'breakout: score')

  def test_push_uploads_the_folder(self):
    hub = self.enterContext(fake_hub.serve())
    api = functools.partial(
      huggingface_hub.HfApi, endpoint=hub.address, token='secret'
    )
    with absltest.mock.patch.object(huggingface_hub, 'HfApi', api):
      printed = self._export('catch', '--push=somebody/agent')
    self.assertEqual(
      hub.files,
      {
        f'somebody/agent/{path.relative_to(self.out)}': path.read_bytes()
        for path in self.out.rglob('*')
        if path.is_file()
      },
    )
    self.assertIn(f'somebody/agent/{model_files.MODEL}', hub.files)
    self.assertEqual(hub.private, {'somebody/agent': True})
    self.assertEqual(hub.tokens, {'Bearer secret'})
    self.assertIn(f'{hub.address}/somebody/agent/commit/abc', printed)

  def test_push_that_fails_leaves_the_folder(self):
    with fake_hub.serve() as gone:
      pass
    api = functools.partial(huggingface_hub.HfApi, endpoint=gone.address)
    with (
      absltest.mock.patch.object(huggingface_hub, 'HfApi', api),
      self.assertRaisesRegex(OSError, 'out was not uploaded: .*refused'),
    ):
      self._export('catch', '--push=somebody/agent')
    self.assertTrue((self.out / model_files.MODEL).exists())

  def test_nothing_is_written_over(self):
    self.out.mkdir()
    with self.assertRaisesRegex(ValueError, 'out is there already'):
      self._export()

  def test_no_video_of_catch(self):
    with self.assertRaisesRegex(ValueError, 'of Atari games only'):
      self._export('catch', '--video')
    self.assertFalse(self.out.exists())


if __name__ == '__main__':
  absltest.main()
