"""A film shows the steps of an episode."""

import io
import pathlib
import tempfile

from absl.testing import absltest
import numpy as np
from PIL import Image

from experiments.evaluation import atari_game
from experiments.evaluation import episodes
from experiments.evaluation import video

_HYPERS = {'discount': 0.991, 'lambda_': 0.97}


def _film(num_steps):
  """The pictures [N, height, width, 3] of so many steps in Pong."""
  episode = episodes.Episode(
    score=0.0,
    frames=4 * num_steps,
    start_frames=7,
    values=list(range(num_steps)),
    played=bytes(7) + bytes([3, 4] * 2) * (num_steps),
  )
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'film.gif'
    video.write(path, 'pong', episode, _HYPERS)
    contents = path.read_bytes()
  image = Image.open(io.BytesIO(contents))
  pictures, durations = [], []
  for n in range(image.n_frames):
    image.seek(n)
    durations.append(image.info['duration'])
    pictures.append(np.asarray(image.convert('RGB')))
  return np.stack(pictures), durations, episode


class VideoTest(absltest.TestCase):
  def test_a_picture_is_the_last_screen_of_a_step(self):
    pictures, durations, episode = _film(6)
    screens = [
      screen for _, screen in atari_game.Game('pong').replay(episode.played)
    ]
    self.assertLen(pictures, 6)
    self.assertEqual(durations, [70, 70, 60, 70, 70, 60])
    for n, picture in enumerate(pictures):
      screen = screens[7 + 4 * n + 3]
      np.testing.assert_array_equal(
        picture[:420:2, ::2], screen
      )  # Twice as large.

  def test_what_is_drawn_in_changes_with_the_value(self):
    pictures, _, _ = _film(3)
    strips = pictures[:, 420:]
    first_line, second_line = strips[:, :18], strips[:, 20:]
    self.assertFalse(np.array_equal(first_line[0], first_line[1]))
    np.testing.assert_array_equal(second_line[0], second_line[1])
    self.assertGreater(second_line.max(), 200)

  def test_long_episode_is_shown_faster(self):
    with absltest.mock.patch.object(video, '_MAX_PICTURES', 5):
      pictures, durations, _ = _film(11)  # Three steps a picture, two the last.
    self.assertLen(pictures, 4)
    self.assertLen(durations, 4)

  def test_only_atari(self):
    video.check('pong')
    with self.assertRaisesRegex(ValueError, 'not of catch'):
      video.check('catch')


if __name__ == '__main__':
  absltest.main()
