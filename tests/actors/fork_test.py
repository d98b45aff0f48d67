"""Processes that an environment starts are not disturbed by gRPC."""

import os
import subprocess
import sys

from absl.testing import absltest

from tests.repository import sources

_STARTS_PROCESSES = """
import asyncio, os, subprocess
from actors import client
import grpc

async def act():
  server = grpc.aio.server()
  port = server.add_insecure_port('127.0.0.1:0')
  await server.start()
  async with client.open_channel(f'127.0.0.1:{port}') as channel:
    await channel.channel_ready()
    for _ in range(100):
      done = subprocess.run(
        ['true'], preexec_fn=os.setpgrp, stderr=subprocess.PIPE
      )
      print(done.stderr.decode(), end='')

asyncio.run(act())
"""


class ForkTest(absltest.TestCase):
  def test_started_processes_print_nothing_of_grpc(self):
    environ = {
      name: value
      for name, value in os.environ.items()
      if not name.startswith('GRPC_')
    }
    done = subprocess.run(
      [sys.executable, '-c', _STARTS_PROCESSES],
      cwd=sources.ROOT,
      env=environ,
      capture_output=True,
      text=True,
      check=True,
    )
    self.assertEqual(done.stdout, '')
    self.assertNotIn('fork', done.stderr)


if __name__ == '__main__':
  absltest.main()
