"""Start states come from random games, from policies and from action lists."""

import contextlib
import io
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.evaluation import atari_game
from experiments.evaluation import record_starts
from experiments.evaluation import start_states
from tests.support import command_flags
from tests.support import untrained


class RecordStartsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.out = self.folder / 'starts/breakout.json'

  def _record(self, *arguments):
    flag_values = command_flags.parse(
      record_starts, f'--out={self.out}', *arguments
    )
    with contextlib.redirect_stdout(io.StringIO()):
      self.assertEqual(record_starts.run(flag_values), 0)
    return start_states.read(self.out, 'breakout')

  def _write_actions(self, *games):
    path = self.folder / 'ann.txt'
    path.write_text(''.join(f'{" ".join(map(str, game))}\n' for game in games))
    return f'--actions={path}'

  def test_random_policy(self):
    states = self._record(
      '--env=breakout', '--num_starts=6', '--max_start_frames=60'
    )
    self.assertEqual(states.source, 'a random policy')
    self.assertLen(states.starts, 6)
    game = atari_game.Game('breakout')
    for start in states.starts:
      game.start(start)  # None ends its game.
      self.assertLess(len(start), 90)  # 30 no-ops and 60 frames.
    self.assertGreater(
      len({action for start in states.starts for action in start}), 2
    )

  def test_checkpoint(self):
    untrained.make_workdir(self.folder / 'run', 'breakout')
    states = self._record(
      f'--checkpoint={self.folder / "run"}',
      '--num_starts=2',
      '--max_start_frames=8',
    )
    self.assertEqual(states.source, 'a policy after 0 frames')
    self.assertLen(states.starts, 2)

  def test_actions_of_a_player(self):
    games = [0] * 20 + [1] * 20, [0, 1, 3, 4] * 5
    states = self._record(
      '--env=breakout', self._write_actions(*games), '--num_starts=5'
    )
    self.assertEqual(states.source, 'the games of ann.txt')
    for n, start in enumerate(states.starts):
      self.assertEqual(list(start), games[n % 2][: len(start)])

  @parameterized.parameters(
    ([[0, 99, 1]], 'ann.txt, line 1: an ALE action is in 0..17, got 99'),
    ([[0, 1, 2], ['up', 2]], 'ann.txt, line 2: invalid literal'),
    ([[1] * 10_000], 'line 1: a start ends its game'),
    ([[1]], 'line 1: a game has at least 2 frames'),
    ([], 'ann.txt holds no game'),
  )
  def test_actions_that_are_no_game(self, games, text):
    with self.assertRaisesRegex((ValueError, OSError), text):
      self._record('--env=breakout', self._write_actions(*games))
    self.assertFalse(self.out.exists())

  def test_actions_that_are_no_text(self):
    path = self.folder / 'ann.txt'
    path.write_bytes(b'0 1\xff')
    with self.assertRaisesRegex(ValueError, 'ann.txt is no text'):
      self._record('--env=breakout', f'--actions={path}')

  @parameterized.parameters(
    ("'brakeout'.*breakout", '--env=brakeout'),
    ('of Atari games only', '--env=catch'),
    ('--env must name the game', '--seed=2'),
    ('not both', '--checkpoint=a', '--actions=b'),
  )
  def test_impossible_flags_get_a_sentence(self, text, *arguments):
    with self.assertRaisesRegex((ValueError, OSError), text):
      self._record(*arguments)

  def test_nothing_is_written_over(self):
    self.out.parent.mkdir()
    self.out.write_text('dear')
    with self.assertRaisesRegex(
      (ValueError, OSError), 'breakout.json is there already'
    ):
      self._record('--env=breakout')
    self.assertEqual(self.out.read_text(), 'dear')


if __name__ == '__main__':
  absltest.main()
