"""What is compared, and what is left out of other systems."""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from experiments.comparison import external
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from tests.support import fake_study


def _curve(*returns):
  return external.Curve(
    np.arange(1000.0, 5000.0, 1000.0)[: len(returns)], np.array(returns)
  )


class ContendersTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.fake = fake_study.partial(pathlib.Path(folder) / 'study')
    self.results = results_lib.read(self.fake.study, self.fake.workdir)

  def _find(self, *others):
    return contenders.find(self.fake.study, self.results, list(others))

  def test_scores_and_learned_values_by_game(self):
    impala, both, unconditioned = self._find()
    np.testing.assert_allclose(impala.scores['noop']['pong'], [-20.7, 14.6])
    self.assertEqual(impala.title, '{}, 0.99')
    self.assertSameElements(both.learned, ['breakout', 'pong'])
    self.assertSameElements(
      both.learned['pong'][0],
      [
        *('env_frames', 'num_updates', 'seconds', 'mean_return_100'),
        *('discount', 'lambda_'),
      ],
    )
    self.assertEmpty(unconditioned.scores['noop'])

  def test_human_normalised_scores(self):
    impala, *_ = self._find()
    np.testing.assert_allclose(
      contenders.human_normalised(impala, 'noop')['breakout'], [100.0, 200.0]
    )

  def test_baseline_learns_nothing_with_the_same_reference_discount(self):
    impala, both, unconditioned, other = self._find(
      ('X', {('pong', 1): _curve(1, 2, 3, 4)})
    )
    found = [impala, both, unconditioned, other]
    self.assertIsNone(contenders.baseline(impala, found))
    self.assertIs(contenders.baseline(both, found), impala)
    self.assertIsNone(contenders.baseline(unconditioned, found))  # 0.995.
    self.assertIs(contenders.baseline(other, found), impala)
    self.assertEqual(
      contenders.common_games(both, impala, 'noop'), ['breakout', 'pong']
    )

  def test_baseline_is_the_one_whose_settings_differ_least(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    toml = (
      fake_study.TOML.partition('[[variants]]')[0]
      + """
[[variants]]
learned = []
discount = [0.9, 0.95, 0.99]
[[variants]]
learned = ["discount"]
discount = 0.95
outer_critic = "head"
[[variants]]
preset = "stacx"
"""
    )
    study = fake_study.FakeStudy(folder / 'study', toml).study
    found = contenders.find(study, [], [])
    learned, stacx = found[3:]
    near = contenders.baseline(learned, found)
    self.assertEqual(near.title, '{}, discount 0.95, 0.99')
    # Another reference discount, its preset's own: the nearest all the same.
    self.assertNotEqual(
      stacx.variant.reference_discount, near.variant.reference_discount
    )
    self.assertEqual(contenders.baseline(stacx, found).title, '{}, 0.99')

  def test_costs_are_those_of_finished_runs(self):
    runs = [
      study_lib.Run('pong', fake_study.UNCONDITIONED, seed) for seed in (1, 2)
    ]
    self.fake.train(runs[0], seconds=10, frames_per_s=400)
    self.fake.train(runs[1], env_frames=10, seconds=9)
    self.results = results_lib.read(self.fake.study, self.fake.workdir)
    *_, unconditioned = self._find()
    self.assertEqual(unconditioned.costs('seconds'), [10.0])
    self.assertEqual(unconditioned.costs('frames_per_s'), [400.0])

  def test_what_is_left_out_of_another_system_is_said(self):
    others = [
      (
        'SEED RL',
        {
          ('breakuot', 1): _curve(1, 2, 3, 4),
          ('zaxxon', 1): _curve(1, 2, 3, 4),
          ('pong', 1): _curve(1, 2, 3),
          ('seaquest', 1): _curve(1, 2, 3, 4),
        },
      )
    ]
    self.assertEqual(
      contenders.left_out(self.fake.study, others),
      [
        "SEED RL: 'breakuot' is no game of the study. Did you mean breakout?",
        "SEED RL: 'zaxxon' is no game of the study.",
        'SEED RL: pong, seed 1, has 3,000 frames, fewer than the 4,000 of the'
        ' study: no score.',
      ],
    )


if __name__ == '__main__':
  absltest.main()
