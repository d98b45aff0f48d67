"""Tests of learner/storage/lock.py; workdir_test has the killed holder."""

import os
import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest

from learner.storage import lock
from tests.repository import sources

_HOLD = """
import sys
from learner.storage import lock
with lock.held(sys.argv[1]):
  pass
"""


class LockTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = self.enterContext(tempfile.TemporaryDirectory())

  def hold_elsewhere(self):
    return subprocess.run(
      [sys.executable, '-c', _HOLD, self.folder],
      cwd=sources.ROOT,
      capture_output=True,
      text=True,
      timeout=60,
    )

  def test_another_process_is_refused_with_the_holders_pid(self):
    with lock.held(self.folder):
      refused = self.hold_elsewhere()
    self.assertRegex(
      refused.stderr, f'InUseError: {self.folder} .* pid {os.getpid()}'
    )

  def test_the_folder_is_free_after_the_block(self):
    with lock.held(self.folder):
      pass
    with self.assertRaises(ZeroDivisionError), lock.held(self.folder):
      _ = 1 / 0
    self.assertEqual(self.hold_elsewhere().stderr, '')

  def test_the_file_names_the_last_holder_alone(self):
    path = pathlib.Path(self.folder, lock.NAME)
    path.write_text('99999999999999\n')
    with lock.held(self.folder):
      self.assertEqual(path.read_text(), f'{os.getpid()}\n')


if __name__ == '__main__':
  absltest.main()
