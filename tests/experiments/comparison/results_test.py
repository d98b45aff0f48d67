"""How the runs of a study stand."""

import json
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from experiments.comparison import results
from experiments.comparison import study as study_lib
from tests.support import fake_study


class ResultsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.fake = fake_study.FakeStudy(pathlib.Path(folder) / 'study')
    self.run_ = study_lib.Run('pong', fake_study.BOTH, 2)

  def _result(self):
    found = results.read(self.fake.study, self.fake.workdir)
    self.assertEqual([result.run for result in found], self.fake.study.runs())
    return next(result for result in found if result.run == self.run_)

  def test_nothing_was_run(self):
    self.assertEqual(
      self._result()[:6], (self.run_, results.NOT_RUN, '', 0, {}, None)
    )

  def test_training_is_under_way(self):
    self.fake.train(self.run_, env_frames=3999)
    self.assertEqual(
      self._result()[:6], (self.run_, results.UNFINISHED, '', 3999, {}, None)
    )

  def test_an_old_evaluation_does_not_finish_a_longer_training(self):
    self.fake.train(self.run_, env_frames=3999)
    self.fake.evaluate(self.run_, 3.5)
    self.assertEqual(self._result().status, results.UNFINISHED)

  def test_trained_and_not_evaluated(self):
    self.fake.train(self.run_)
    result = self._result()
    self.assertEqual(
      (result.status, result.evaluations), (results.UNFINISHED, {})
    )

  def test_done(self):
    self.fake.train(self.run_)
    self.fake.evaluate(self.run_, 3.5)
    result = self._result()
    self.assertEqual((result.status, result.env_frames), (results.DONE, 4000))
    self.assertEqual(result.evaluations['noop'], (3.5, 'a test', 2.5, 4.5, 30))
    np.testing.assert_array_equal(
      result.curves['mean_return_100'], [np.nan, 2, 9]
    )
    np.testing.assert_allclose(result.curves['discount'], [0.98, 0.97, 0.95])

  def test_cost_machine_and_config_are_as_the_run_wrote_them(self):
    self.fake.train(self.run_, seconds=80, frames_per_s=50.5)
    self.fake.configure(self.run_, meta_learning_rate=0.25)
    machine = {'commit': 'abc', 'cpu': 'a chip', 'cores': 2, 'load': 0.1}
    path = results.machine_path(self.fake.workdir, self.run_)
    path.write_text(json.dumps(machine))
    result = self._result()
    self.assertEqual(result.cost, (80.0, 50.5))
    self.assertEqual(result.machine, ('abc', 'a chip', 2))
    self.assertEqual(result.config, {'meta_learning_rate': 0.25})

  def test_a_run_of_before_has_neither(self):
    self.fake.train(self.run_)
    result = self._result()
    self.assertEqual(result.cost, (None, None))
    self.assertEqual(result.machine, results.Machine())
    self.assertEqual(result.config, {})

  def test_columns_that_may_be_missing(self):
    path = self.fake.workdir / 'some.csv'
    path.write_text('a,b\n1,\n2,3\n')
    columns = results.read_columns(path, ('a',), optional=('b', 'c'))
    self.assertSameElements(columns, ['a', 'b'])
    np.testing.assert_array_equal(columns['b'], [np.nan, 3.0])

  def test_failed(self):
    self.fake.train(self.run_, env_frames=1000)
    self.fake.fail(self.run_, 'the disk is full')
    result = self._result()
    self.assertEqual(result.status, results.FAILED)
    self.assertEqual(result.reason, 'training, status 4: the disk is full')

  @parameterized.parameters(
    ('summary.json', '{"env_fra', 'summary.json is damaged'),
    ('summary.json', '[]', 'summary.json is damaged'),
    ('evaluation/noop/summary.json', '{}', 'damaged.*mean, interval'),
    (
      'evaluation/noop/summary.json',
      '{"mean": 1, "interval": [2], "episodes": 1}',
      r'interval must be two numbers, got \[2\]',
    ),
    ('config.json', '[]', 'config.json is damaged'),
    ('machine.json', '{"commit": 1}', 'machine.json is damaged'),
    (
      'evaluation/noop/summary.json',
      '{"mean": null, "interval": [], "episodes": 1}',
      'summary.json is damaged',
    ),
    ('metrics.csv', 'env_frames,mean_return_100\n', "no column 'discount'"),
    ('metrics.csv', '', 'metrics.csv has no column'),
    (
      'metrics.csv',
      'env_frames,mean_return_100,discount,lambda_\n1,2,3,4\n5,6',
      'metrics.csv, line 3: 2 fields, expected 4',
    ),
    (
      'metrics.csv',
      'env_frames,mean_return_100,discount,lambda_\n1,b,3,4\n',
      "metrics.csv, line 2: mean_return_100 is 'b'",
    ),
  )
  def test_damaged_file_is_named(self, name, contents, text):
    self.fake.train(self.run_)
    self.fake.evaluate(self.run_, 3.5)
    path = results.run_folder(self.fake.workdir, self.run_) / name
    path.write_text(contents)
    with self.assertRaisesRegex(ValueError, text):
      self._result()

  def test_folder_of_no_study(self):
    with self.assertRaisesRegex(FileNotFoundError, 'holds no study.toml'):
      results.read_study(self.fake.workdir.parent)


if __name__ == '__main__':
  absltest.main()
