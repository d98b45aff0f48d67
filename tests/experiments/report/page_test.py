"""Text becomes HTML and stays text."""

import base64
import re

from absl.testing import absltest
from matplotlib import figure

from experiments.report import page as page_lib


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


class ReportPageTest(absltest.TestCase):
  def test_text_is_escaped(self):
    page = page_lib.page(
      '<a>',
      [
        (
          '<b>',
          page_lib.paragraph('<c>')
          + page_lib.preformatted('<d>')
          + page_lib.table([{'<e>': '<f>'}], 'x'),
        )
      ],
    )
    for letter in 'abcdef':
      self.assertIn(f'&lt;{letter}&gt;', page)
    for letter in 'acdef':  # <b> is HTML's own.
      self.assertNotIn(f'<{letter}>', page)

  def test_image_is_inside(self):
    png, text = page_lib.image(figure.Figure(figsize=(1, 1)), 'a title')
    self.assertStartsWith(png, b'\x89PNG')
    encoded = re.search('src="data:image/png;base64,(.*)"', text)[1]
    self.assertEqual(base64.b64decode(encoded), png)
    self.assertIn('alt="a title"', text)

  def test_rows_may_lack_columns(self):
    text = page_lib.table([{'a_b': '1'}, {'c': 'failed'}], 'name')
    self.assertEqual(
      text,
      """<table id="name">
<tr><th>a b</th><th>c</th></tr>
<tr><td>1</td><td></td></tr>
<tr><td></td><td class="failed">failed</td></tr>
</table>""",
    )

  def test_medians_in_the_layout_of_the_paper(self):
    text = page_lib.medians(
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
      ]
    )
    lines = text.split('\n')
    self.assertEqual(
      lines[1],
      '<tr><th>learned</th><th>No-op starts, 0.99</th>'
      '<th>No-op starts, 0.995</th></tr>',
    )
    self.assertEqual(
      lines[2],
      '<tr><td>{}</td><td>50.0% [1.0, 99.0], partial'
      '<small>3 of 3 games, 5 runs</small>'
      '<small>published 191.8%</small></td>'
      '<td class="missing">partial<small>2 of 3 games, 4 runs</small>'
      '<small>published 257.1%</small></td></tr>',
    )
    self.assertEqual(
      lines[3],
      '<tr><td>SEED RL</td>'
      + '<td>7.0%<small>3 of 3 games, 3 runs</small></td>' * 2
      + '</tr>',
    )


if __name__ == '__main__':
  absltest.main()
