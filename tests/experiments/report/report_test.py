"""The report is whole, true and shown by a browser."""

import contextlib
import csv
import html
from html import parser
import io
import pathlib
import shutil
import subprocess
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.report import report
from tests.repository import sources
from tests.support import command_flags
from tests.support import fake_study

_CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
_STUDY_OF_BEFORE = sources.ROOT / 'results/local_study'
_CHROMIUM_FLAGS = (
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-logging=stderr',
)


class _Tables(parser.HTMLParser):
  """The cells' texts, {id of the table: [[text]]}; images; addresses."""

  def __init__(self, page: str):
    super().__init__()
    self.tables, self.images, self.addresses = {}, 0, []
    self._rows = None
    self.feed(page)

  def handle_starttag(self, tag, attrs):
    attributes = dict(attrs)
    if tag == 'table':
      self._rows = self.tables[attributes['id']] = []
    elif tag == 'tr':
      self._rows.append([])
    elif tag in ('td', 'th'):
      self._rows[-1].append('')
    elif tag == 'small':
      self._rows[-1][-1] += '|'
    self.images += tag == 'img'
    self.addresses += [
      attributes[name] for name in ('src', 'href') if name in attributes
    ]

  def handle_endtag(self, tag):
    if tag == 'table':
      self._rows = None

  def handle_data(self, data):
    if self._rows and self._rows[-1]:
      self._rows[-1][-1] += data.strip()


class ReportTest(parameterized.TestCase):
  def setUp(self):
    super().setUp()
    self.folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    self.out = self.folder / 'sub/report.html'

  def _report(self, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      self.assertEqual(
        0,
        report.run(
          command_flags.parse(
            report,
            f'--workdir={self.folder / "study"}',
            f'--out={self.out}',
            *arguments,
          )
        ),
      )
    self.assertIn('report.html', stdout.getvalue())
    return self.out.read_text()

  def _csv(self, name):
    with open(
      self.out.parent / 'report_files' / f'{name}.csv',
      newline='',
      encoding='utf-8',
    ) as file:
      return list(csv.reader(file))

  def _check_tables(self, page):
    """Every number in the page is that of a CSV file, and the reverse."""
    found = _Tables(page)
    for name in ('aggregates', 'scores', 'runs'):
      head, *rows = self._csv(name)
      self.assertEqual(
        found.tables[name],
        [[column.replace('_', ' ') for column in head], *rows],
      )
    head, *rows = self._csv('medians')
    cells = {row[0]: row[1:] for row in found.tables['medians'][1:]}
    places = found.tables['medians'][0][1:]
    for row in (dict(zip(head, row)) for row in rows):
      protocol = {'noop': 'No-op starts', 'start_states': 'Start states'}[
        row['protocol']
      ]
      place = f'{protocol}, {row["reference_discount"]}'
      cell = cells[row['learned']][places.index(place)]
      self.assertStartsWith(
        cell, f'{row["median"]}%' if row['median'] else row['status']
      )
      if row['low']:
        self.assertIn(f'[{row["low"]}, {row["high"]}]', cell)
      self.assertEndsWith(
        cell, f'|published {row["published"]}%' if row['published'] else cell
      )

  def test_page_is_whole_and_its_numbers_are_those_of_the_csv(self):
    fake_study.partial(self.folder / 'study')
    page = self._report()
    self._check_tables(page)
    found = _Tables(page)
    self.assertEqual(found.images, 4)
    for address in found.addresses:
      self.assertStartsWith(address, 'data:')  # Nothing from elsewhere.
    self.assertNotIn('<script', page)
    pngs = (self.out.parent / 'report_files').glob('*.png')
    self.assertEqual(
      sorted(path.stem for path in pngs),
      ['discount', 'improvement_noop', 'lambda', 'returns'],
    )
    self.assertIn('18 runs: 9 done, 1 unfinished, 1 failed, 7 not run.', page)
    self.assertIn('4,000 frames a run', page)
    self.assertIn('total_env_frames = 4000', page)
    self.assertIn('network &#x27;shallow&#x27;', page)
    self.assertIn('no &lt;disk&gt; left', page)

  def test_study_without_a_run_shows_no_number(self):
    fake_study.FakeStudy(self.folder / 'study')
    page = self._report()
    self._check_tables(page)
    found = _Tables(page)
    self.assertEqual(found.images, 0)
    for row in found.tables['medians'][1:]:
      for cell in row[1:]:
        self.assertStartsWith(cell, 'not run')

  def test_start_states_are_said_not_to_be_the_papers(self):
    fake = fake_study.FakeStudy(
      self.folder / 'study',
      fake_study.TOML.replace('"noop"', '"noop", "start_states"'),
    )
    fake.do('pong', fake_study.IMPALA, 14.6)
    run = fake.study.runs()[3]
    fake.evaluate(run, 15.5, 'start_states')
    page = self._report()
    self._check_tables(page)
    self.assertIn('never published', page)
    self.assertIn('Start states: a test.', page)
    self.assertEqual(  # 100% by the constants of its own protocol.
      _Tables(page).tables['medians'][1][1],
      'partial|1 of 3 games, 1 runs|published 144.4%',
    )

  def test_another_system_is_one_more_row(self):
    fake_study.partial(self.folder / 'study')
    runs = self.folder / 'runs.csv'
    runs.write_text('game,seed,env_frames,mean_return\npong,1,4000,14.6\n')
    page = self._report(f'--external=SEED RL:{runs}')
    row = _Tables(page).tables['medians'][-1]
    self.assertEqual(row[0], 'SEED RL')
    self.assertEqual(row[3], 'partial|1 of 3 games, 1 runs')
    self.assertIn('SEED RL. Their own mean return', page)

  def test_what_is_left_out_of_another_system_is_said(self):
    fake_study.partial(self.folder / 'study')
    runs = self.folder / 'runs.csv'
    runs.write_text(
      'game,seed,env_frames,mean_return\npong,1,4000,14.6\nsequest,1,4000,9\n'
    )
    page = self._report(f'--external=SEED RL:{runs}')
    note = "SEED RL: 'sequest' is no game of the study. Did you mean seaquest?"
    self.assertIn(html.escape(note), page)

  def test_what_is_said_of_catch_is_true(self):
    toml = fake_study.TOML.replace('"breakout", "pong", "seaquest"', '"catch"')
    fake = fake_study.FakeStudy(self.folder / 'study', toml)
    fake.do('catch', fake_study.IMPALA, 0.5, 1.0)
    for path in fake.workdir.glob('runs/*/*/*/evaluation/*/summary.json'):
      path.write_text(path.read_text().replace('a test', 'its own'))
    page = self._report()
    self._check_tables(page)
    self.assertIn(html.escape("Episodes began with: the environment's"), page)
    self.assertNotIn('no-ops.', page)
    self.assertNotIn('plain IMPALA', page)
    cell = _Tables(page).tables['medians'][1]
    self.assertIn(
      'no human score|1 of 1 games (0 with a human score), 2 runs'
      '|published 191.8%',
      cell,
    )

  @absltest.skipUnless(_STUDY_OF_BEFORE.exists(), 'results are not here')
  def test_a_study_of_before_is_read(self):
    with contextlib.redirect_stdout(io.StringIO()):
      report.run(
        command_flags.parse(
          report, f'--workdir={_STUDY_OF_BEFORE}', f'--out={self.out}'
        )
      )
    head, *rows = self._csv('medians')
    found = {
      row['learned']: row['median']
      for row in (dict(zip(head, row)) for row in rows)
      if row['median']
    }
    self.assertEqual(  # As its README has them.
      found, {'{}': '33.2', '{discount}': '32.0', '{discount, lambda}': '34.6'}
    )

  @parameterized.parameters(
    ('external must be NAME:PATH', '--external=runs.csv'),
    ('there is no /nowhere', '--external=x:/nowhere'),
  )
  def test_impossible_flags_write_nothing(self, text, argument):
    fake_study.partial(self.folder / 'study')
    with self.assertRaisesRegex((ValueError, OSError), text):
      self._report(argument)
    self.assertFalse(self.out.parent.exists())

  def test_damaged_results_keep_the_last_report(self):
    fake = fake_study.partial(self.folder / 'study')
    before = self._report()
    path = next(fake.workdir.glob('runs/*/*/*/metrics.csv'))
    path.write_text('env_frames\nx\n')
    with self.assertRaisesRegex(
      (ValueError, OSError), 'metrics.csv has no column'
    ):
      self._report()
    self.assertEqual(self.out.read_text(), before)

  def test_folder_of_no_study(self):
    with self.assertRaisesRegex((ValueError, OSError), 'holds no study.toml'):
      self._report()

  @absltest.skipUnless(_CHROMIUM, 'chromium is not installed')
  def test_browser_shows_it_without_an_error(self):
    fake_study.partial(self.folder / 'study')
    page = self._report()
    shot = self.folder / 'page.png'
    shown = subprocess.run(
      [
        _CHROMIUM,
        *_CHROMIUM_FLAGS,
        f'--user-data-dir={self.folder / "profile"}',
        '--dump-dom',
        f'--screenshot={shot}',
        f'file://{self.out}',
      ],
      capture_output=True,
      text=True,
      timeout=90,
      check=True,
    )
    self.assertEqual(_Tables(shown.stdout).tables, _Tables(page).tables)
    self.assertNotIn('CONSOLE', shown.stderr)  # Where its errors would be.
    self.assertGreater(shot.stat().st_size, 10_000)


if __name__ == '__main__':
  absltest.main()
