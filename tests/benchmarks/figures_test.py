"""The figure of how serving scales."""

import pathlib
import tempfile

from absl.testing import absltest

from benchmarks import figures
from benchmarks import measurement


class FiguresTest(absltest.TestCase):
  def test_draws_how_it_scales(self):
    grid = [
      [
        measurement.Result(
          f'serve.{name}',
          100.0 * actors * envs,
          'one',
          {'actors': actors, 'envs_per_request': envs},
        )
        for name in ('env_steps_per_s', 'learner_cpu_us_per_env_step')
      ]
      for actors in (1, 4)
      for envs in (1, 16)
    ]
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'serving.png'
      figures.draw(grid, str(path))
      self.assertStartsWith(path.read_bytes(), b'\x89PNG')


if __name__ == '__main__':
  absltest.main()
