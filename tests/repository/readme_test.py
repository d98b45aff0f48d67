"""README's map names the folders that are there, and README stays short."""

import re

from absl.testing import absltest

from tests.repository import sources

_MAX_LINES = 150
# Beside the packages, whose every folder is in the map.
_OTHERS = {'deploy/', 'docs/', 'results/', 'tests/'}


def _readme() -> str:
  return (sources.ROOT / 'README.md').read_text()


def _mapped() -> list[str]:
  """The folders in the table of the map."""
  folders = _readme().partition('\n## Folders\n')[2].partition('\n## ')[0]
  return re.findall(r'^\| `(\S+)` \|', folders, re.MULTILINE)


def _folders() -> set[str]:
  """The folders of the packages but for the tests', as the map has them."""
  packages = [sources.ROOT / name for name in sources.PACKAGES]
  return {
    f'{path.relative_to(sources.ROOT).as_posix()}/'
    for package in packages
    for path in [package, *package.rglob('*/')]
    if package.name != 'tests'
    and path.is_dir()
    and not path.name.startswith(('.', '__'))
    and any(file.is_file() for file in path.iterdir())
  }


class ReadmeTest(absltest.TestCase):
  def test_map_has_every_folder_and_no_other(self):
    self.assertCountEqual(_mapped(), _folders() | _OTHERS)

  def test_readme_is_short(self):
    self.assertLessEqual(len(_readme().splitlines()), _MAX_LINES)


if __name__ == '__main__':
  absltest.main()
