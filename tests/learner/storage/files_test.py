"""Files are written atomically; JSON is what the standard has."""

import errno
import json
import os
import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from learner.storage import files


class FilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.path = (
      pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'file'
    )

  def test_replaces_what_was_there(self):
    files.write_atomic(self.path, 'old and longer')
    files.write_atomic(self.path, b'new')
    self.assertEqual(self.path.read_bytes(), b'new')
    self.assertEqual(os.listdir(self.path.parent), ['file'])

  def test_leaves_the_old_contents_when_the_disk_is_full(self):
    files.write_atomic(self.path, 'old')
    (self.path.parent / 'file.tmp').symlink_to('/dev/full')
    with self.assertRaises(OSError) as raised:
      files.write_atomic(self.path, 'new')
    self.assertEqual(raised.exception.errno, errno.ENOSPC)
    self.assertEqual(self.path.read_text(), 'old')
    self.assertEqual(os.listdir(self.path.parent), ['file'])

  def test_json_has_no_nan(self):
    value = {'a': float('nan'), 'b': [1.5, (float('-inf'), 'NaN')], 'c': {}}
    files.write_json(self.path, value)

    def refuse(constant):
      raise ValueError(constant)

    read = json.loads(self.path.read_text(), parse_constant=refuse)
    self.assertEqual(read, {'a': None, 'b': [1.5, [None, 'NaN']], 'c': {}})
    self.assertEqual(files.read_json(self.path), read)

  @parameterized.parameters(
    (b'{"a": 1', 'is not JSON: Expecting'),
    (b'', 'is not JSON: Expecting value'),
    (b'\xff\x00{', 'is not JSON: .*codec'),
    (b'[' * 200_000, 'is nested too deeply'),
    (b'9' * 5000, 'is not JSON: Exceeds'),
  )
  def test_what_is_not_json_is_named(self, contents, text):
    self.path.write_bytes(contents)
    with self.assertRaisesRegex(ValueError, f'^{self.path} {text}'):
      files.read_json(self.path)

  @parameterized.parameters('utf-8', 'utf-8-sig', 'utf-16')
  def test_text_may_have_a_byte_order_mark(self, encoding):
    self.path.write_bytes('Ünruh\r\n'.encode(encoding))
    self.assertEqual(files.read_text(self.path), 'Ünruh\r\n')

  @parameterized.parameters((b'\xff',), (b'\xff\xfea',))
  def test_what_is_no_text_is_named(self, contents):
    self.path.write_bytes(contents)
    with self.assertRaisesRegex(ValueError, f'^{self.path} is no text: .*utf'):
      files.read_text(self.path)


if __name__ == '__main__':
  absltest.main()
