"""The site builds without a warning, and its pages fetch nothing."""

import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from absl.testing import absltest
import pytest

from tests.repository import sources

pytestmark = pytest.mark.integration

# What a browser fetches by itself; a link it only follows.
_FETCHED = re.compile(
  r'<(?:script|img|iframe|source)[^>]* src="([^"]+)"'
  r'|<link[^>]* rel="?(?:stylesheet|preconnect|icon)"?[^>]* href="([^"]+)"'
  r'|<link[^>]* href="([^"]+)"[^>]* rel="?(?:stylesheet|preconnect|icon)"?'
)


@unittest.skipUnless(
  importlib.util.find_spec('zensical'), 'needs the extra docs'
)
class SiteTest(absltest.TestCase):
  def test_site_builds_strictly_and_fetches_nothing(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    for name in sources.PACKAGES:
      (folder / name).symlink_to(sources.ROOT / name)
    # Copies: the site is built where these really are.
    shutil.copy(sources.ROOT / 'zensical.toml', folder)
    shutil.copytree(sources.ROOT / 'docs', folder / 'docs')
    built = subprocess.run(
      [sys.executable, '-m', 'zensical', 'build', '--clean', '--strict'],
      cwd=folder,
      text=True,
      capture_output=True,
      timeout=100,
    )
    self.assertEqual(built.returncode, 0, built.stdout + built.stderr)
    pages = sorted((folder / 'site').rglob('*.html'))
    fetched = {
      address
      for page in pages
      for match in _FETCHED.finditer(page.read_text())
      for address in match.groups()
      if address
    }
    outside = [
      address for address in fetched if re.match(r'(\w+:)?//', address)
    ]
    self.assertEmpty(outside)
    self.assertNotEmpty(fetched)  # So the pattern fits what is built.
    sources_of_pages = list((sources.ROOT / 'docs').rglob('*.md'))
    self.assertLen(pages, len(sources_of_pages) + 1)  # And 404.html.


if __name__ == '__main__':
  absltest.main()
