"""The generated files are those of the .proto; messages are small."""

import pathlib
import subprocess
import sys
import tempfile

from absl.testing import absltest
import numpy as np

from protos import codec
from seed_metagrad import types
from tests.repository import sources
from tests.support import fakes

_ATARI = types.EnvSpec((84, 84), 'uint8', num_actions=18)


class InferencePb2Test(absltest.TestCase):
  def test_generated_files_are_up_to_date(self):
    out = self.enterContext(tempfile.TemporaryDirectory())
    subprocess.run(
      [
        sys.executable,
        '-m',
        'grpc_tools.protoc',
        '-I.',
        f'--python_out={out}',
        f'--pyi_out={out}',
        f'--grpc_python_out={out}',
        'protos/inference.proto',
      ],
      check=True,
      cwd=sources.ROOT,
    )
    for name in (
      'inference_pb2.py',
      'inference_pb2.pyi',
      'inference_pb2_grpc.py',
    ):
      self.assertEqual(
        pathlib.Path(out, 'protos', name).read_text(),
        (sources.ROOT / 'protos' / name).read_text(),
        name,
      )

  def test_an_atari_step_fits_its_budget(self):
    for num_envs in (1, 64):
      request = codec.encode_step(fakes.outputs(num_envs, _ATARI))
      request.run_id, request.sequence = 2**63 - 1, 2**64 - 1
      self.assertLessEqual(request.ByteSize() / num_envs, 7300)

  def test_a_step_carries_the_newest_frame_only(self):
    request = codec.encode_step(fakes.outputs(3, _ATARI))
    self.assertLen(request.observations, 3 * 84 * 84)
    self.assertEqual(np.prod(_ATARI.observation_shape), 7056)


if __name__ == '__main__':
  absltest.main()
