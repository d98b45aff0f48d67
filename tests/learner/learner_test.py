"""Tests of learner/learner.py: a scripted update, real files."""

import csv
import pathlib
import queue
import shutil
import tempfile
import threading

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from learner import learner as learner_lib
from learner.inference import parameter_store
from learner.inference import unrolls
from learner.inference import worker as inference
from learner.storage import run_state
from learner.storage import workdir as workdir_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types

_LENGTH = 2


def _config(**fields):
  return config_lib.preset(
    'smoke',
    **{
      'unroll_length': _LENGTH,
      'batch_size': 2,
      'meta_batch_size': 1,
      'learned': (),
      'total_env_frames': 12,
      'metrics_secs': 1e-9,
      **fields,
    },
  )


def _state(config):
  eta = {name: tf.constant(0.0) for name in config.learned}
  return types.LearnerState(
    [tf.zeros([])],
    (),
    eta,
    (),
    (),
    tf.constant(0, tf.int64),
    tf.constant(0, tf.int64),
  )


def _finished(number):
  """An unroll whose rewards are `number`."""
  steps = np.full(_LENGTH + 1, number, np.float32)
  nothing = np.zeros(_LENGTH + 1, bool)
  return unrolls.Finished(
    types.Unroll(
      (),
      types.EnvOutput(steps, nothing, nothing, nothing, steps),
      types.AgentOutput(steps.astype(np.int32), steps[:, np.newaxis], steps),
    ),
    num_updates=0,
  )


class _Acting:
  """Has these episodes to give, once."""

  def __init__(self, episodes=()):
    self._episodes = list(episodes)

  def take_episodes(self):
    taken, self._episodes = self._episodes, []
    return taken

  def save(self):
    return run_state.Acting(num_calls=5)


class LearnerTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
      self.enterContext(tempfile.TemporaryDirectory())
    )
    self.calls = []
    self.loss = 1.0

  def update(self, state, batches, meta_unrolls):
    """Notes what came; counts; skips where the loss is not finite."""

    def note(meta_rewards, *rewards):
      self.calls.append(([list(r[0]) for r in rewards], list(meta_rewards[0])))
      return np.float32(self.loss)

    meta_rewards = (
      tf.zeros([1, 0])
      if not meta_unrolls
      else meta_unrolls[-1].env_outputs.reward
    )
    loss = tf.numpy_function(
      note, [meta_rewards, *[b.env_outputs.reward for b in batches]], tf.float32
    )
    steps = sum(tf.size(b.env_outputs.reward[1:]) for b in batches)
    gradients = {f'meta_gradient_{name}': tf.ones([]) for name in state.eta}
    return state._replace(
      num_updates=state.num_updates + 1,
      env_frames=state.env_frames + tf.cast(steps, tf.int64),
    ), gradients | {
      'loss': loss,
      'skipped': tf.cast(~tf.math.is_finite(loss), tf.int32),
    }

  def make(self, **fields):
    config = _config(**fields)
    state, self.saved = learner_lib.restore(self.workdir, _state(config))
    self.parameters = parameter_store.ParameterStore(
      parameter_store.published(state)
    )
    self.unrolls = queue.Queue(config.queue_unrolls)
    return learner_lib.Learner(
      config,
      state,
      self.update,
      self.workdir,
      unrolls=self.unrolls,
      parameters=self.parameters,
      saved=self.saved,
    )

  def run_on(self, learner, numbers, episodes=()):
    """Feeds unrolls from another thread, as inference does."""
    stop = threading.Event()

    def feed():
      for number in numbers:
        self.unrolls.put(_finished(number))

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    learner.run(stop, _Acting(episodes))

  def test_plain_updates_take_each_unroll_once(self):
    self.run_on(self.make(), range(6))
    self.assertEqual(
      self.calls, [([[0, 1]], []), ([[2, 3]], []), ([[4, 5]], [])]
    )

  def test_meta_unrolls_are_the_first_of_the_next_batch(self):
    self.run_on(self.make(learned=('discount',)), range(8))
    self.assertEqual(
      self.calls, [([[0, 1]], [2]), ([[2, 3]], [4]), ([[4, 5]], [6])]
    )

  def test_several_inner_updates_come_before_their_meta_unroll(self):
    self.run_on(
      self.make(learned=('discount',), inner_updates=2, total_env_frames=16),
      range(10),
    )
    self.assertEqual(
      self.calls, [([[0, 1], [2, 3]], [4]), ([[4, 5], [6, 7]], [8])]
    )

  def test_resumes_where_it_was_saved(self):
    first = self.make()
    self.run_on(first, range(6), [inference.Episode(3.0, 7)])
    second = self.make(total_env_frames=16)
    self.assertEqual(self.saved.acting.num_calls, 5)
    self.assertEqual(second.env_frames, 12)
    self.assertEqual(self.parameters.newest().num_updates, 3)
    self.assertEqual(second.summary().mean_return_100, 3.0)
    saved_secs = self.saved.statistics.seconds
    self.assertGreater(saved_secs, 0.0)
    self.assertBetween(
      second.statistics.seconds, saved_secs, first.statistics.seconds
    )
    self.run_on(second, range(6, 8))
    with open(self.workdir / 'metrics.csv', encoding='utf-8') as file:
      frames = [int(row['env_frames']) for row in csv.DictReader(file)]
    self.assertEqual(frames, [4, 8, 12, 16])

  def test_a_finished_run_learns_nothing_more(self):
    self.run_on(self.make(), range(6))
    again = self.make()
    self.run_on(again, range(6, 10))
    self.assertLen(self.calls, 3)
    self.assertEqual(again.env_frames, 12)

  def test_policy_lag_is_counted_where_an_unroll_is_trained_on(self):
    for learned in ((), ('discount',)):
      self.workdir = pathlib.Path(
        self.enterContext(tempfile.TemporaryDirectory())
      )
      learner = self.make(learned=learned)
      self.run_on(learner, range(8))
      self.assertEqual(
        learner.statistics.policy_lag, 1.0
      )  # Of 0, 0, 1, 1, 2, 2.

  def test_rows_hold_metrics_and_raw_returns(self):
    self.loss = 8.0
    self.run_on(
      self.make(),
      range(6),
      [inference.Episode(10.0, 4), inference.Episode(20.0, 6)],
    )
    with open(self.workdir / 'metrics.csv', encoding='utf-8') as file:
      row = list(csv.DictReader(file))[-1]
    self.assertEqual(float(row['loss']), 8.0)
    self.assertEqual(float(row['mean_return_100']), 15.0)
    self.assertEqual(float(row['mean_length_100']), 5.0)
    self.assertEqual(float(row['discount']), 0.99)
    self.assertEqual(int(row['num_updates']), 3)

  def test_not_finite_updates_in_a_row_end_the_run(self):
    self.loss = float('nan')
    learner = self.make(max_skipped_updates=2)
    with self.assertRaisesRegex(learner_lib.NotFiniteError, 'loss.*nan'):
      self.run_on(learner, range(6))
    self.assertLen(self.calls, 2)
    self.assertLen(list((self.workdir / 'post_mortem').glob('*.npz')), 1)

  def test_skipped_updates_are_said_ever_less_often(self):
    self.loss = float('nan')
    learner = self.make(max_skipped_updates=100, total_env_frames=28)
    with self.assertLogs(level='WARNING') as logs:
      self.run_on(learner, range(14))
    self.assertLen(self.calls, 7)
    self.assertEqual(
      [line.partition(':absl:')[2] for line in logs.output],
      [
        f'Update {n} was not finite and is skipped, number {n} of the run (not'
        ' finite: loss)'
        for n in (1, 2, 4)  # Of seven.
      ],
    )

  def test_a_deleted_workdir_is_made_again_to_resume_from(self):
    with workdir_lib.open_workdir(self.workdir, _config()):
      pass
    learner = self.make()
    acting = _Acting()
    acting.take_episodes = lambda: (
      shutil.rmtree(self.workdir, ignore_errors=True) or []
    )
    for number in range(6):
      self.unrolls.put(_finished(number))
    with self.assertRaisesRegex(
      OSError, f'{self.workdir} was deleted or moved'
    ):
      learner.run(threading.Event(), acting)
    with workdir_lib.open_workdir(self.workdir, _config()):
      self.assertEqual(self.make().env_frames, 12)

  def test_stops_while_it_waits(self):
    learner, stop = self.make(), threading.Event()
    threading.Timer(0.1, stop.set).start()
    learner.run(stop, _Acting())
    self.assertEmpty(self.calls)

  def test_queue_of_unrolls_is_bounded(self):
    self.make(queue_unrolls=3)
    self.assertEqual(self.unrolls.maxsize, 3)

  def test_update_is_traced_once(self):
    learner = self.make(learned=('discount',))
    self.run_on(learner, range(8))
    self.assertEqual(learner._update.experimental_get_tracing_count(), 1)


if __name__ == '__main__':
  absltest.main()
