"""A learner that comes back at another address of its name; see its test.

Runs in a mount namespace of its own: it changes /etc/hosts. Prints the seconds
until an actor's client has joined again.
"""

from concurrent import futures
import pathlib
import subprocess
import sys
import time

import grpc

from protos import inference_pb2
from protos import inference_pb2_grpc
from seed_metagrad import types
from tests.support import fakes

_NAME = 'learner.test'
_TASK = types.Task('catch', types.EnvSpec((10, 5), 'float32', 3), {})


class _Learner(inference_pb2_grpc.InferenceServicer):
  def Join(self, request, context):
    return inference_pb2.JoinReply(env_ids=[0])


def _serve(address: str) -> tuple[grpc.Server, int]:
  server = grpc.server(futures.ThreadPoolExecutor(1))
  inference_pb2_grpc.add_InferenceServicer_to_server(_Learner(), server)
  port = server.add_insecure_port(address)
  server.start()
  return server, port


def main(hosts: str) -> None:
  """hosts: a file to be the hosts file."""
  path = pathlib.Path(hosts)
  path.write_text(f'127.0.0.1 {_NAME}\n')
  subprocess.run(['mount', '--bind', hosts, '/etc/hosts'], check=True)
  first, port = _serve('127.0.0.1:0')
  client = fakes.Client(f'{_NAME}:{port}', task=_TASK, num_envs=1)
  client.join()
  first.stop(None).wait()
  path.write_text(f'127.0.0.2 {_NAME}\n')
  second, _ = _serve(f'127.0.0.2:{port}')
  started = time.monotonic()
  client.join()
  print(time.monotonic() - started)
  second.stop(None).wait()


if __name__ == '__main__':
  main(sys.argv[1])
