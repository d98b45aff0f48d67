"""The figure of a run."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from learner.reporting import curves


class CurvesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.workdir = pathlib.Path(
      self.enterContext(tempfile.TemporaryDirectory())
    )

  @parameterized.parameters((()), ('discount',), ('lambda_', 'entropy_cost'))
  def test_plot_makes_a_figure(self, *learned):
    (self.workdir / 'metrics.csv').write_text(
      'env_frames,mean_return_100,discount,lambda_,entropy_cost\n'
      '100,nan,.99,.9,\n200,-20.5,.98,.8,.01\n'  # A cell may be empty.
    )
    contents = curves.plot(self.workdir, learned).read_bytes()
    self.assertStartsWith(contents, b'\x89PNG')
    self.assertGreater(len(contents), 10_000)

  def test_plot_raises_when_there_is_no_row(self):
    (self.workdir / 'metrics.csv').touch()
    with self.assertRaisesRegex(ValueError, 'metrics.csv has no row'):
      curves.plot(self.workdir, ())


if __name__ == '__main__':
  absltest.main()
