"""Costs, machines and settings are those that the runs wrote down."""

import json
import pathlib
import tempfile

from absl.testing import absltest

from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import facts
from tests.support import fake_study


class FactsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.fake = fake_study.FakeStudy(pathlib.Path(folder) / 'study')

  def _train(self, variant, seed=1, **summary):
    run = study_lib.Run('pong', variant, seed)
    self.fake.train(run, **summary)
    return run

  def _read(self):
    results = results_lib.read(self.fake.study, self.fake.workdir)
    return results, contenders.find(self.fake.study, results, [])

  def test_costs_beside_those_of_the_baseline(self):
    self._train(fake_study.IMPALA, seconds=100, frames_per_s=1000)
    self._train(fake_study.BOTH, 1, seconds=120, frames_per_s=700)
    self._train(fake_study.BOTH, 2, seconds=140, frames_per_s=900)
    rows = facts.costs(self._read()[1])
    self.assertEqual(
      [list(row.values()) for row in rows],
      [
        ['{}, 0.99', '1', '1000', '', '100'],
        ['{discount, lambda}, 0.99', '2', '800', '80', '130'],
        ['{discount} unconditioned, 0.995', '0', '', '', ''],
      ],
    )
    self.assertEqual(
      facts.costs_finding(rows),
      [
        'Frames per second, of those of what it is compared with: 80% for'
        ' {discount, lambda}, 0.99.'
      ],
    )

  def test_machines(self):
    self.assertEqual(facts.machines(self._read()[0]), 'Nothing is trained yet.')
    run = self._train(fake_study.IMPALA)
    self.assertIn('were not recorded', facts.machines(self._read()[0]))
    machine = {'commit': 'abc', 'cpu': 'a chip', 'cores': 2}
    path = results_lib.machine_path(self.fake.workdir, run)
    path.write_text(json.dumps(machine))
    self.assertEqual(
      facts.machines(self._read()[0]),
      'Trained at commit abc on 2 cores of a chip.',
    )
    self._train(fake_study.BOTH)
    self.assertEqual(
      facts.machines(self._read()[0]),
      'Trained at commit abc on 2 cores of a chip (1 runs); a commit and on a'
      ' machine that were not recorded (1 runs).',
    )

  def test_settings_are_those_of_the_run_if_it_says_them(self):
    settings = {
      row['setting']: row
      for row in facts.settings(self.fake.study, self._read()[0])
    }
    self.assertEqual(
      settings['network'],
      {'setting': 'network', 'here': 'shallow', 'paper': 'deep'},
    )
    run = self._train(fake_study.IMPALA)
    self.fake.configure(run, network='a wide one', unroll_length=20)
    settings = {
      row['setting']: row['here']
      for row in facts.settings(self.fake.study, self._read()[0])
    }
    self.assertEqual(settings['network'], 'a wide one')
    self.assertNotIn('unroll_length', settings)  # The paper's.

  def test_variants_as_flags(self):
    rows = facts.variants(self.fake.study)
    self.assertEqual(
      rows[1]['flags'],
      '--preset=local --discount=0.99 --learned=discount,lambda_'
      ' --reference_discount=0.99 --conditioning=True',
    )

  def test_published_beside_the_return_after_as_many_frames(self):
    toml = """
title = "Snake"
preset = "snake"
games = ["snake", "catch"]
seeds = [1]
protocols = ["noop"]
[settings]
total_env_frames = 15000000
[[variants]]
label = "A2C, .8"
learned = []
"""
    fake = fake_study.FakeStudy(self.fake.workdir.parent / 'snake', toml)
    (variant,) = fake.study.variants
    run = study_lib.Run('snake', variant, 1)
    fake.train(run, env_frames=15_000_000)
    path = results_lib.run_folder(fake.workdir, run) / 'metrics.csv'
    path.write_text('env_frames,mean_return_100\n1,1\n15000000,9.25\n')
    results = results_lib.read(fake.study, fake.workdir)
    rows = facts.published(fake.study, contenders.find(fake.study, results, []))
    self.assertLen(rows, 5 * 3)
    self.assertEqual(
      [rows[0][name] for name in ('published', 'ours', 'return_here', 'seeds')],
      ['9.5', 'A2C, .8', '9.2', '1'],
    )
    self.assertEqual(rows[1]['return_here'], '')  # Twice as many frames.
    self.assertEqual(rows[3]['ours'], '')  # Nobody is MG.


if __name__ == '__main__':
  absltest.main()
