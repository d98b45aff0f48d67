"""gRPC's settings are made before it is imported, or it does not see them."""

import subprocess
import sys

from absl.testing import absltest
from absl.testing import parameterized

from tests.repository import sources

_ORDER = """
import sys
import {module}
names = list(sys.modules)
print(names.index('protos') < names.index('grpc'))
"""


class ImportOrderTest(parameterized.TestCase):
  @parameterized.parameters('actors.main', 'learner.main', 'benchmarks.serving')
  def test_its_settings_come_before_grpc(self, module):
    done = subprocess.run(
      [sys.executable, '-c', _ORDER.format(module=module)],
      cwd=sources.ROOT,
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertEqual(done.stdout.strip(), 'True')


if __name__ == '__main__':
  absltest.main()
