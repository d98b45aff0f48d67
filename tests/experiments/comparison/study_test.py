"""Studies are read, spelled out and refused."""

import pathlib
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.comparison import study as study_lib
from seed_metagrad import config as config_lib
from tests.repository import sources
from tests.support import fake_study

_STUDIES = sources.ROOT / 'experiments' / 'studies'


def _read(text, name='study.toml'):
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / name
    path.write_text(text)
    return study_lib.read(path)


class StudyTest(parameterized.TestCase):
  def test_runs_are_the_product_with_seeds_outermost(self):
    names = [run.name for run in _read(fake_study.TOML).runs()]
    self.assertLen(names, 3 * 3 * 2)
    self.assertEqual(
      names[:4],
      [
        'breakout/impala_0.99/seed_1',
        'breakout/discount-lambda_0.99/seed_1',
        'breakout/discount_0.995_unconditioned/seed_1',
        'pong/impala_0.99/seed_1',
      ],
    )
    self.assertEndsWith(names[9], '/seed_2')

  def test_config_is_the_presets_with_the_variant_in_it(self):
    study = _read(fake_study.TOML)
    config = study.config(study_lib.Run('pong', fake_study.UNCONDITIONED, 2))
    self.assertEqual(
      (
        config.env,
        config.seed,
        config.learned,
        config.discount,
        config.reference_discount,
        config.conditioning,
        config.network,
        config.total_env_frames,
      ),
      ('pong', 2, ('discount',), 0.995, 0.995, False, 'shallow', 4000),
    )

  def test_a_variant_names_any_field_and_sweeps(self):
    study = _read(
      fake_study.TOML + '[[variants]]\n'
      'label = "from"\n'
      'learned = ["discount"]\n'
      'discount = [0.8, 0.9]\n'
      'outer_critic = ["none", "head"]\n'
      'reference_discount = 0.99\n'
      '[[variants]]\n'
      'preset = "stacx"\n'
      'total_env_frames = 50\n'
    )
    swept, stacx = study.variants[3:7], study.variants[7]
    self.assertEqual(
      [variant.title for variant in swept],
      [
        'from, discount 0.8, outer_critic none',
        'from, discount 0.8, outer_critic head',
        'from, discount 0.9, outer_critic none',
        'from, discount 0.9, outer_critic head',
      ],
    )
    self.assertEqual(
      swept[1].name, 'discount_0.99_discount=0.8_outer_critic=head'
    )
    configs = [
      study.config(study_lib.Run('pong', variant, 1))
      for variant in (*swept, stacx)
    ]
    self.assertEqual(
      [(c.discount, c.outer_critic, c.total_env_frames) for c in configs[:4]],
      [
        (0.8, 'none', 4000),
        (0.8, 'head', 4000),
        (0.9, 'none', 4000),
        (0.9, 'head', 4000),
      ],
    )
    preset = config_lib.preset('stacx', env='pong', seed=1, total_env_frames=50)
    self.assertEqual(configs[4], preset)
    self.assertStartsWith(stacx.label, '{discount, lambda, policy_cost')
    self.assertEndsWith(
      stacx.label, 'discount 0.99, preset stacx, total_env_frames 50'
    )

  @parameterized.parameters(
    ('discount = []', 'a sweep needs at least one value'),
    ('discount = [0.8, "x"]', "discount must be a number, got 'x'"),
    ('discount = [0.8, 0.8]', 'is there twice'),
    ('seed = 3', "a variant has no 'seed'"),
    ('label = 3', 'label must be a text, got 3'),
    ('preset = "lokal"', 'preset must be one of'),
  )
  def test_impossible_variant_is_refused(self, line, text):
    with self.assertRaisesRegex(ValueError, f'study.toml: .*{text}'):
      _read(f'{fake_study.TOML}[[variants]]\n{line}\n')

  @parameterized.parameters(
    ('smoke', 4),
    ('local', 18),
    ('paper', 57 * 9),
    ('snake', 35),
    ('snake_on_policy', 20),
    ('snake_short', 9),
    ('initial_discount', 21),
    ('minatar', 5 * 5 * 7),
    ('stacx', 9),
  )
  def test_shipped_studies(self, name, num_runs):
    self.assertLen(study_lib.read(_STUDIES / f'{name}.toml').runs(), num_runs)

  def test_paper_has_the_table(self):
    study = study_lib.read(_STUDIES / 'paper.toml')
    self.assertEqual(study.protocols, ('noop', 'start_states'))
    self.assertLen(
      {variant for variant in study.variants if variant.conditioning}, 8
    )  # In two protocols: 16.
    config = study.config(study.runs()[0])
    self.assertEqual(
      (config.network, config.total_env_frames, config.workdir),
      ('deep', 200_000_000, 'runs/default'),
    )

  def test_no_folder_has_a_colon(self):
    runs = study_lib.read(_STUDIES / 'minatar.toml').runs()
    self.assertEqual(runs[0].game, 'minatar:asterix')
    self.assertStartsWith(runs[0].name, 'minatar_asterix/')
    self.assertFalse([run.name for run in runs if ':' in run.name])

  def test_start_states_are_beside_the_study(self):
    study = _read('start_states = "starts"\n' + fake_study.TOML)
    self.assertTrue(pathlib.Path(study.start_states).is_absolute())
    self.assertEndsWith(study.start_states, '/starts')

  @parameterized.parameters(
    (
      'games = ["breakout", "pong", "seaquest"]',
      'games = []',
      'it is empty: games',
    ),
    ('"pong"', '"breakout"', "'breakout' is there twice"),
    ('["noop"]', '["human"]', "protocols must be out of .*'human'"),
    ('episodes = 30', 'episodes = 0', 'episodes must be at least 1'),
    ('episodes = 30', 'epochs = 30', "a study has no 'epochs'"),
    ('preset = "local"', '', "a study needs 'preset'"),
    ('preset = "local"', 'preset = "lokal"', 'preset must be one of'),
    ('total_env_frames = 4000', 'total_env_frames = 0', 'at least 1, got 0'),
    ('total_env_frames = 4000', 'frames = 4000', "settings has no 'frames'"),
    ('total_env_frames', 'env = "pong"\ntotal_env_frames', 'no .env.'),
    ('["discount"]', '["gamma"]', 'learned must be'),
    ('= 0.995', '= 1.5', 'discount must be in'),
    ('conditioning', 'conditioned', "a variant has no 'conditioned'"),
    ('seeds = [1, 2]', 'seeds = 3', 'seeds must be a list, got 3'),
    (
      'episodes = 30\n[settings]\ntotal_env_frames = 4000',
      'settings = 3',
      'settings must be a table, got 3',
    ),
    ('[settings]', '[settings', 'Expected'),
    (
      'seeds = [1, 2]',
      'seeds = [1.5]',
      'seeds must be a whole number, got 1.5',
    ),
    ('seeds = [1, 2]', 'seeds = [true]', 'must be a whole number, got True'),
    ('"pong"', '3', 'each of games must be a text, got 3'),
    ('episodes = 30', 'episodes = 2.5', 'episodes must be a whole number'),
    ('title = "Three <games>"', 'title = 3', 'title must be a text, got 3'),
    ('= 4000', '= 4e3', 'total_env_frames must be a whole number, got 4000.0'),
    ('= 4000', '= "4000"', "total_env_frames must be .*, got '4000'"),
    ('= 0.995', '= true', 'reference_discount must be a number, got True'),
    ('= false', '= 0', 'conditioning must be true or false, got 0'),
    (
      'learned = []',
      'learned = "discount"',
      "learned must be a list, got 'dis",
    ),
    ('= 4000', f'= {"[" * 5000}', 'nested too deeply'),
  )
  def test_impossible_study_is_refused(self, old, new, text):
    self.assertIn(old, fake_study.TOML)
    with self.assertRaisesRegex(ValueError, f'study.toml: .*{text}'):
      _read(fake_study.TOML.replace(old, new))

  def test_a_file_that_is_no_text_is_named(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    (folder / 'study.toml').write_bytes(b'title = "\xff"')
    with self.assertRaisesRegex(ValueError, 'study.toml: .*utf-8'):
      study_lib.read(folder / 'study.toml')

  def test_reading_imports_no_environment(self):
    toml = fake_study.TOML.replace('"pong"', '"gym:not_a_module:X-v0"')
    self.assertLen(_read(toml).games, 3)
    with self.assertRaisesRegex(ValueError, 'not_a_module'):
      study_lib.check_games(_read(toml))

  def test_unknown_game_gets_the_nearest(self):
    study = _read(fake_study.TOML.replace('"pong"', '"pnog"'))
    with self.assertRaisesRegex(ValueError, "'pnog'.*Did you mean pong"):
      study_lib.check_games(study)

  def test_no_file(self):
    with self.assertRaises(FileNotFoundError):
      study_lib.read('/nowhere/study.toml')

  def test_start_states_need_atari(self):
    toml = fake_study.TOML.replace('"noop"', '"start_states"')
    with self.assertRaisesRegex(ValueError, 'not of catch'):
      study_lib.check_games(_read(toml.replace('"pong"', '"catch"')))


if __name__ == '__main__':
  absltest.main()
