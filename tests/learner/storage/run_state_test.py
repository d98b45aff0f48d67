"""What is saved of a run comes back; so does what version 1 saved."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from learner.storage import checkpoints
from learner.storage import run_state

_STATISTICS = run_state.Statistics(
  seconds=1.5,
  episodes=3,
  returns=[1.0, -1.0],
  lengths=[9, 8],
  lags=[0, 2],
  skipped_updates=1,
)
_UNROLLS = [[np.float32([1, 2]), np.array(7)], [np.zeros([0, 4]), np.array(8)]]
_LOCKSTEP = run_state.LockStep(
  groups=[run_state.Group('a/0', 2), run_state.Group('a/1', 3)],
  env_states={'a/0': b'\0state'},
  finished=_UNROLLS[:1],
  inference=run_state.Inference([(-1.0, 9)], [np.uint8([[1, 2], [3, 4]])]),
)
_STATE = run_state.RunState(
  _STATISTICS, run_state.Acting(5, _LOCKSTEP), _UNROLLS
)
# As commit 157c8a8 wrote it.
_VERSION_1 = {
  'seconds': 1.5,
  'episodes': 3,
  'returns': [1.0, -1.0],
  'lengths': [9, 8],
  'lags': [0, 2],
  'skipped_updates': 1,
  'num_calls': 5,
  'lockstep': {
    'groups': [['a/0', 2], ['a/1', 3]],
    'env_states': {'a/0': np.uint8([0, 115, 116, 97, 116, 101])},
    'finished': _UNROLLS[:1],
    'inference': {
      'num_calls': 5,
      'episodes': [[-1.0, 9]],
      'arrays': [np.uint8([[1, 2], [3, 4]])],
    },
  },
  'pending': _UNROLLS,
}


class RunStateTest(parameterized.TestCase):
  def through_a_file(self, state):
    folder = self.enterContext(tempfile.TemporaryDirectory())
    template = {'num_updates': np.int64(0)}
    checkpoints.save(folder, template, extra=run_state.encode(state), keep=1)
    _, extra = checkpoints.restore(folder, template)
    return run_state.decode(extra)

  def assert_same(self, got, wanted):
    np.testing.assert_equal(got, wanted)
    self.assertIs(type(got), type(wanted))

  def test_decode_undoes_encode(self):
    restored = self.through_a_file(_STATE)
    self.assert_same(restored, _STATE)
    self.assertEqual(
      restored.acting.lockstep.inference.arrays[0].dtype, np.uint8
    )
    self.assertEqual(restored.pending[0][0].dtype, np.float32)
    self.assertEqual(restored.acting.lockstep.groups[1].num_envs, 3)

  def test_decode_undoes_encode_without_lockstep(self):
    state = run_state.RunState(_STATISTICS, run_state.Acting(5), [])
    self.assertEqual(self.through_a_file(state), state)

  def test_version_1_is_read(self):
    self.assert_same(run_state.decode(_VERSION_1), _STATE)

  def test_version_1_is_read_without_lockstep_and_lags(self):
    extra = {
      name: value
      for name, value in _VERSION_1.items()
      if name not in ('lags', 'lockstep', 'pending')
    }
    self.assertEqual(
      run_state.decode(extra),
      run_state.RunState(
        _STATISTICS._replace(lags=[]), run_state.Acting(5), []
      ),
    )

  def test_a_file_of_version_1_is_read(self):
    [path] = checkpoints.paths(
      pathlib.Path(__file__).parent / 'testdata/version_1/checkpoints'
    )
    with np.load(path) as npz:  # Its paths of arrays are those of today.
      template = {
        name.removeprefix('state/'): npz[name]
        for name in npz.files
        if name.startswith('state/')
      }
    state, extra = checkpoints.load(path, template)
    restored = run_state.decode(extra)
    self.assertEqual(state['env_frames'], 1040)
    self.assertEqual(restored.statistics.episodes, 124)
    self.assertLen(restored.statistics.returns, 100)
    self.assertEqual(restored.acting.num_calls, 281)
    self.assertEqual(
      restored.acting.lockstep.groups, [('actor-0/0', 2), ('actor-0/1', 2)]
    )
    self.assertLen(restored.pending, 4)

  def test_a_newer_version_is_refused(self):
    extra = {**run_state.encode(_STATE), 'version': 3}
    with self.assertRaisesRegex(ValueError, 'at most 2, got 3'):
      run_state.decode(extra)


if __name__ == '__main__':
  absltest.main()
