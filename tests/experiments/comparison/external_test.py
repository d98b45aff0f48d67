"""Curves of other systems, from CSV and from TensorBoard's events."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
from tensorboard.compat.proto import event_pb2
from tensorboard.compat.proto import summary_pb2
from tensorboard.summary.writer import event_file_writer
from tensorboard.util import tensor_util

from experiments.comparison import external

_CSV = """game,seed,env_frames,mean_return
pong,1,2000,-10
pong,1,1000,-20
pong,2,1000,-19
breakout,1,1000,3.5
"""


def _write_events(folder, values):
  folder.mkdir(parents=True)
  writer = event_file_writer.EventFileWriter(str(folder))
  for step, value in values:
    writer.add_event(
      event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value]))
    )
  writer.close()


class ExternalTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.path = self.folder / 'runs.csv'

  def test_csv_is_sorted_by_frames(self):
    self.path.write_text(_CSV)
    name, runs = external.read(f'SEED RL:{self.path}')
    self.assertEqual(name, 'SEED RL')
    self.assertCountEqual(runs, [('pong', 1), ('pong', 2), ('breakout', 1)])
    np.testing.assert_array_equal(runs['pong', 1].env_frames, [1000, 2000])
    np.testing.assert_array_equal(runs['pong', 1].mean_returns, [-20, -10])

  def test_points_without_a_return_are_none(self):
    self.path.write_text(_CSV + 'pong,2,500,nan\npong,2,2000,inf\n')
    _, runs = external.read(f'x:{self.path}')
    np.testing.assert_array_equal(runs['pong', 2].env_frames, [1000])

  @parameterized.parameters(
    (1000, -20.0), (1500, -15.0), (2000, -10.0), (2010, -10.0), (2100, None)
  )
  def test_score_is_that_after_as_many_frames(self, env_frames, score):
    self.path.write_text(_CSV)
    _, runs = external.read(f'x:{self.path}')
    self.assertEqual(runs['pong', 1].score(env_frames), score)

  def test_events_of_both_versions_of_summaries(self):
    _write_events(
      self.folder / 'pong/1',
      [
        (step, summary_pb2.Summary.Value(tag='return', simple_value=value))
        for step, value in ((1000, -20.0), (2000, -10.0))
      ],
    )
    _write_events(
      self.folder / 'pong/2',
      [
        (
          1000,
          summary_pb2.Summary.Value(
            tag='return',
            tensor=tensor_util.make_tensor_proto(np.float32(-19.0)),
            metadata=summary_pb2.SummaryMetadata(
              plugin_data=summary_pb2.SummaryMetadata.PluginData(
                plugin_name='scalars'
              )
            ),
          ),
        )
      ],
    )
    _, runs = external.read(f'x:{self.folder}', 'return')
    np.testing.assert_array_equal(runs['pong', 1].env_frames, [1000, 2000])
    np.testing.assert_array_equal(runs['pong', 1].mean_returns, [-20, -10])
    np.testing.assert_array_equal(runs['pong', 2].mean_returns, [-19])
    with self.assertRaisesRegex(ValueError, "no scalar 'score', but.*return"):
      external.read(f'x:{self.folder}', 'score')

  @parameterized.parameters(
    (
      'game,seed,env_frames\n',
      "runs.csv has no column 'mean_return'; its first line is 'game,seed,env",
    ),
    (_CSV + 'pong,1,many,2\n', "runs.csv, line 6: env_frames is 'many'"),
    (_CSV + 'pong,1\n', 'runs.csv, line 6: 2 fields, expected 4'),
    (_CSV + 'alien,3,1000,nan\n', 'alien, seed 3, has no finite return'),
    ('game,seed,env_frames,mean_return\n', 'holds no run'),
  )
  def test_damaged_csv_is_named(self, text, error):
    self.path.write_text(text)
    with self.assertRaisesRegex(ValueError, error):
      external.read(f'x:{self.path}')

  def test_impossible_argument(self):
    with self.assertRaisesRegex(ValueError, "NAME:PATH, got 'seed.csv'"):
      external.read('seed.csv')
    with self.assertRaisesRegex(FileNotFoundError, 'nothing.csv'):
      external.read('x:nothing.csv')
    with self.assertRaisesRegex(ValueError, '--external_tag must name'):
      external.read(f'x:{self.folder}')
    with self.assertRaisesRegex(ValueError, 'no folder <game>/<seed>'):
      external.read(f'x:{self.folder}', 'return')
    (self.folder / 'pong/first').mkdir(parents=True)
    with self.assertRaisesRegex(ValueError, 'must be called by its seed'):
      external.read(f'x:{self.folder}', 'return')


if __name__ == '__main__':
  absltest.main()
