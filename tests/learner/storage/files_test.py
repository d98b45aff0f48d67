"""A file is written whole or not at all."""

import errno
import os
import pathlib
import tempfile

from absl.testing import absltest

from learner.storage import files


class WriteWholeTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.path = (
      pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'file'
    )

  def test_replaces_what_was_there(self):
    files.write_whole(self.path, 'old and longer')
    files.write_whole(self.path, b'new')
    self.assertEqual(self.path.read_bytes(), b'new')
    self.assertEqual(os.listdir(self.path.parent), ['file'])

  def test_leaves_the_old_contents_when_the_disk_is_full(self):
    files.write_whole(self.path, 'old')
    (self.path.parent / 'file.tmp').symlink_to('/dev/full')
    with self.assertRaises(OSError) as raised:
      files.write_whole(self.path, 'new')
    self.assertEqual(raised.exception.errno, errno.ENOSPC)
    self.assertEqual(self.path.read_text(), 'old')
    self.assertEqual(os.listdir(self.path.parent), ['file'])


if __name__ == '__main__':
  absltest.main()
