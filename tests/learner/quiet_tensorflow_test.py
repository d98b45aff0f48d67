"""TensorFlow starts without a word, and fails with one."""

import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
import pytest

from tests.repository import sources

pytestmark = pytest.mark.integration


def _run(program: str, *path: str) -> subprocess.CompletedProcess:
  start = f'import sys; sys.path[:0] = {[*path, str(sources.ROOT)]}\n'
  return subprocess.run(
    [sys.executable, '-c', start + program],
    text=True,
    capture_output=True,
    timeout=100,
  )


class QuietTensorflowTest(absltest.TestCase):
  def test_import_prints_nothing(self):
    ended = _run(
      'from learner import quiet_tensorflow\n'
      'import tensorflow as tf\n'
      'f = tf.function(lambda x: x @ x, jit_compile=True)\n'
      'assert f(tf.ones([2, 2])).device\n'
      'import os; assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"\n'
      'print("heard", file=sys.stderr)'
    )
    self.assertEqual((ended.stdout, ended.stderr), ('', 'heard\n'))

  def test_onednn_is_on_unless_a_user_says_otherwise(self):
    enabled = (
      'from learner import quiet_tensorflow\n'
      'from tensorflow.python.util import _pywrap_util_port as port\n'
      'print(port.IsMklEnabled())'
    )
    for user, expected in (('', 'True\n'), ('0', 'False\n')):
      with self.subTest(user):
        start = 'import os; os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)\n'
        if user:
          start += f'os.environ["TF_ENABLE_ONEDNN_OPTS"] = {user!r}\n'
        self.assertEqual(_run(start + enabled).stdout, expected)

  def test_import_shows_what_was_printed_when_it_fails(self):
    with tempfile.TemporaryDirectory() as folder:
      (pathlib.Path(folder) / 'tensorflow.py').write_text(
        'import os; os.write(2, b"no library\\n"); raise ImportError("x")'
      )
      ended = _run('from learner import quiet_tensorflow', folder)
    self.assertStartsWith(ended.stderr, 'no library\nTraceback')


if __name__ == '__main__':
  absltest.main()
