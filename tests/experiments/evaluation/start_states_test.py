"""Start states survive a file and refuse another game."""

import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.evaluation import start_states

_STATES = start_states.StartStates('pong', 'a random policy', [b'\0\1', b'\2'])


class StartStatesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = (
      pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
      / 'pong.json'
    )
    start_states.write(self.path, _STATES)

  def test_read_gives_what_was_written(self):
    self.assertEqual(start_states.read(self.path, 'pong'), _STATES)

  def test_file_is_as_documented(self):
    self.assertEqual(
      json.loads(self.path.read_text()),
      {
        'format': 1,
        'game': 'pong',
        'source': 'a random policy',
        'rom_md5': '60e0ea3cbe0913d39803477945e9e5ec',
        'starts': [[0, 1], [2]],
      },
    )

  @parameterized.parameters(
    ({'game': 'breakout'}, "has game 'breakout', expected 'pong'"),
    ({'rom_md5': 'ab' * 16}, "has rom_md5 'abab"),
    ({'format': 2}, 'has format 2, expected 1'),
    ({'starts': []}, 'holds no start'),
    ({'starts': [[0, 256]]}, 'no list of actions'),
    ({'starts': [['up']]}, 'no list of actions'),
    ({'starts': [7]}, 'no list of actions'),
    ({'more': 1}, 'must be an object of'),
  )
  def test_file_of_something_else_is_refused(self, change, text):
    fields = json.loads(self.path.read_text()) | change
    self.path.write_text(json.dumps(fields))
    with self.assertRaisesRegex(ValueError, text):
      start_states.read(self.path, 'pong')

  def test_broken_file_is_refused(self):
    self.path.write_text(self.path.read_text()[:-5])
    with self.assertRaisesRegex(ValueError, 'pong.json is not JSON'):
      start_states.read(self.path, 'pong')

  def test_cut_is_a_uniform_part_of_each_game_in_turn(self):
    games = [b'\1' * 10, b'\2' * 3]
    starts = start_states.cut(games, 2000, np.random.default_rng(1))
    self.assertEqual({start[0] for start in starts[::2]}, {1})
    lengths = np.bincount([len(start) for start in starts[::2]])
    np.testing.assert_allclose(lengths, [0] + [1000 / 9] * 9, atol=35)
    self.assertEqual({len(start) for start in starts[1::2]}, {1, 2})

  def test_sample_takes_all_before_one_comes_again(self):
    starts = [bytes([n]) for n in range(5)]
    drawn = start_states.sample(starts, 13, np.random.default_rng(1))
    self.assertCountEqual(drawn[:5], starts)
    self.assertCountEqual(drawn[5:10], starts)
    self.assertLen(set(drawn[10:]), 3)
    self.assertNotEqual(drawn[:5], drawn[5:10])

  @parameterized.parameters(1, 20, 30, 100, 200)
  def test_no_ops_are_1_to_30_each_equally_often(self, num_episodes):
    lengths = [len(start) for start in start_states.no_ops(num_episodes, 1)]
    self.assertLen(lengths, num_episodes)
    counts = np.bincount(lengths, minlength=31)
    self.assertEqual((counts[0], len(counts)), (0, 31))
    self.assertLessEqual(counts[1:].max() - counts[1:].min(), 1)

  def test_no_ops_come_in_a_random_order_of_the_seed(self):
    lengths = [len(start) for start in start_states.no_ops(60, 1)]
    again, other = (
      [len(start) for start in start_states.no_ops(60, seed)] for seed in (1, 2)
    )
    self.assertEqual(again, lengths)
    self.assertNotEqual(other, lengths)
    self.assertNotEqual(lengths[:30], lengths[30:])
    self.assertNotEqual(lengths[:30], sorted(lengths[:30]))
    # Of thirty episodes half have an even number.
    self.assertEqual(sum(n % 2 for n in lengths[:30]), 15)


if __name__ == '__main__':
  absltest.main()
