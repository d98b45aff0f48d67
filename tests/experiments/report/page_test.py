"""Text becomes HTML and stays text; tables are those of the rows."""

from absl.testing import absltest

from experiments.report import page


def _row(learned, discount, **fields):
  return (
    dict(
      learned=learned,
      protocol='noop',
      reference_discount=discount,
      status='not run',
      median='',
      low='',
      high='',
      games='0',
      study_games='3',
      human_games=fields.get('games', '0'),
      runs='0',
      published='',
    )
    | fields
  )


def _table(rows, name):
  """The HTML of a table, without the white space."""
  made = page.environment().get_template('macros.html').module.table(rows, name)
  return ''.join(line.strip() for line in made.splitlines())


class PageTest(absltest.TestCase):
  def test_text_is_escaped(self):
    made = _table([{'<a>': '<b>'}], '<c>"')
    for letter in 'abc':
      self.assertIn(f'&lt;{letter}&gt;', made)
      self.assertNotIn(f'<{letter}>', made)

  def test_rows_may_lack_columns(self):
    self.assertEqual(
      _table([{'a_b': '1', 'd': ''}, {'c': 'failed'}], 'name'),
      '<div class="wide"><table id="name" class="sortable n-last">'
      '<thead><tr><th class="num">a b</th><th>c</th></tr></thead><tbody>'
      '<tr><td class="num">1</td><td></td></tr>'
      '<tr><td class="num"></td><td class="failed">failed</td></tr>'
      '</tbody></table></div>',
    )

  def test_large_numbers_have_commas_and_sort_as_numbers(self):
    self.assertIn(
      '<td class="num" data-sort="15000000">15,000,000</td>',
      _table([{'a': '15000000'}], 'name'),
    )

  def test_headings_are_words(self):
    self.assertEqual(page.words('env_frames'), 'frames')
    self.assertEqual(page.words('reference_discount'), 'reference discount')

  def test_medians_in_the_layout_of_the_paper(self):
    made = page.medians(
      [
        _row(
          '{}',
          '0.99',
          status='partial',
          median='50.0',
          low='1.0',
          high='99.0',
          games='3',
          runs='5',
          published='191.8',
        ),
        _row(
          '{}',
          '0.995',
          status='partial',
          games='2',
          runs='4',
          published='257.1',
        ),
        _row('SEED RL', '', status='done', median='7.0', games='3', runs='3'),
      ],
      ['a note'],
    )
    self.assertEqual(made.places, [('noop', '0.99'), ('noop', '0.995')])
    (label, cells), (other, others) = made.rows
    self.assertEqual(label, '{}')
    self.assertEqual(
      cells,
      [
        (
          '50.0% [1.0, 99.0], partial',
          '',
          ('3 of 3 games, 5 runs', 'published 191.8%'),
        ),
        ('partial', 'missing', ('2 of 3 games, 4 runs', 'published 257.1%')),
      ],
    )
    self.assertEqual(other, 'SEED RL')
    self.assertEqual(others, [('7.0%', '', ('3 of 3 games, 3 runs',))] * 2)
    self.assertEqual(made.notes[1:], ['a note'])
    self.assertTrue(made.is_open)

  def test_every_detail_has_a_title(self):
    self.assertIsNone(page.detail('scores', []))
    for name in page.DETAILS:
      self.assertTrue(page.detail(name, [{'a': 'b'}]).title)


if __name__ == '__main__':
  absltest.main()
