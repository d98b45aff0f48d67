"""The doctor finds what is wrong and says what to do."""

import contextlib
import io
import os
import pathlib
import resource
import socket
import tempfile

from absl.testing import absltest
from absl.testing import parameterized

from experiments.launch import doctor
from tests.support import command_flags


class DoctorTest(parameterized.TestCase):
  def _run(self, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
      status = doctor.run(command_flags.parse(doctor, *arguments))
    return status, stdout.getvalue()

  def test_this_machine_can_train(self):
    with tempfile.TemporaryDirectory() as folder:
      status, printed = self._run(f'--workdir={folder}')
    self.assertEqual(status, 0, printed)
    for what in ('Python', 'cores', 'disk', 'Atari', 'TensorFlow', 'GPU'):
      self.assertRegex(printed, f'(?m)^(ok|warning) +{what} ')

  def test_an_error_is_the_status(self):
    status, printed = self._run('--address=nowhere')
    self.assertEqual(status, 1)
    self.assertRegex(printed, r'(?m)^error +port +nowhere is no address\n +-> ')

  def test_folder_that_is_a_file(self):
    with tempfile.NamedTemporaryFile() as file:
      (found,) = doctor.disk(pathlib.Path(file.name) / 'runs')
    self.assertEqual((found.level, found.what), ('error', 'disk'))

  def test_full_disk(self):
    usage = doctor.shutil._ntuple_diskusage(10**12, 10**12, 10**8)
    with absltest.mock.patch.object(
      doctor.shutil, 'disk_usage', return_value=usage
    ):
      (found,) = doctor.disk(pathlib.Path('.'))
    self.assertEqual(found.level, 'warning')
    self.assertStartsWith(found.found, '0.1 GB free')

  def test_port_that_is_served_at_or_nobody_can_take(self):
    with socket.create_server(('127.0.0.1', 0)) as server:
      address = f'127.0.0.1:{server.getsockname()[1]}'
      (found,) = doctor.port(address)
      self.assertEqual(found.found, f'somebody serves at {address}')
    (found,) = doctor.port(address)
    self.assertEqual(found.found, f'{address} can be served at')
    with socket.socket() as bound:  # It does not listen.
      bound.bind(('127.0.0.1', 0))
      (found,) = doctor.port(f'127.0.0.1:{bound.getsockname()[1]}')
    self.assertEqual(found.level, 'error')

  @parameterized.parameters(
    ('learner.example.org:7000', 'warning'),
    ('127.0.0.1:7000', 'ok'),
    ('', 'ok'),
  )
  def test_proxy(self, address, level):
    variables = {'https_proxy': 'http://proxy:3128', 'no_proxy': ''}
    with absltest.mock.patch.dict(os.environ, variables):
      (found,) = doctor.proxies(address)
    self.assertEqual(found.level, level)
    advised = 'no_proxy=learner.example.org' in found.advice
    self.assertEqual(advised, level == 'warning')

  @parameterized.parameters((256, 'warning'), (4096, 'ok'))
  def test_open_files(self, soft, level):
    with absltest.mock.patch.object(
      resource, 'getrlimit', return_value=(soft, 9999)
    ):
      (found,) = doctor.open_files()
    self.assertEqual(found.level, level)

  @parameterized.parameters(('true', 'ok'), ('false', 'warning'))
  def test_memory_growth(self, value, level):
    variables = {'TF_FORCE_GPU_ALLOW_GROWTH': value}
    with absltest.mock.patch.dict(os.environ, variables):
      self.assertEqual(doctor.memory_growth().level, level)


if __name__ == '__main__':
  absltest.main()
