"""Meta-parameters of another run, by frames."""

import math
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from learner import replay
from seed_metagrad import config as config_lib
from seed_metagrad import types

_METRICS = """env_frames,mean_return_100,discount,lambda_
100,nan,.8,.5
250,1.5,.9,.25
400,2.5,.95,.75
"""


def _state(env_frames):
  return types.LearnerState(
    params=[tf.constant(1.0)],
    opt_state=(),
    eta={'discount': tf.constant(7.0)},
    meta_opt_state=(),
    trace=(),
    env_frames=tf.constant(env_frames, tf.int64),
    num_updates=tf.constant(0, tf.int64),
  )


def _update(state, unrolls, meta_unrolls):
  """Learns something, and moves eta by its own rule."""
  new = state._replace(
    params=[state.params[0] + 1],
    eta={'discount': state.eta['discount'] + 1},
    env_frames=state.env_frames + 100,
  )
  return new, {'skipped': 0.0}


def _value(logit):
  return 1 / (1 + math.exp(-float(logit)))


class ReplayTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.run = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (self.run / 'metrics.csv').write_text(_METRICS)
    self.config = config_lib.preset(
      'smoke', learned=('discount',), replay_eta=str(self.run)
    )

  def test_values_hold_from_their_frames_on(self):
    recording = replay.read(str(self.run), self.config)
    state = replay.start(recording, _state(0))
    step = tf.function(replay.follow(recording, _update), autograph=False)
    values = [_value(state.eta['discount'])]
    for _ in range(5):
      state, metrics = step(state, [], [])
      values.append(_value(state.eta['discount']))
    # At 0, 100, 200, 300, 400 and 500 frames.
    np.testing.assert_allclose(
      values, [0.8, 0.8, 0.8, 0.9, 0.95, 0.95], rtol=1e-6
    )
    self.assertEqual((float(state.params[0]), metrics), (6.0, {'skipped': 0.0}))

  def test_the_last_values_are_a_constant(self):
    recording = replay.read(f'{self.run}:final', self.config)
    for env_frames in (0, 100, 1000):
      state = replay.start(recording, _state(env_frames))
      self.assertAlmostEqual(_value(state.eta['discount']), 0.95, places=6)

  @parameterized.parameters(
    ('discount', 'gamma', 'it has no column discount'),
    ('250,1.5,.9', '250,1.5,', 'discount must start .*nan'),
    ('250,1.5,.9', '250,1.5,1.5', 'discount must start .*1.5'),
    ('250,1.5,.9', '250,1.5,x', "could not convert string to float: 'x'"),
    ('250,', '50,', 'env_frames do not rise'),
    (_METRICS[_METRICS.index('\n') + 1 :], '', 'it has no row'),
  )
  def test_what_is_no_recording_is_refused(self, old, new, message):
    (self.run / 'metrics.csv').write_text(_METRICS.replace(old, new))
    with self.assertRaisesRegex(
      ValueError, f'replay_eta: .*metrics.csv: .*{message}'
    ):
      replay.read(str(self.run), self.config)

  @parameterized.parameters(
    dict(learned=()), dict(auxiliary_heads=1), dict(eta='meta_network')
  )
  def test_what_cannot_follow_is_refused(self, **fields):
    with self.assertRaisesRegex(ValueError, 'replay_eta must be empty unless'):
      config_lib.preset('smoke', replay_eta='run', **fields)


if __name__ == '__main__':
  absltest.main()
