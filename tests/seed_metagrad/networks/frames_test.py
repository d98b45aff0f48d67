"""Stacks of frames: by hand, and step by step against all at once."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from seed_metagrad import types
from seed_metagrad.networks import frames


def _unroll(previous, observations, resets):
  """An unroll of what the stacks are made of."""
  resets = np.asarray(resets)
  return types.Unroll(
    np.asarray(previous),
    types.EnvOutput(
      reward=None,
      terminated=resets,
      truncated=np.zeros_like(resets),
      life_lost=None,
      observation=np.asarray(observations),
    ),
    None,
  )


def _by_definition(frames_of_all, resets, size):
  """[T + S - 1], [T] -> [T, S]: what an environment showed in its episode."""
  expected = np.stack([frames_of_all[t : t + size] for t in range(len(resets))])
  for t in range(len(resets)):
    starts = [start for start in range(t + 1) if resets[start]]
    if starts:
      expected[t, : max(0, size - 1 - (t - starts[-1]))] = 0
  return expected


class FramesTest(parameterized.TestCase):
  @parameterized.product(
    reset=(0, 1, 2, 3, 4, 5, 6), size=(1, 2, 4), dtype=('uint8', 'float32')
  )
  def test_frames_of_the_last_episode_never_leak(self, reset, size, dtype):
    # Two ends in a row; 6 is none.
    resets = (np.arange(6) == reset) | (np.arange(6) == reset + 1)
    history = np.arange(1, 6 + size).astype(dtype)
    expected = _by_definition(history, resets, size)
    previous, observations = history[: size - 1], history[size - 1 :]
    unrolled = frames.stack_unroll(
      _unroll(
        previous[:, np.newaxis, np.newaxis],
        observations[:, np.newaxis, np.newaxis],
        resets[:, np.newaxis],
      )
    )
    np.testing.assert_array_equal(unrolled[:, 0, 0], expected)
    stacks = np.zeros([1, 1, size], dtype)
    stacks[0, 0, 1:] = previous  # The frame before them has gone.
    for t in range(6):
      frames.push(
        stacks, observations[t : t + 1, np.newaxis], resets[t : t + 1]
      )
      np.testing.assert_array_equal(stacks[0, 0], expected[t])

  def test_by_hand(self):
    # Frames 1 2 3 4, the third begins an episode; newest last.
    stacked = frames.stack_unroll(
      _unroll(
        [[[0.0]]],
        [[[1.0]], [[2.0]], [[3.0]], [[4.0]]],
        [[True], [False], [True], [False]],
      )
    )
    np.testing.assert_array_equal(
      stacked[:, 0, 0], [[0.0, 1.0], [1.0, 2.0], [0.0, 3.0], [3.0, 4.0]]
    )

  @parameterized.product(size=(1, 3, 4), dtype=('uint8', 'float32'))
  def test_environments_reset_alone_and_unrolls_go_on(self, size, dtype):
    rng = np.random.default_rng(3)
    observations = rng.integers(1, 256, (9, 3, 5, 4)).astype(dtype)
    resets = rng.random((9, 3)) < 0.3
    spec = types.EnvSpec((5, 4), dtype, 2, frame_stack=size)
    stacks, before, steps = frames.empty(spec, 3), None, []
    for t in range(9):
      frames.push(stacks, observations[t], resets[t])
      if t == 4:  # A second unroll begins.
        before = frames.previous(stacks).copy()
      steps.append(stacks.copy())
    first, second = (
      frames.stack_unroll(
        _unroll(np.moveaxis(previous, 0, 1), observations[part], resets[part])
      )
      for previous, part in (
        (frames.previous(frames.empty(spec, 3)), slice(0, 5)),
        (before, slice(4, 9)),
      )
    )
    np.testing.assert_array_equal(first, steps[:5])
    np.testing.assert_array_equal(second, steps[4:])

  @parameterized.parameters(
    ((), (), 'as they are'),
    ((0.0,), (255.0,), 'divided by 255'),
    ((0.0, 0.0), (1.0, 20.0), 'divided by 1 to 20, each by its bound'),
  )
  def test_scaling_is_described(self, low, high, text):
    spec = types.EnvSpec((2,), 'float32', 2, 1, 1, low, high)
    self.assertEqual(frames.describe_scaling(spec), text)


if __name__ == '__main__':
  absltest.main()
