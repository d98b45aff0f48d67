"""What tables say of a study that is done in part.

The study of fake_study.partial, human-normalised in % by seed:
               breakout   pong      seaquest
{}             100, 200   0, 100    0, 0
both           300, 300   100       not run
unconditioned  failed     not run   not run
"""

import pathlib
import tempfile

from absl.testing import absltest
import numpy as np

from experiments.comparison import external
from experiments.comparison import results as results_lib
from experiments.comparison import study as study_lib
from experiments.report import contenders
from experiments.report import tables
from tests.support import fake_study


def _curve(*returns):
  return external.Curve(
    np.arange(1000.0, 5000.0, 1000.0)[: len(returns)], np.array(returns)
  )


class ReportTablesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.fake = fake_study.partial(pathlib.Path(folder) / 'study')
    self.results = results_lib.read(self.fake.study, self.fake.workdir)

  def _contenders(self, *others):
    return contenders.find(self.fake.study, self.results, others)

  def _medians(self, *others):
    rows = tables.medians(
      self.fake.study, self.results, self._contenders(*others)
    )
    return {
      (row['learned'], row['protocol'], row['reference_discount']): row
      for row in rows
    }

  def test_median_over_games_of_means_over_seeds(self):
    row = self._medians()['{}', 'noop', '0.99']  # 150, 50 and 0.
    self.assertEqual(
      row,
      {
        'learned': '{}',
        'protocol': 'noop',
        'reference_discount': '0.99',
        'status': 'done',
        'median': '50.0',
        'low': '0.0',
        'high': '100.0',
        'games': '3',
        'study_games': '3',
        'human_games': '3',
        'runs': '6',
        'published': '191.8',
      },
    )

  def test_part_of_the_games_has_no_median(self):
    row = self._medians()['{discount, lambda}', 'noop', '0.99']
    self.assertEqual(
      (row['status'], row['median'], row['games'], row['runs']),
      ('partial', '', '2', '3'),
    )

  def test_part_of_the_seeds_has_a_median_without_an_interval(self):
    run = study_lib.Run('seaquest', fake_study.BOTH, 1)
    self.fake.train(run)
    self.fake.evaluate(run, 68.4)
    self.results = results_lib.read(self.fake.study, self.fake.workdir)
    row = self._medians()['{discount, lambda}', 'noop', '0.99']
    self.assertEqual(  # One seed of Pong.
      (row['status'], row['median'], row['low'], row['games'], row['runs']),
      ('partial', '100.0', '', '3', '4'),
    )

  def test_failed_and_not_run_stay_empty(self):
    rows = self._medians()
    failed = rows.pop(('{discount} unconditioned', 'noop', '0.995'))
    self.assertEqual((failed['status'], failed['median']), ('failed', ''))
    rows.pop(('{}', 'noop', '0.99'))
    rows.pop(('{discount, lambda}', 'noop', '0.99'))
    self.assertEqual(
      {(row['status'], row['median'], row['games']) for row in rows.values()},
      {('not run', '', '0')},
    )
    self.assertLen(rows, 2 * 9 - 3)

  def test_published_medians_are_in_their_places(self):
    rows = self._medians()
    for place, published in (
      (('{discount}', 'start_states', '0.99'), '233.2'),
      (('{discount, lambda}', 'start_states', '0.995'), '292.9'),
      (('{discount} unconditioned', 'start_states', '0.995'), '183.0'),
      (('{discount} unconditioned', 'noop', '0.995'), ''),
    ):
      self.assertEqual(rows[place]['published'], published)

  def test_unfinished(self):
    self.results = [
      result._replace(status='unfinished', evaluations={})
      for result in self.results
    ]
    self.assertEqual(
      self._medians()['{}', 'noop', '0.99']['status'], 'unfinished'
    )

  def test_scores_by_game(self):
    rows = {
      (row['game'], row['variant']): row
      for row in tables.scores(
        self.fake.study, self.results, self._contenders()
      )
    }
    self.assertEqual(
      rows['pong', '{}, 0.99'],
      {
        'game': 'pong',
        'protocol': 'noop',
        'variant': '{}, 0.99',
        'seeds': '2',
        'mean': '-3.05',
        'low': '-20.70',
        'high': '14.60',
        'human_normalised': '50.0',
        'learned_at_the_end': '',
        'published_impala_shallow': '20.40',
        'published_impala_deep': '20.98',
      },
    )
    self.assertEqual(
      rows['pong', '{discount, lambda}, 0.99']['learned_at_the_end'],
      'discount 0.95, lambda 0.9',
    )
    unconditioned = '{discount} unconditioned, 0.995'
    self.assertEqual(rows['breakout', unconditioned]['mean'], 'failed')
    self.assertEqual(rows['pong', unconditioned]['mean'], 'not run')
    self.assertEqual(rows['pong', unconditioned]['human_normalised'], '')
    self.assertEqual(rows['pong', '{discount, lambda}, 0.99']['seeds'], '1')

  def test_runs_have_the_interval_over_episodes_and_their_cost(self):
    run = study_lib.Run('seaquest', fake_study.BOTH, 1)
    self.fake.train(run, seconds=80.4, frames_per_s=50.6)
    self.fake.evaluate(run, 68.4)
    self.results = results_lib.read(self.fake.study, self.fake.workdir)
    row = next(
      row
      for row in tables.runs(self.results)
      if (row['game'], row['variant'], row['seed'])
      == ('seaquest', '{discount, lambda}, 0.99', '1')
    )
    self.assertEqual(
      row,
      {
        'game': 'seaquest',
        'variant': '{discount, lambda}, 0.99',
        'seed': '1',
        'status': 'done',
        'env_frames': '4000',
        'noop_mean': '68.40',
        'noop_low': '67.40',
        'noop_high': '69.40',
        'noop_episodes': '30',
        'seconds': '80',
        'frames_per_s': '51',
        'commit': '',
        'reason': '',
      },
    )

  def test_aggregates(self):
    rows = {
      row['variant']: row
      for row in tables.aggregates(self.fake.study, self._contenders())
    }
    # {}: of 0, 0, 0, 100, 100, 200 the lowest and the highest are left out.
    self.assertEqual(rows['{}, 0.99']['iqm'], '50.0')
    self.assertEqual(rows['{}, 0.99']['probability'], '')
    both = rows['{discount, lambda}, 0.99']
    self.assertEqual(
      (both['over'], both['common_games'], both['iqm'], both['probability']),
      ('{}, 0.99', '2', '', ''),
    )

  def test_probability_of_improvement_once_all_games_are_there(self):
    self.fake.do('seaquest', fake_study.BOTH, 68.4, 68.4)
    self.results = results_lib.read(self.fake.study, self.fake.workdir)
    both = tables.aggregates(self.fake.study, self._contenders())[1]
    # Breakout 1, Pong (1 + 1/2) / 2, Seaquest 1/2.
    self.assertEqual((both['common_games'], both['probability']), ('3', '0.75'))

  def test_another_system_has_the_same_frames_or_no_score(self):
    rows = self._medians(
      (
        'SEED RL',
        {
          ('breakout', 1): _curve(1.7, 16.1, 30.5, 59.3),
          ('pong', 1): _curve(-20.7, -10.0, 14.6),  # Only 3000 of 4000 frames.
          ('seaquest', 1): _curve(68.4, 68.4, 68.4, 68.4),
          ('alien', 1): _curve(1.0, 2.0, 3.0, 4.0),
        },
      )
    )  # Not in the study.
    row = rows['SEED RL', 'noop', '']
    self.assertEqual(
      (row['status'], row['median'], row['games'], row['runs']),
      ('partial', '', '2', '2'),
    )
    self.assertEqual(rows['SEED RL', 'start_states', '']['status'], 'not run')

  def test_another_system_without_a_game_of_the_study(self):
    with self.assertRaisesRegex(ValueError, r"X has no game.*\['alien'\]"):
      self._contenders(('X', {('alien', 1): _curve(1.0)}))

  def test_games_without_a_human_score(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.fake = fake_study.FakeStudy(
      folder / 'catch',
      fake_study.TOML.replace('"breakout", "pong", "seaquest"', '"catch"'),
    )
    self.fake.do('catch', fake_study.IMPALA, 0.5, 1.0)
    self.results = results_lib.read(self.fake.study, self.fake.workdir)
    row = self._medians()['{}', 'noop', '0.99']
    self.assertEqual(
      (row['status'], row['median'], row['games'], row['runs']),
      ('no human score', '', '1', '2'),
    )
    self.assertEqual(row['human_games'], '0')
    (aggregate, *_) = tables.aggregates(self.fake.study, self._contenders())
    self.assertEqual(
      (aggregate['games'], aggregate['runs'], aggregate['iqm']), ('1', '2', '')
    )
    score = tables.scores(self.fake.study, self.results, self._contenders())[0]
    self.assertEqual(
      (
        score['mean'],
        score['human_normalised'],
        score['published_impala_deep'],
      ),
      ('0.75', '', ''),
    )


if __name__ == '__main__':
  absltest.main()
