"""CSV files are read as people have them, or are named with what they hold."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.comparison import csv_files

_TEXT = 'game,seed,score\npöng,1,-2.5\n\nbreakout,2,1e3\n'


class CsvFilesTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    folder = self.enterContext(tempfile.TemporaryDirectory())
    self.path = pathlib.Path(folder) / 'runs.csv'

  def _read(self, contents: bytes):
    self.path.write_bytes(contents)
    return csv_files.read(self.path, ('game', 'score'))

  @parameterized.product(
    encoding=('utf-8', 'utf-8-sig', 'utf-16'),
    delimiter=(',', ';', '\t'),
    line_end=('\n', '\r\n'),
  )
  def test_encodings_and_delimiters(self, encoding, delimiter, line_end):
    text = _TEXT.replace(',', delimiter).replace('\n', line_end)
    first, second = self._read(text.encode(encoding))
    self.assertEqual(first.fields['game'], 'pöng')
    self.assertEqual((first.integer('seed'), first.number('score')), (1, -2.5))
    self.assertEqual(second.number('score'), 1000.0)
    self.assertEqual(second.where, f'{self.path}, line 4')

  @parameterized.parameters(
    (b'game,return\n', "no column 'score'.*'game,return'"),
    (b'', "no column 'game'; its first line is ''"),
    (b'game,score\npong,1,2\n', 'line 2: 3 fields, expected 2'),
    (b'game,score\npong\n', 'line 2: 1 fields, expected 2'),
    (b'game,score\n\xff,1\n', 'is no text: .*utf-8'),
    (b'\xff\xfeg\0a\0m', 'is no text: .*utf-16'),
    ('game,score\n'.encode('utf-16-le'), 'zero bytes.*byte-order mark'),
    (bytes(range(32)) * 10, 'zero bytes'),
    (b'game,score\npong,"' + b'1' * 200_000, 'line 2: field larger than'),
  )
  def test_another_file_is_named_with_what_it_holds(self, contents, text):
    with self.assertRaisesRegex(ValueError, f'^{self.path}.*{text}'):
      self._read(contents)

  def test_a_field_that_is_no_number_is_named(self):
    (row,) = self._read(b'game;score\npong;20,5\n')
    with self.assertRaisesRegex(
      ValueError, "runs.csv, line 2: score is '20,5', not a number"
    ):
      row.number('score')
    with self.assertRaisesRegex(ValueError, "game is 'pong', not a whole"):
      row.integer('game')

  def test_what_was_written_is_read(self):
    rows = [{'game': 'a,b'}, {'score': '1', 'game': '"c"'}]
    text = csv_files.to_text(rows)
    self.assertEqual(text, 'game,score\n"a,b",\n"""c""",1\n')
    self.assertEqual(
      [row.fields for row in self._read(text.encode())],
      [{'game': 'a,b', 'score': ''}, {'game': '"c"', 'score': '1'}],
    )


if __name__ == '__main__':
  absltest.main()
