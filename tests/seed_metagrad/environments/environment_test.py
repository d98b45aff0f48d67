"""Tests of seed_metagrad/environments/environment.py."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment

_INF = np.inf


def _find(values, low=(), high=(), dtype='float32'):
  """Where two environments that show the values are outside, if they are."""
  spec = types.EnvSpec(
    (2,), dtype, 3, observation_low=low, observation_high=high
  )
  found = environment.Limits(spec).find_outside(np.array(values, dtype))
  return None if found is None else tuple(map(int, found))


class LimitsTest(parameterized.TestCase):
  @parameterized.parameters(
    ((), (), 1e12),
    ((-_INF,), (_INF,), 1e12),
    ((-3.4e38,), (3.4e38,), 1e12),
    ((-1.7e308,), (1.7e308,), 1e12),
    ((0.0,), (_INF,), 1e12),  # One bound alone says no scale.
    ((0.0,), (1.0,), 2.0),  # Beyond by as much as they are apart.
    ((-1.0,), (1.0,), 3.0),
    ((0.0, -_INF), (1.0, _INF), 2.0),
    ((0.0, 0.0), (1.0, 5.0), 2.0),
  )
  def test_a_number_may_be_as_high_as(self, low, high, limit):
    self.assertIsNone(_find([[0, 0], [limit, 0]], low, high))
    self.assertEqual(_find([[0, 0], [limit * 1.001, 0]], low, high), (1, 0))

  def test_a_number_may_be_as_low_as(self):
    self.assertIsNone(_find([[0, 0], [0, -3]], (-1.0,), (1.0,)))
    self.assertEqual(_find([[0, 0], [0, -3.01]], (-1.0,), (1.0,)), (1, 1))

  @parameterized.parameters(
    (((), ()),), (((0.0,), (1.0,)),), (((0.0, -_INF), (1.0, _INF)),)
  )
  def test_what_is_not_finite_is_outside(self, bounds):
    for value in (np.nan, _INF, -_INF):
      self.assertEqual(_find([[0, value], [0, 0]], *bounds), (0, 1))

  def test_bytes_are_bounded_by_their_space(self):
    self.assertIsNone(_find([[0, 255], [0, 0]], dtype='uint8'))
    self.assertIsNone(_find([[0, 255], [0, 0]], (0.0,), (255.0,), 'uint8'))
    self.assertEqual(
      _find([[0, 20], [0, 21]], (0.0,), (10.0,), 'uint8'), (1, 1)
    )


if __name__ == '__main__':
  absltest.main()
