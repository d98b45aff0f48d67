"""Rows are appended, truncated on a resume, and wait for a full disk."""

import csv
import errno
import pathlib
import tempfile
from unittest import mock

from absl.testing import absltest

from learner.reporting import csv_table


class TableTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder, 'rows.csv')

  def table(self, restored_env_frames=0):
    table = csv_table.Table(self.path, restored_env_frames)
    self.addCleanup(table.close)
    return table

  def write(self, *rows, restored_env_frames=0):
    table = csv_table.Table(self.path, restored_env_frames)
    for row in rows:
      table.append(row)
    table.close()

  def test_rows_are_appended_under_the_first_rows_names(self):
    self.write({'env_frames': 100, 'x': 1.5}, {'x': -2, 'env_frames': 200})
    self.assertEqual(self.path.read_text(), 'env_frames,x\n100,1.5\n200,-2\n')

  def test_append_raises_when_the_columns_change(self):
    table = self.table()
    table.append({'env_frames': 100, 'x': 1})
    for row in ({'env_frames': 200, 'x': 1, 'y': 2}, {'env_frames': 200}):
      with self.assertRaisesRegex(
        ValueError,
        rf"rows.csv has the columns .*'x'.*got a row of .*{[*row]}".replace(
          '[', r'\['
        ),
      ):
        table.append(row)

  def test_rows_after_the_checkpoint_are_truncated_on_resume(self):
    self.write(*({'env_frames': frames} for frames in (100, 200, 300, 400)))
    with open(self.path, 'a') as file:
      file.write('1')  # A killed run may leave half a row.
    self.write({'env_frames': 250}, restored_env_frames=200)
    self.assertEqual(self.path.read_text(), 'env_frames\n100\n200\n250\n')

  def test_a_file_without_rows_is_resumed(self):
    self.write()
    self.assertEqual(self.path.read_text(), '')
    self.write({'env_frames': 100})
    self.assertEqual(self.path.read_text(), 'env_frames\n100\n')

  def test_a_resumed_run_may_have_a_new_column(self):
    self.write({'env_frames': 100, 'x': 1}, {'env_frames': 200, 'x': 2})
    self.write(
      {'env_frames': 150, 'new': 7, 'x': 3, 'newer': 8},
      {'newer': 9, 'env_frames': 200, 'x': 4, 'new': 6},
      restored_env_frames=100,
    )
    self.assertEqual(
      self.path.read_text(),
      'env_frames,x,new,newer\n100,1,,\n150,3,7,8\n200,4,6,9\n',
    )

  def test_a_resumed_run_may_lack_a_column(self):
    self.write({'env_frames': 100, 'old': 1, 'x': 2})
    self.write({'x': 3, 'env_frames': 150}, restored_env_frames=100)
    self.write({'env_frames': 200, 'old': 5, 'x': 4}, restored_env_frames=150)
    self.assertEqual(
      self.path.read_text(), 'env_frames,old,x\n100,1,2\n150,,3\n200,5,4\n'
    )

  def test_rows_wait_while_the_disk_is_full(self):
    table = self.table()
    table.append({'env_frames': 100})
    full = mock.Mock(**{'write.side_effect': OSError(errno.ENOSPC, 'No space')})
    with mock.patch.object(table, '_file', full):
      with self.assertLogs(level='ERROR') as logs:
        table.flush()
    self.assertRegex(logs.output[0], 'wait: .*No space')
    table.append({'env_frames': 200})
    table.flush()
    with open(self.path, newline='') as file:
      rows = list(csv.DictReader(file))
    self.assertEqual([row['env_frames'] for row in rows], ['100', '200'])


if __name__ == '__main__':
  absltest.main()
