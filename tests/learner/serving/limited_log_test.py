"""Tests of learner/serving/limited_log.py."""

from absl import logging
from absl.testing import absltest

from learner.serving import limited_log


class LimitedLogTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.now = 0.0
    self.log = limited_log.LimitedLog(lambda: self.now)

  def flood(self, count, kind='joins'):
    """Returns what is logged of so many lines."""
    with self.assertLogs(level='INFO') as logs:
      for number in range(count):
        self.log.info(kind, '%s number %d', kind, number)
      self.log.flush()
      logging.info('the end')
    self.assertIn('the end', logs.output[-1])
    return [line.partition(':absl:')[2] for line in logs.output[:-1]]

  def test_a_few_lines_are_all_logged(self):
    lines = self.flood(200)
    self.assertEqual(lines, [f'joins number {i}' for i in range(200)])

  def test_a_flood_is_cut_and_its_rest_is_counted(self):
    self.assertLen(self.flood(1000), 200)
    self.now = 4.9
    self.assertEmpty(self.flood(10))
    self.now = 5.0  # One line in five seconds.
    self.assertEqual(self.flood(90), ['900 more joins, not logged'])
    self.assertEmpty(self.flood(1))  # That line was used.

  def test_kinds_do_not_crowd_out_one_another(self):
    self.flood(1000)
    self.assertLen(self.flood(3, 'refusals'), 3)

  def test_a_flood_of_an_hour_is_a_line_in_five_seconds(self):
    lines = self.flood(1000)
    for _ in range(3600):
      self.now += 1.0
      lines += self.flood(10)
    self.assertLen(lines, 200 + 3600 / 5)


if __name__ == '__main__':
  absltest.main()
