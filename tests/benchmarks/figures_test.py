"""The figure of how serving scales."""

import pathlib
import tempfile

from absl.testing import absltest

from benchmarks import figures
from benchmarks import measurement


class FiguresTest(absltest.TestCase):
  def test_draws_how_it_scales(self):
    def results(key):
      return [
        [
          measurement.Result(f'serve.{name}', 100.0 * n, 'one', {key: n})
          for name in ('env_steps_per_s', 'learner_cpu_us_per_env_step')
        ]
        for n in (1, 2, 4)
      ]

    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'serving.png'
      loads = {
        key: (f'more {key}', results(key))
        for key in ('actors', 'envs_per_request')
      }
      figures.draw(loads, str(path))
      self.assertStartsWith(path.read_bytes(), b'\x89PNG')


if __name__ == '__main__':
  absltest.main()
