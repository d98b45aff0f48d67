"""Catch's rules, by hand."""

from absl.testing import absltest
import numpy as np

from seed_metagrad.environments import catch

LEFT, STAY, RIGHT = 0, 1, 2


def _columns(observation):
  """Returns the ball's column in the first row, the paddle's in the last."""
  return observation[:, 0].argmax(-1), observation[:, -1].argmax(-1)


class CatchTest(absltest.TestCase):
  def test_board_holds_a_falling_ball_and_a_paddle(self):
    env = catch.Catch(1, seed=3)
    board = env.reset().observation[0]
    (column,), (paddle,) = _columns(board[None])
    self.assertEqual(paddle, 2)
    expected = np.zeros((10, 5))
    expected[0, column] = expected[9, 2] = 1
    np.testing.assert_array_equal(board, expected)
    board = env.step(np.array([RIGHT])).observation[0]
    expected = np.zeros((10, 5))
    expected[1, column] = expected[9, 3] = 1
    np.testing.assert_array_equal(board, expected)

  def test_paddle_stops_at_the_walls(self):
    for action, column in ((LEFT, 0), (RIGHT, 4)):
      env = catch.Catch(1, seed=3)
      env.reset()
      for _ in range(4):
        output = env.step(np.array([action]))
      self.assertEqual(_columns(output.observation)[1], column)

  def test_reward_is_paid_with_the_next_first_board_when_the_ball_is_down(self):
    env = catch.Catch(50, seed=3)
    balls, _ = _columns(env.reset().observation)
    for _ in range(8):
      output = env.step(np.full(50, STAY))
      self.assertFalse(output.terminated.any())
      self.assertFalse(output.reward.any())
    output = env.step(np.full(50, STAY))
    np.testing.assert_array_equal(output.reward, np.where(balls == 2, 1, -1))
    self.assertTrue(output.terminated.all())
    self.assertFalse(output.truncated.any() or output.life_lost.any())
    boards = output.observation
    np.testing.assert_array_equal(boards[:, 0].sum(-1), np.ones(50))
    np.testing.assert_array_equal(boards.sum((1, 2)), np.full(50, 2))
    self.assertLen(set(_columns(boards)[0]), 5)  # All columns occur.

  def test_following_the_ball_always_catches_it(self):
    env = catch.Catch(20, seed=3)
    observation = env.reset().observation
    for step in range(27):
      ball = observation[:, step % 9].argmax(-1)
      paddle = observation[:, -1].argmax(-1)
      output = env.step(np.sign(ball - paddle) + 1)
      observation = output.observation
      if step % 9 == 8:
        np.testing.assert_array_equal(output.reward, np.ones(20))


if __name__ == '__main__':
  absltest.main()
