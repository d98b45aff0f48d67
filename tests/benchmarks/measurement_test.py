"""Tests of benchmarks/measurement.py."""

import json
import pathlib
import tempfile

from absl.testing import absltest

from benchmarks import measurement

_OPTIONS = measurement.Options(
  env='pong', networks=('shallow',), repeats=5, secs=60.0, figure=''
)


class MeasurementTest(absltest.TestCase):
  def test_median_is_of_the_repeats_after_a_warm_up(self):
    calls = []
    secs = measurement.median_secs(lambda: calls.append(1), _OPTIONS)
    self.assertLen(calls, 1 + 5)
    self.assertBetween(secs, 0.0, 60.0)

  def test_median_stops_when_the_time_is_over(self):
    calls = []
    measurement.median_secs(
      lambda: calls.append(1), _OPTIONS._replace(secs=0.0)
    )
    self.assertLen(calls, 2)

  def test_variant_names_what_is_learned(self):
    self.assertEqual(measurement.variant(()), '{}')
    self.assertEqual(
      measurement.variant(('discount', 'lambda_')), '{discount,lambda_}'
    )

  def test_json_has_one_object_a_line(self):
    results = [
      measurement.Result('a.b_ms', 1.5, 'ms', {'T': 20}, 'deep', '{}'),
      measurement.Result('a.c', 2.0, 'ratio'),
    ]
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'results.json'
      measurement.write_json(str(path), results, {'cores': 2})
      lines = [json.loads(line) for line in path.read_text().splitlines()]
    self.assertEqual(
      lines,
      [
        {
          'name': 'a.b_ms',
          'value': 1.5,
          'unit': 'ms',
          'settings': {'T': 20},
          'network': 'deep',
          'variant': '{}',
          'machine': {'cores': 2},
        },
        {
          'name': 'a.c',
          'value': 2.0,
          'unit': 'ratio',
          'settings': {},
          'network': '',
          'variant': '',
          'machine': {'cores': 2},
        },
      ],
    )

  def test_line_shows_all_of_a_result(self):
    line = measurement.line(
      measurement.Result(
        'update.meta_ms', 825.4, 'ms', {'T': 20, 'B': 32}, 'deep', '{}'
      )
    )
    self.assertRegex(
      line, r'^update\.meta_ms +825\.4 ms +deep; \{\}; T 20, B 32$'
    )

  def test_machine_says_what_counts(self):
    machine = measurement.machine()
    self.assertGreaterEqual(machine['cores'], 1)
    for name in ('cpu', 'system', 'python', 'tensorflow'):
      self.assertTrue(machine[name], name)


if __name__ == '__main__':
  absltest.main()
