"""The keys of summary.json."""

import json
import math
import pathlib
import tempfile

from absl.testing import absltest

from learner.reporting import summary as summary_lib

_SUMMARY = summary_lib.Summary(
  env_frames=400,
  num_updates=4,
  mean_return_100=1.5,
  episodes=7,
  hyperparameters={'discount': 0.99, 'lambda_': 0.95, 'entropy_cost': 0.01},
  frames_per_s=10.5,
  learned=('discount',),
  game='pong',
  seconds=40.0,
)


class SummaryTest(absltest.TestCase):
  def write(self, summary):
    workdir = self.enterContext(tempfile.TemporaryDirectory())
    summary_lib.write(workdir, summary)
    return json.loads(pathlib.Path(workdir, 'summary.json').read_text())

  def test_it_has_the_promised_keys(self):
    self.assertEqual(
      self.write(_SUMMARY),
      {
        'env_frames': 400,
        'num_updates': 4,
        'mean_return_100': 1.5,
        'episodes': 7,
        'discount': 0.99,
        'lambda_': 0.95,
        'entropy_cost': 0.01,
        'frames_per_s': 10.5,
        'learned': ['discount'],
        'game': 'pong',
        'seconds': 40.0,
      },
    )

  def test_it_is_json_when_no_episode_has_ended(self):
    summary = self.write(_SUMMARY._replace(mean_return_100=math.nan))
    self.assertIsNone(summary['mean_return_100'])


if __name__ == '__main__':
  absltest.main()
