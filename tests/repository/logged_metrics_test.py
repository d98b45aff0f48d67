"""docs/logged_metrics.md has what a run writes, and nothing else."""

import csv
import glob
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
from urllib import error
from urllib import request

from absl.testing import absltest
from prometheus_client import parser
import pytest
import tensorflow as tf

from learner.reporting import tensorboard
from tests.repository import pages
from tests.repository import sources
from tests.support import fakes

pytestmark = pytest.mark.integration

_LEARNED = ('discount', 'lambda_')


def _documented(heading: str) -> list[str]:
  """The names in the first column of a table; one for each meta-parameter."""
  text = (sources.ROOT / 'docs' / 'logged_metrics.md').read_text()
  names = []
  for row in pages.table(text, heading):
    (name,) = re.findall(r'`(.+)`', row[0])
    if '<name>' in name:
      names += [name.replace('<name>', learned) for learned in _LEARNED]
    else:
      names.append(name)
  return names


def _header(path: pathlib.Path) -> list[str]:
  with open(path, newline='', encoding='utf-8') as file:
    return next(csv.reader(file))


def _scalars(folder: pathlib.Path) -> set[str]:
  return {
    value.tag
    for path in glob.glob(f'{folder}/events.*')
    for record in tf.data.TFRecordDataset(path)
    for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    if value.HasField('simple_value')
  }


def _prometheus(port: int) -> list[str]:
  """The names of the metrics; none while nobody serves them."""
  try:
    with request.urlopen(f'http://127.0.0.1:{port}/metrics') as page:
      text = page.read().decode()
  except error.URLError:
    return []
  families = parser.text_string_to_metric_families(text)
  return [sample.name for family in families for sample in family.samples]


class LoggedMetricsTest(absltest.TestCase):
  @pytest.mark.timeout(200)
  def test_page_has_what_a_run_writes(self):
    workdir = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    with socket.create_server(('127.0.0.1', 0)) as free:
      port = free.getsockname()[1]
    command = [sys.executable, '-m', 'experiments.cli', 'train']
    command += ['--preset=smoke', f'--workdir={workdir}']
    command += [f'--learned={",".join(_LEARNED)}', f'--metrics_port={port}']
    command += ['--total_env_frames=1000000000']
    with open(workdir.with_suffix('.log'), 'w', encoding='utf-8') as log:
      run = subprocess.Popen(command, cwd=sources.ROOT, stderr=log)
    self.addCleanup(run.wait)
    self.addCleanup(run.kill)
    self.addCleanup(workdir.with_suffix('.log').unlink)
    episodes = workdir / 'episodes.csv'
    fakes.wait_until(lambda: episodes.exists() and episodes.stat().st_size)
    exported = _prometheus(port)
    run.send_signal(signal.SIGINT)
    self.assertEqual(run.wait(fakes.DEADLINE_SECS), 0)

    columns = _documented('metrics.csv')
    self.assertEqual(_header(workdir / 'metrics.csv'), columns)
    self.assertEqual(
      _scalars(workdir / 'tensorboard'),
      {tensorboard.tag(column) for column in columns if column != 'env_frames'},
    )
    self.assertEqual(_header(episodes), _documented('episodes.csv'))
    self.assertCountEqual(exported, _documented('Prometheus'))
    summary = json.loads((workdir / 'summary.json').read_text())
    self.assertEqual(list(summary), _documented('summary.json'))
    config = json.loads((workdir / 'config.json').read_text())
    self.assertIn('version', config)


if __name__ == '__main__':
  absltest.main()
