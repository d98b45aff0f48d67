"""What is written goes into every file, and is truncated in all on resume."""

import pathlib
import resource
import tempfile
from unittest import mock

from absl.testing import absltest
import pytest
from tensorboard.backend.event_processing import event_accumulator

from learner.reporting import tensorboard
from learner.reporting import trackers
from learner.reporting import writer as writer_lib


def _row(env_frames, **changed):
  return {
    'env_frames': env_frames,
    'num_updates': env_frames // 100,
    'seconds': env_frames / 100,
    'mean_return_100': -20.5,
    'discount': 0.99,
    'lambda_': 0.9,
    'policy_lag': 2.5,
    **changed,
  }


class WriterTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
      self.enterContext(tempfile.TemporaryDirectory())
    )

  def writer(self, restored_env_frames=0, **kwargs):
    writer = writer_lib.Writer(
      self.workdir,
      total_env_frames=1000,
      restored_env_frames=restored_env_frames,
      learned=('discount',),
      **kwargs,
    )
    self.addCleanup(writer.close)
    return writer

  def scalars(self, tag):
    events = event_accumulator.EventAccumulator(
      str(self.workdir / 'tensorboard')
    ).Reload()
    return [
      (event.step, event.value)
      for event in events.Scalars(tensorboard.tag(tag))
    ]

  def test_write_appends_rows_under_the_first_rows_names(self):
    writer = self.writer()
    writer.write(_row(100))
    writer.write(dict(reversed(_row(200, discount=0.5).items())))
    self.assertEqual(
      (self.workdir / 'metrics.csv').read_text(),
      'env_frames,num_updates,seconds,mean_return_100,discount,lambda_,'
      'policy_lag\n'
      '100,1,1.0,-20.5,0.99,0.9,2.5\n200,2,2.0,-20.5,0.5,0.9,2.5\n',
    )
    self.assertEqual(self.scalars('policy_lag'), [(100, 2.5), (200, 2.5)])

  def test_a_tracker_gets_the_rows_in_tensorboards_groups(self):
    tracker = mock.create_autospec(trackers.Tracker, instance=True)
    self.writer(tracker=tracker).write(_row(100))
    ((row,), _) = tracker.write.call_args
    self.assertEqual(row['env_frames'], 100)
    self.assertEqual(row['eta/discount'], 0.99)
    self.assertEqual(row['return/mean_return_100'], -20.5)
    self.assertLen(row, len(_row(100)))

  @pytest.mark.filterwarnings(  # TensorFlow's thread ends by its error.
    'ignore::pytest.PytestUnhandledThreadExceptionWarning'
  )
  def test_no_row_is_lost_while_the_disk_is_full(self):
    writer = self.writer()
    writer.write(_row(100))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limit)
    with self.assertLogs(level='ERROR') as logs:
      resource.setrlimit(resource.RLIMIT_FSIZE, (150, limit[1]))
      for env_frames in range(200, 1000, 100):
        writer.write(_row(env_frames))
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    self.assertRegex('\n'.join(logs.output), 'metrics.csv wait: .*too large')
    writer.write(_row(1000))
    lines = (self.workdir / 'metrics.csv').read_text().splitlines()
    self.assertEqual(
      [line.split(',')[0] for line in lines[1:]],
      [str(env_frames) for env_frames in range(100, 1001, 100)],
    )

  def test_write_raises_when_the_columns_change(self):
    writer = self.writer()
    writer.write(_row(100))
    with self.assertRaisesRegex(ValueError, r'has the columns .*got a row of'):
      writer.write(_row(200, loss=1.0))

  def test_rows_after_the_checkpoint_are_truncated_on_resume(self):
    first = self.writer()
    for env_frames in (100, 200, 300, 400):
      first.write(_row(env_frames))
      first.add_episode(env_frames, raw_return=-21.0, length=50)
    first.close()
    with open(self.workdir / 'metrics.csv', 'a') as file:
      file.write('200,2,2')  # A killed run may leave half a row.
    resumed = self.writer(restored_env_frames=200)
    resumed.write(_row(250, policy_lag=7.0))
    resumed.add_episode(250, raw_return=21.0, length=60)
    resumed.flush()
    lines = (self.workdir / 'metrics.csv').read_text().splitlines()
    self.assertEqual(
      [line.split(',')[0] for line in lines],
      ['env_frames', '100', '200', '250'],
    )
    self.assertEqual(
      (self.workdir / 'episodes.csv').read_text(),
      'env_frames,return,length\n100,-21.0,50\n200,-21.0,50\n250,21.0,60\n',
    )
    self.assertEqual(
      self.scalars('policy_lag'), [(100, 2.5), (200, 2.5), (250, 7.0)]
    )


if __name__ == '__main__':
  absltest.main()
