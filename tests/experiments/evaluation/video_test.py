"""A video shows the steps of an episode."""

import io
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
from PIL import Image
import pytest

from experiments.evaluation import atari_game
from experiments.evaluation import episodes
from experiments.evaluation import video

_HYPERPARAMETERS = {'discount': 0.991, 'lambda_': 0.97, 'entropy_cost': 0.01}


def _episode(num_steps):
  """So many steps in Pong."""
  return episodes.Episode(
    number=0,
    capped=False,
    score=0.0,
    frames=4 * num_steps,
    start_frames=7,
    values=list(range(num_steps)),
    played=bytes(7) + bytes([3, 4] * 2) * (num_steps),
  )


def _video(num_steps, hyperparameters=_HYPERPARAMETERS):
  """The images [N, height, width, 3] of so many steps in Pong."""
  episode = _episode(num_steps)
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'video.gif'
    video.write(path, 'pong', episode, hyperparameters)
    contents = path.read_bytes()
  image = Image.open(io.BytesIO(contents))
  images, durations = [], []
  for n in range(image.n_frames):
    image.seek(n)
    durations.append(image.info['duration'])
    images.append(np.asarray(image.convert('RGB')))
  return np.stack(images), durations, episode


class VideoTest(absltest.TestCase):
  def test_an_image_is_the_last_screen_of_a_step(self):
    images, durations, episode = _video(6)
    screens = [
      screen for _, screen in atari_game.Game('pong').replay(episode.played)
    ]
    self.assertLen(images, 6)
    self.assertEqual(durations, [70, 70, 60, 70, 70, 60])
    for n, shown in enumerate(images):
      screen = screens[7 + 4 * n + 3]
      np.testing.assert_array_equal(
        shown[:420:2, ::2], screen
      )  # Twice as large.

  def test_what_is_drawn_in_changes_with_the_value(self):
    images, _, _ = _video(3)
    strips = images[:, 420:]
    first, second, third = (strips[:, top : top + 15] for top in (3, 19, 35))
    self.assertFalse(np.array_equal(first[0], first[1]))
    for line in (second, third):  # Two hyperparameters, and the last one.
      np.testing.assert_array_equal(line[0], line[1])
      self.assertGreater(line.max(), 200)

  def test_without_hyperparameters_there_is_one_line(self):
    images, _, _ = _video(1, {})
    self.assertLess(images.shape[1], 420 + 2 * 16)

  def test_long_episode_is_shown_faster(self):
    with absltest.mock.patch.object(video, '_MAX_IMAGES', 5):
      images, durations, _ = _video(11)  # Three steps an image, two the last.
    self.assertLen(images, 4)
    self.assertLen(durations, 4)

  def test_an_mp4_shows_what_the_gif_shows(self):
    imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg')
    images, _, episode = _video(30)
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'video.mp4'
      video.write(path, 'pong', episode, _HYPERPARAMETERS)
      meta, *found = imageio_ffmpeg.read_frames(path)
    self.assertEqual((meta['codec'], meta['fps']), ('h264', 15.0))
    self.assertLen(found, 30)
    decoded = np.stack(
      [
        np.frombuffer(frame, np.uint8).reshape(images[0].shape)
        for frame in found
      ]
    )
    # Lossy: a grey level or two, but for edges of letters and ball.
    difference = np.abs(decoded.astype(int) - images)
    self.assertLess(np.mean(difference), 4.0)
    self.assertFalse(np.array_equal(decoded[0], decoded[-1]))

  def test_another_ending_is_refused(self):
    with self.assertRaisesRegex(ValueError, ".gif or .mp4 file, got 'a.avi'"):
      video.check('pong', 'a.avi')

  def test_only_atari(self):
    video.check('pong')
    with self.assertRaisesRegex(ValueError, 'not of catch'):
      video.check('catch')


if __name__ == '__main__':
  absltest.main()
