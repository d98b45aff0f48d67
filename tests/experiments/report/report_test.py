"""The report is whole, true and shown by a browser."""

import contextlib
import csv
import html
from html import parser
import io
import json
import pathlib
import re
import shutil
import subprocess
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.report import page as page_lib
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
  """The cells' texts, {id of the table: [[text]]}; images; addresses.

  Forest plots are tables without an id: they show what the others say.
  """

  def __init__(self, page: str):
    super().__init__()
    self.tables, self.images, self.addresses = {}, 0, []
    self.scripts, self._is_script = '', False
    self._rows = None
    self.feed(page)

  def handle_starttag(self, tag, attrs):
    attributes = dict(attrs)
    if tag == 'table':
      self._rows = []
      self.tables[attributes.get('id', f'plot_{len(self.tables)}')] = self._rows
    elif tag == 'tr':
      self._rows.append([])
    elif tag in ('td', 'th'):
      self._rows[-1].append('')
    elif tag == 'small':
      self._rows[-1][-1] += '|'
    self.images += tag == 'img'
    self._is_script = tag == 'script'
    self.addresses += [
      attributes[name] for name in ('src', 'href') if name in attributes
    ]

  def handle_endtag(self, tag):
    if tag == 'table':
      self._rows = None
    self._is_script = False

  def handle_data(self, data):
    self.scripts += data if self._is_script else ''
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
    names = {path.stem for path in self._files('csv')}
    self.assertContainsSubset(('aggregates', 'scores', 'runs', 'costs'), names)
    for name in names - {'medians', 'verdicts'}:
      head, *rows = self._csv(name)
      used = [
        place for place in range(len(head)) if any(row[place] for row in rows)
      ]
      self.assertEqual(
        found.tables[name],
        [
          [page_lib.words(head[place]) for place in used],
          *([page_lib.shown(row[place]) for place in used] for row in rows),
        ],
      )
    if 'verdicts' in names:
      self._check_verdicts(found.tables['verdict-plot'])
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

  def _check_verdicts(self, table):
    head, *rows = self._csv('verdicts')
    rows = [dict(zip(head, row)) for row in rows]
    by_place = {(row['game'], row['variant']): row for row in rows}
    _, *lines, _ = table  # The heading, and the scale below.
    self.assertLen(lines, len(rows))
    for game, what, _, percent, probability, says, *_ in lines:
      ours, theirs = what.split('|against ')
      row = by_place[game, ours]
      self.assertEqual((row['against'], row['says']), (theirs, says))
      self.assertStartsWith(percent.lstrip('+'), row['percent'])
      self.assertStartsWith(probability, row['probability'])

  def _files(self, ending):
    return (self.out.parent / 'report_files').glob(f'*.{ending}')

  def test_page_is_whole_and_its_numbers_are_those_of_the_csv(self):
    fake_study.partial(self.folder / 'study')
    page = self._report()
    self._check_tables(page)
    found = _Tables(page)
    for address in found.addresses:  # Nothing from elsewhere.
      self.assertTrue(address.startswith(('data:', '#')), address)
    self.assertLess(len(page), 300_000)
    self.assertEqual(
      sorted(path.stem for path in self._files('png')),
      ['discount', 'improvement_noop', 'lambda', 'returns'],
    )
    self.assertIn('18 runs: 9 done, 1 unfinished, 1 failed, 7 not run.', page)
    self.assertIn('4,000 frames a run', page)
    self.assertIn('total_env_frames = 4000', page)
    self.assertIn(['network', 'shallow', 'deep'], found.tables['settings'])
    self.assertIn('no &lt;disk&gt; left', page)

  def test_a_tracker_has_the_page_and_the_figures(self):
    fake_study.partial(self.folder / 'study')
    with absltest.mock.patch.object(report.trackers, 'Tracker') as made:
      self._report('--track=trackio', '--track_project=mine')
    (kind, workdir), settings = made.call_args
    self.assertEqual((kind, workdir.name), ('trackio', 'study'))
    self.assertEqual(settings, {'project': 'mine', 'config': {}})
    sent = [call.args for call in made.return_value.file.mock_calls]
    self.assertEqual(sent[0], ('report/report', self.out))
    self.assertEqual(
      [name for name, _ in sent[1:]],
      [f'report/{path.stem}' for path in sorted(self._files('png'))],
    )
    self.assertTrue(all(path.exists() for _, path in sent))
    made.return_value.close.assert_called_once()

  def test_study_without_a_run_shows_no_number(self):
    fake_study.FakeStudy(self.folder / 'study')
    page = self._report()
    self._check_tables(page)
    found = _Tables(page)
    self.assertNotIn('id="charts"', page)
    self.assertIn('Nothing to compare yet', page)
    for row in found.tables['medians'][1:]:
      for cell in row[1:]:
        self.assertStartsWith(cell, 'not run')

  def test_verdict_comes_first_and_says_when_seeds_are_too_few(self):
    fake_study.partial(self.folder / 'study')
    page = self._report()
    self.assertLess(page.index('id="verdict"'), page.index('id="medians"'))
    self.assertIn(
      '{discount, lambda}, 0.99 against {}, 0.99: +75.0% on 2 of 3 games,'
      ' probability of improvement 0.88: not enough seeds to say',
      page,
    )

  def test_what_was_not_asked_for_is_in_the_papers_table_alone(self):
    fake_study.partial(self.folder / 'study')
    found = _Tables(self._report())
    for name, rows in found.tables.items():
      labels = {cell for row in rows for cell in row}
      self.assertEqual('{lambda}' in labels, name == 'medians', name)

  def test_text_of_others_stays_text(self):
    label = '</script><script>alert(1)</script>'
    toml = fake_study.TOML.replace(
      'learned = []', f"learned = []\nlabel = '{label}'"
    )
    fake = fake_study.FakeStudy(self.folder / 'study', toml)
    fake.do('pong', fake.study.variants[0], 1.0, 2.0)
    page = self._report()
    self.assertNotIn(label, page)
    self.assertIn(label, html.unescape(page))
    self.assertIn('Three &lt;games&gt;', page)
    found = _Tables(page)
    self.assertNotIn('alert(1)</script>', found.scripts)
    drawn = re.search('id="data">(.*?)</script>', page)[1]
    self.assertEqual(json.loads(drawn)['titles'][0], label)

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
    self.assertIn(note, html.unescape(page))

  def test_what_is_said_of_catch_is_true(self):
    toml = fake_study.TOML.replace('"breakout", "pong", "seaquest"', '"catch"')
    fake = fake_study.FakeStudy(self.folder / 'study', toml)
    fake.do('catch', fake_study.IMPALA, 0.5, 1.0)
    for path in fake.workdir.glob('runs/*/*/*/evaluation/*/summary.json'):
      path.write_text(path.read_text().replace('a test', 'its own'))
    page = self._report()
    self._check_tables(page)
    self.assertIn("Episodes began with: the environment's", html.unescape(page))
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

  @parameterized.parameters(1280, 500)  # Chromium's narrowest.
  @absltest.skipUnless(_CHROMIUM, 'chromium is not installed')
  def test_browser_shows_it_without_an_error(self, width):
    fake_study.partial(self.folder / 'study')
    page = self._report()
    # Says in the page itself how wide it is, and how many curves are drawn.
    script = (
      'onload = () => { const root = document.documentElement;'
      ' document.body.dataset.seen = [root.scrollWidth - root.clientWidth,'
      ' innerWidth, document.querySelectorAll("canvas").length] }'
    )
    self.out.write_text(page + f'<script>{script}</script>')
    shot = self.folder / 'page.png'
    shown = subprocess.run(
      [
        _CHROMIUM,
        *_CHROMIUM_FLAGS,
        f'--user-data-dir={self.folder / "profile"}',
        '--dump-dom',
        f'--window-size={width},900',
        '--virtual-time-budget=2000',
        f'--screenshot={shot}',
        f'file://{self.out}',
      ],
      capture_output=True,
      text=True,
      timeout=90,
      check=True,
    )
    self.assertEqual(_Tables(shown.stdout).tables, _Tables(page).tables)
    seen = re.search('data-seen="(.*?)"', shown.stdout)[1]
    self.assertEqual(seen, f'0,{width},3')  # No wider; three games.
    self.assertNotIn('CONSOLE', shown.stderr)  # Where its errors would be.
    self.assertGreater(shot.stat().st_size, 10_000)


if __name__ == '__main__':
  absltest.main()
