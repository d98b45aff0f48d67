"""A run starts from the parameters of another and takes nothing else of it."""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
import numpy as np
import pytest
import tensorflow as tf

from learner.storage import model_files
from tests.repository import sources
from tests.support import untrained

pytestmark = pytest.mark.integration


class InitFromTest(absltest.TestCase):
  @pytest.mark.timeout(240)
  def test_parameters_are_those_of_the_other_run(self):
    folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
    source = untrained.make_workdir(folder / 'one', 'catch', discount=0.5)
    command = [sys.executable, '-m', 'experiments.cli', 'train']
    command += ['--preset=smoke', f'--workdir={folder / "two"}']
    command += [f'--init_from={folder / "one"}', '--seed=9']
    # It learns nothing: what it has at its end it had at its start.
    command += ['--learning_rate=0', '--final_learning_rate=0']
    command += ['--total_env_frames=300']
    done = subprocess.run(
      command, cwd=sources.ROOT, capture_output=True, text=True, timeout=200
    )
    self.assertEqual(done.returncode, 0, done.stderr)
    found = model_files.read(folder / 'two').state
    tf.nest.map_structure(
      np.testing.assert_array_equal, found.params, source.params
    )
    self.assertEqual(int(found.num_updates), 2)  # 8 unrolls of 20 frames each.
    self.assertNotEqual(float(found.eta['discount']), 0.0)  # .99's, not .5's.


if __name__ == '__main__':
  absltest.main()
