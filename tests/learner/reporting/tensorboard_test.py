"""Scalars as TensorBoard itself reads them."""

import pathlib
import re
import resource
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
from PIL import Image
import pytest
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from learner.reporting import tensorboard


def _row(env_frames, x=2.5):
  return {'env_frames': env_frames, 'x': x}


class TagTest(parameterized.TestCase):
  @parameterized.parameters(
    ('return', 'mean_return_100', 'mean_length_100', 'episodes'),
    ('eta', 'discount', 'lambda_', 'entropy_cost', 'logit_leak'),
    ('eta', 'learning_rate', 'policy_cost', 'travelled_discount'),
    ('meta', 'meta_loss', 'meta_gradient_leak', 'signal_to_noise_leak'),
    ('meta', 'outer_advantage', 'kl', 'clipped_ratios', 'sign_agreement_leak'),
    ('speed', 'frames_per_s', 'policy_lag', 'skipped_updates', 'num_updates'),
    ('loss', 'loss', 'policy_gradient_loss', 'entropy', 'gradient_norm'),
  )
  def test_columns_are_in_groups(self, group, *columns):
    for column in columns:
      self.assertEqual(tensorboard.tag(column), f'{group}/{column}')


class EventsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = self.enterContext(tempfile.TemporaryDirectory())

  def events(self, restored_env_frames=0):
    events = tensorboard.Events(self.folder, restored_env_frames)
    self.addCleanup(events.close)
    return events

  def scalars(self):
    read = event_accumulator.EventAccumulator(self.folder).Reload()
    self.assertEqual(read.Tags()['scalars'], ['loss/x'])
    return [(event.step, event.value) for event in read.Scalars('loss/x')]

  def test_scalars_are_of_their_frames(self):
    events = self.events()
    events.write(_row(100))
    events.write(_row(200, x=3))
    self.assertEqual(self.scalars(), [(100, 2.5), (200, 3.0)])

  def test_hyperparameters_and_figure_are_beside_the_scalars(self):
    self.events().write(_row(100))
    config = {'seed': 3, 'learned': ('discount', 'lambda_'), 'xla': False}
    tensorboard.write_hparams(self.folder, config)
    path = pathlib.Path(self.folder) / 'curves.png'
    Image.new('RGB', (5, 4)).save(path)
    tensorboard.write_figure(self.folder, path, 100)
    self.assertEqual(self.scalars(), [(100, 2.5)])
    read = event_accumulator.EventAccumulator(self.folder).Reload()
    (image,) = read.Images('curves')
    self.assertEqual(image.step, 100)
    self.assertEqual(image.encoded_image_string, path.read_bytes())
    found = plugin_data_pb2.HParamsPluginData.FromString(
      read.SummaryMetadata('_hparams_/session_start_info').plugin_data.content
    ).session_start_info.hparams
    self.assertEqual(found['seed'].number_value, 3)
    self.assertEqual(found['learned'].string_value, 'discount,lambda_')
    self.assertEqual(found['xla'].bool_value, False)

  def test_scalars_after_the_checkpoint_are_dropped_on_resume(self):
    first = self.events()
    for env_frames in (100, 200, 300, 400):
      first.write(_row(env_frames))
    first.close()
    resumed = self.events(restored_env_frames=200)
    resumed.write(_row(250, x=7))
    self.assertEqual(self.scalars(), [(100, 2.5), (200, 2.5), (250, 7.0)])

  @pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnhandledThreadExceptionWarning'
  )
  def test_a_run_starts_though_the_disk_is_full(self):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limit)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limit[1]))
    events = self.events()
    for env_frames in (100, 200):
      events.write(_row(env_frames))
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    for env_frames in range(300, 2000, 100):  # TensorFlow says it late.
      events.write(_row(env_frames))
    self.assertEqual(self.scalars()[-1], (1900, 2.5))

  @pytest.mark.filterwarnings(  # TensorFlow's thread ends by its error.
    'ignore::pytest.PytestUnhandledThreadExceptionWarning'
  )
  def test_scalars_continue_in_a_new_file_after_the_disk_was_full(self):
    events = self.events()
    events.write(_row(100))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, limit)
    with self.assertLogs(level='ERROR') as logs:
      resource.setrlimit(resource.RLIMIT_FSIZE, (500, limit[1]))
      for env_frames in range(200, 2000, 100):  # TensorFlow says it late.
        events.write(_row(env_frames))
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    lost = re.findall(
      r'TensorBoard lacks the row of \d+ frames: .*File too large',
      '\n'.join(logs.output),
    )
    self.assertNotEmpty(lost)
    for env_frames in (2000, 2100):
      events.write(_row(env_frames))
    frames = [env_frames for env_frames, _ in self.scalars()]
    self.assertEqual([frames[0], *frames[-2:]], [100, 2000, 2100])


if __name__ == '__main__':
  absltest.main()
