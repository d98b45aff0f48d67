"""How far eta travelled is what the runs logged, or what their values say."""

import math
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import gauges
from learner import health
from tests.support import fake_study


class GaugesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.fake = fake_study.FakeStudy(pathlib.Path(folder) / 'study')

  def _find(self):
    results = results_lib.read(self.fake.study, self.fake.workdir)
    return gauges.find(
      self.fake.study, contenders.find(self.fake.study, results, [])
    )

  def _metrics(self, seed, text):
    run = study_lib.Run('pong', fake_study.UNCONDITIONED, seed)
    self.fake.train(run)
    folder = results_lib.run_folder(self.fake.workdir, run)
    (folder / 'metrics.csv').write_text(text)
    return run

  def test_runs_of_before_travelled_as_their_values_did(self):
    self.fake.do('pong', fake_study.UNCONDITIONED, 1.0)
    (gauge,) = self._find()
    # The discount ends at .95, and starts at its reference, .995.
    self.assertEqual((gauge.start, gauge.end), (0.995, 0.95))
    expected = math.log(0.95 / 0.05) - math.log(0.995 / 0.005)
    self.assertAlmostEqual(gauge.travelled, expected)
    self.assertTrue(math.isnan(gauge.possible))  # No config.json.
    self.assertTrue(math.isnan(gauge.signal_to_noise))
    self.assertEqual(gauge.says, gauges.MOVED)
    (row,) = gauges.rows([gauge])
    self.assertEqual((row['possible'], row['signal_to_noise']), ('', ''))

  def test_means_over_runs_of_what_was_logged(self):
    head = (
      'env_frames,num_updates,mean_return_100,discount,outer_advantage,'
      'travelled_discount,signal_to_noise_discount,sign_agreement_discount\n'
    )
    run = self._metrics(
      1,
      head
      + '9,10,nan,0.9,5,0.5,0.1,0.5\n'
      + '4000,200,1,0.98,1,2.5,-0.3,0.6\n',
    )
    self._metrics(2, head + '4000,200,1,0.96,3,1.5,-0.1,0.8\n')
    self.fake.configure(run, meta_learning_rate=0.01)
    (gauge,) = self._find()
    self.assertEqual(gauge.runs, 2)
    self.assertAlmostEqual(gauge.end, 0.97)
    self.assertEqual((gauge.low, gauge.high), (0.96, 0.98))
    self.assertAlmostEqual(gauge.travelled, 2.0)
    self.assertAlmostEqual(gauge.possible, 2.0)
    self.assertAlmostEqual(gauge.signal_to_noise, 0.2)
    self.assertAlmostEqual(gauge.sign_agreement, 0.7)
    self.assertAlmostEqual(gauge.outer_advantage, 2.0)  # 1 and 3 at the end.

  @parameterized.parameters(
    (dict(possible=0.9), gauges.TOO_SHORT),
    (dict(travelled=-0.4), gauges.HARDLY_MOVED),
    (dict(signal_to_noise=0.01), gauges.NO_SIGNAL),
    (dict(), gauges.MOVED),
  )
  def test_what_is_said(self, fields, says):
    self.fake.do('pong', fake_study.UNCONDITIONED, 1.0)
    (gauge,) = self._find()
    healthy = dict(possible=5.0, travelled=-2.0, signal_to_noise=0.3)
    self.assertEqual(gauge._replace(**{**healthy, **fields}).says, says)

  def test_findings(self):
    self.fake.do('pong', fake_study.UNCONDITIONED, 1.0)
    (gauge,) = self._find()
    moved = gauge._replace(travelled=2.0, possible=5.0)
    still = gauge._replace(travelled=0.1, possible=5.0)
    self.assertEqual(
      gauges.findings([moved, still]),
      [
        'The logit of the learned discount travelled +0.10 to +2.00 of at most'
        ' 5 (meta learning rate x updates); in 1 of 2 cases it hardly moved, so'
        ' these compare agents whose values are nearly fixed.'
      ],
    )
    self.assertEqual(
      gauges.findings([moved._replace(possible=math.nan)]),
      ['The logit of the learned discount travelled +2.00.'],
    )

  def test_thresholds_are_those_of_training(self):
    self.assertEqual(gauges.LEAST_TRAVEL, health.LEAST_TRAVEL)
    self.assertEqual(gauges.NOISE_LEVEL, health.NOISE)


if __name__ == '__main__':
  absltest.main()
