"""Checkpoints are atomic, and come back bit for bit."""

import contextlib
import errno
import hashlib
import io
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import textwrap
from unittest import mock
import zipfile

from absl import logging
from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from learner.storage import checkpoints
from seed_metagrad import types
from tests.repository import sources


def _state(num_updates: int, fill: float = 0.5) -> types.LearnerState:
  return types.LearnerState(
    params={
      'torso/w': np.full([2, 3], fill, np.float32),
      'heads': [np.float32(fill), np.zeros([0, 4])],
    },
    opt_state=(np.arange(3), ()),
    eta={'discount': np.float64(np.pi)},
    meta_opt_state=(),
    trace=(),
    num_updates=np.int64(num_updates),
    env_frames=np.int64(80 * num_updates),
  )


class CheckpointsTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.directory = pathlib.Path(
      self.enterContext(tempfile.TemporaryDirectory())
    )

  def _save(self, num_updates: int, fill: float = 0.5, keep: int = 3):
    return checkpoints.save(
      self.directory,
      _state(num_updates, fill),
      extra={'episodes': num_updates},
      keep=keep,
    )

  def test_restore_returns_what_was_saved(self):
    self._save(7)
    state, extra = checkpoints.restore(self.directory, _state(0, 0.0))
    self.assertEqual(extra, {'episodes': 7})
    self.assertIsInstance(state, types.LearnerState)
    self.assertEqual(state.opt_state[1], ())
    self.assertEqual(state.num_updates, 7)
    np.testing.assert_array_equal(
      state.params['torso/w'], np.full([2, 3], 0.5, np.float32)
    )
    self.assertEqual(state.params['heads'][1].shape, (0, 4))
    self.assertEqual(state.eta['discount'], np.pi)

  def test_a_kill_at_any_moment_leaves_what_was_saved(self):
    script = textwrap.dedent("""
        import sys
        import numpy as np
        from learner.storage import checkpoints
        for n in range(int(sys.argv[2]), 10**6):
          state = {'num_updates': np.int64(n), 'w': np.full(10**6, n)}
          checkpoints.save(sys.argv[1], state, extra={}, keep=2)
          print(n, flush=True)
        """)
    template = {'num_updates': np.int64(0), 'w': np.zeros(10**6, np.int64)}
    saved = 0
    for moment in range(4):  # A save takes 30 ms.
      with subprocess.Popen(
        [sys.executable, '-c', script, self.directory, str(saved + 1)],
        cwd=sources.ROOT,
        stdout=subprocess.PIPE,
        text=True,
      ) as process:
        lines = [process.stdout.readline()]
        with contextlib.suppress(subprocess.TimeoutExpired):
          process.wait(moment * 0.01)
        process.kill()
        lines += process.stdout.readlines()
      acknowledged = int(lines[-1])
      state, _ = checkpoints.restore(self.directory, template)
      saved = int(state['num_updates'])
      self.assertBetween(saved, acknowledged, acknowledged + 1)
      np.testing.assert_array_equal(state['w'], saved)

  def test_extra_may_hold_arrays(self):
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
    checkpoints.save(
      self.directory,
      _state(1),
      keep=1,
      extra={'a': [{'b': rows}, 1.5], 'c': np.zeros([0, 4]), 'd': np.int64(3)},
    )
    _, extra = checkpoints.restore(self.directory, _state(0))
    np.testing.assert_array_equal(extra['a'][0]['b'], rows)
    self.assertEqual(extra['a'][0]['b'].dtype, np.uint8)
    self.assertEqual(extra['a'][1], 1.5)
    self.assertEqual((extra['c'].shape, int(extra['d'])), ((0, 4), 3))

  def test_restore_is_none_where_nothing_was_saved(self):
    self.assertIsNone(checkpoints.restore(self.directory, _state(0)))
    self.assertIsNone(checkpoints.restore(self.directory / 'no', _state(0)))

  def test_keeps_the_newest_by_number(self):
    for num_updates in (8, 9, 10, 11):
      self._save(num_updates, keep=2)
    self.assertEqual(
      [path.name for path in checkpoints.paths(self.directory)],
      ['checkpoint_11.npz', 'checkpoint_10.npz'],
    )
    self.assertLen(os.listdir(self.directory), 2)

  def test_numpy_reads_a_checkpoint_without_pickle(self):
    with np.load(self._save(7), allow_pickle=False) as npz:
      self.assertEqual(npz['state/num_updates'], 7)

  @parameterized.parameters(0, 1, 63, 64, 200, -1)
  def test_restore_falls_back_when_the_newest_is_truncated(self, size):
    self._save(1, fill=0.25)
    newest = self._save(2)
    newest.write_bytes(newest.read_bytes()[:size])
    with self.assertLogs(logging.get_absl_logger(), 'WARNING') as logs:
      state, extra = checkpoints.restore(self.directory, _state(0))
    self.assertEqual(extra, {'episodes': 1})
    self.assertEqual(state.params['heads'][0], 0.25)
    self.assertIn('checkpoint_2.npz', logs.output[-1])
    self.assertIn('checkpoint_1.npz', logs.output[-1])
    # It must not count as the newest of the history that continues from 1.
    self.assertLen(checkpoints.paths(self.directory), 1)
    self.assertTrue((self.directory / 'checkpoint_2.npz.damaged').exists())

  def test_restore_falls_back_when_any_byte_is_flipped(self):
    self._save(1)
    contents = self._save(2).read_bytes()
    for position in range(0, len(contents), 97):
      flipped = bytearray(contents)
      flipped[position] ^= 1
      (self.directory / 'checkpoint_2.npz').write_bytes(flipped)
      _, extra = checkpoints.restore(self.directory, _state(0))
      self.assertEqual(extra, {'episodes': 1}, f'byte {position}')

  def test_restore_raises_when_all_are_damaged(self):
    self._save(1).write_bytes(b'')
    with self.assertRaisesRegex(ValueError, 'every checkpoint.*_1.npz'):
      checkpoints.restore(self.directory, _state(0))

  def test_save_leaves_the_earlier_ones_when_the_disk_is_full(self):
    self._save(1)
    full = mock.patch.object(
      os, 'fsync', side_effect=OSError(errno.ENOSPC, 'full')
    )
    with (
      full,
      self.assertRaisesRegex(
        OSError, '_2.npz was not written.*No space'
      ) as raised,
    ):
      self._save(2)
    self.assertEqual(raised.exception.errno, errno.ENOSPC)
    self.assertEqual(os.listdir(self.directory), ['checkpoint_1.npz'])
    self._save(2)
    self.assertLen(checkpoints.paths(self.directory), 2)

  def test_a_killed_save_leaves_the_earlier_ones(self):
    self._save(1)
    with (
      mock.patch.object(os, 'replace', side_effect=KeyboardInterrupt),
      self.assertRaises(KeyboardInterrupt),
    ):
      self._save(2)
    _, extra = checkpoints.restore(self.directory, _state(0))
    self.assertEqual(extra, {'episodes': 1})
    self._save(2)
    self.assertLen(os.listdir(self.directory), 2)

  @parameterized.parameters(
    (dict(eta={}), "has \\['state/eta/discount'\\] besides"),
    (dict(trace=(np.zeros(2),)), "lacks \\['state/trace/0'\\]"),
    (
      dict(eta={'discount': np.zeros(5)}),
      r'eta/discount is float64 \(\), expected float64 \(5,\)',
    ),
    (dict(eta={'discount': np.float32(0)}), 'expected float32'),
  )
  def test_restore_refuses_when_the_template_differs(self, changed, message):
    self._save(1)
    template = _state(0)._replace(**changed)
    with self.assertRaisesRegex(ValueError, message):
      checkpoints.restore(self.directory, template)

  @parameterized.named_parameters(
    ('pickle', lambda file: pickle.dump([np.ones(3)], file), 'BadZipFile'),
    ('pickled_array', lambda file: np.savez(file, a=np.array([{}])), 'pickle'),
    (
      'bomb',
      lambda file: np.savez_compressed(file, extra=np.zeros(1 << 27, np.int8)),
      'its arrays are compressed',
    ),
    ('no_extra', lambda file: np.savez(file, a=np.ones(3)), 'extra'),
    (
      'deep_extra',
      lambda file: np.savez(file, extra=np.full(200_000, ord('['), np.uint8)),
      'RecursionError',
    ),
    ('text', lambda file: file.write(b'hello' * 99), 'BadZipFile'),
  )
  def test_load_names_what_is_no_checkpoint(self, write, text):
    buffer = io.BytesIO()
    write(buffer)
    contents = buffer.getvalue()
    if zipfile.is_zipfile(buffer):
      with zipfile.ZipFile(buffer, 'a') as archive:
        archive.comment = bytes(64)
      contents = buffer.getvalue()[:-64]
    path = self.directory / 'checkpoint_1.npz'
    digest = hashlib.sha256(contents).hexdigest().encode()
    path.write_bytes(contents + digest)
    with self.assertRaisesRegex(
      ValueError, f'checkpoint_1.npz is no checkpoint: .*{text}'
    ):
      checkpoints.load(path, _state(1))

  def test_load_raises_when_there_is_no_such_file(self):
    with self.assertRaises(FileNotFoundError):
      checkpoints.load(self.directory / 'checkpoint_1.npz', _state(0))


if __name__ == '__main__':
  absltest.main()
