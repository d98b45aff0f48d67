"""One game is played and written as a video."""

# Before everything that imports TensorFlow.
from experiments.evaluation import policy  # noqa: F401  # isort: skip

import contextlib
import io
import pathlib
import tempfile

from absl.testing import absltest

from experiments.evaluation import play
from tests.support import command_flags
from tests.support import untrained


class PlayTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.out = self.folder / 'videos/game.gif'

  def _play(self, env):
    untrained.make_workdir(self.folder / 'run', env)
    return play.run(
      command_flags.parse(
        play,
        f'--checkpoint={self.folder / "run"}',
        f'--out={self.out}',
        '--max_episode_frames=40',
      )
    )

  def test_writes_the_game_and_prints_the_score(self):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      self.assertEqual(self._play('pong'), 0)
    self.assertRegex(
      stdout.getvalue(), '^pong: score 0 in 40 frames, when it was cut, with'
    )
    self.assertStartsWith(self.out.read_bytes(), b'GIF89a')

  def test_nothing_is_written_over(self):
    self.out.parent.mkdir()
    self.out.write_text('dear')
    with self.assertRaisesRegex(
      (ValueError, OSError), 'game.gif is there already'
    ):
      self._play('pong')
    self.assertEqual(self.out.read_text(), 'dear')

  def test_no_video_of_catch(self):
    with self.assertRaisesRegex((ValueError, OSError), 'of Atari games only'):
      self._play('catch')


if __name__ == '__main__':
  absltest.main()
