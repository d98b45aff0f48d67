"""Tests of benchmarks/benchmark.py."""

import contextlib
import importlib
import inspect
import io
import json
import pathlib
import tempfile
from unittest import mock

from absl import flags
from absl.testing import absltest

from benchmarks import benchmark
from benchmarks import measurement


class BenchmarkTest(absltest.TestCase):
  def run_suites(self, *arguments):
    values = flags.FlagValues()
    benchmark.define_flags(values)
    values(['benchmark', *arguments])
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      self.assertEqual(benchmark.run(values), 0)
    return stdout.getvalue()

  def test_runs_the_chosen_suites_and_writes_what_it_prints(self):
    seen = []

    def suite(options):
      seen.append(options)
      yield measurement.Result('fake.value', 1.0, 'ms', network='deep')

    fake = mock.Mock(env=suite, serve=suite)
    with (
      tempfile.TemporaryDirectory() as folder,
      mock.patch.object(importlib, 'import_module', return_value=fake),
    ):
      path = pathlib.Path(folder) / 'results.json'
      printed = self.run_suites(
        '--suite=env',
        '--suite=serve',
        '--network=deep',
        '--secs=2',
        '--env=breakout',
        f'--json={path}',
      )
      lines = [json.loads(line) for line in path.read_text().splitlines()]
    self.assertEqual([line['name'] for line in lines], ['fake.value'] * 2)
    self.assertEqual(printed.count('fake.value'), 2)
    self.assertEqual(
      seen[0],
      measurement.Options(
        'breakout', ('deep',), repeats=20, secs=2.0, figure=''
      ),
    )

  def test_every_suite_is_a_generator_of_its_module(self):
    for name, module in benchmark.SUITES.items():
      suite = getattr(importlib.import_module(module), name)
      self.assertTrue(inspect.isgeneratorfunction(suite), name)


if __name__ == '__main__':
  absltest.main()
