"""README's code map names the files that are there."""

import re

from absl.testing import absltest

from tests.repository import sources


def _mapped():
  """The paths in the tables of the code map."""
  paths, folder = set(), None
  text = (sources.ROOT / 'README.md').read_text()
  code_map = text.partition('\n## Code map\n')[2].partition('\n## ')[0]
  for name in re.findall(r'^\| `(\S+)` \|', code_map, re.MULTILINE):
    if name.endswith('/'):
      folder = name
    else:
      paths.add(folder + name)
  return paths


class ReadmeTest(absltest.TestCase):
  def test_code_map_has_every_file(self):
    files = {
      path
      for path in sources.paths()
      if not path.startswith('tests/')
      and not path.endswith(('__init__.py', '_pb2.py', '_pb2_grpc.py'))
    }
    self.assertEmpty(sorted(files - _mapped()))

  def test_code_map_has_no_other_file(self):
    gone = [path for path in _mapped() if not (sources.ROOT / path).exists()]
    self.assertEmpty(sorted(gone))


if __name__ == '__main__':
  absltest.main()
