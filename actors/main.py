"""Runs one actor: two groups of environments, one stepping, one waiting.

Exit status: 0 training is over, or a signal said to stop; 1 a bad flag, a
failure of the environment or a bug here; 2 the learner refused this actor, or
another took its name while it hung; 3 the learner did not answer, or another
held its name, for --reconnect_secs.
"""

import asyncio
from collections.abc import Sequence
import contextlib
import os
import signal
import threading
from types import FrameType

from absl import app
from absl import flags
from absl import logging
import grpc

from actors import actor
from actors import client as client_lib
from protos import address as address_lib
from protos import codec
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.environments import environment

_REFUSED, _UNREACHABLE = 2, 3
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CLOSE_SECS = 3.0  # For environments to close at a signal.
_DEFAULTS = config_lib.Config()

flags.DEFINE_string(
  'address',
  'localhost:50051',
  'Address of the learner, host:port or unix:path.',
)
flags.DEFINE_string(
  'name', '', 'Name, unique among actors (empty: actor-<index>).'
)
flags.DEFINE_integer(
  'index', 0, 'Index of this actor in the run, for its seed.', lower_bound=0
)
flags.DEFINE_string('env', _DEFAULTS.env, "Environment, the learner's.")
flags.DEFINE_integer('seed', _DEFAULTS.seed, 'Root seed of the run.')
flags.DEFINE_integer(
  'envs_per_group',
  _DEFAULTS.envs_per_group,
  'Environments in each of the two groups.',
  lower_bound=1,
)
flags.DEFINE_integer(
  'env_threads',
  _DEFAULTS.env_threads,
  'Threads that step Atari games.',
  lower_bound=1,
)
flags.DEFINE_string(
  'env_settings', '{}', 'Settings of the environment, a JSON object.'
)
flags.DEFINE_string(
  'token_file', '', 'File with the token that the learner requires.'
)
flags.DEFINE_string(
  'ca_file', '', "CA of the learner's certificate (empty: no TLS)."
)
flags.DEFINE_string(
  'cert_file', '', 'Certificate of this actor, where the learner requires one.'
)
flags.DEFINE_string('key_file', '', 'Key of the certificate.')
flags.DEFINE_bool(
  'insecure', False, 'Connection to another machine without TLS and token.'
)
flags.DEFINE_float(
  'reconnect_secs',
  300.0,
  'Seconds without the learner after which the actor gives up.',
  lower_bound=1.0,
  upper_bound=1e6,
)  # Also a request's deadline.

FLAGS = flags.FLAGS


def _client(
  channel: grpc.aio.Channel, spec: types.EnvSpec, group: int, token: str
) -> client_lib.Client:
  settings = codec.decode_settings(FLAGS.env_settings)
  return client_lib.Client(
    channel,
    types.Task(FLAGS.env, spec, settings),
    num_envs=FLAGS.envs_per_group,
    name=FLAGS.name or f'actor-{FLAGS.index}',
    group=group,
    token=token,
    reconnect_secs=FLAGS.reconnect_secs,
  )


def _make_env(group: int) -> environment.Environment:
  return environments.make(
    FLAGS.env,
    FLAGS.envs_per_group,
    seed=actor.env_seed(FLAGS.seed, FLAGS.index, group),
    num_threads=FLAGS.env_threads,
    settings=codec.decode_settings(FLAGS.env_settings),
  )


def _on_signals(envs: Sequence[environment.Environment]) -> None:
  """At a signal closes what was made and ends the process, with status 0."""

  def end(unused_number: int, unused_frame: FrameType | None) -> None:
    for number in _SIGNALS:
      signal.signal(number, signal.SIG_IGN)
    if not envs:  # Maybe in a constructor: what was made is closed on the way.
      raise KeyboardInterrupt
    # At once: an exception inside gRPC may make its channel's end wait for
    # ever, and so may an environment that is closed in the middle of a step.
    threading.Timer(_CLOSE_SECS, os._exit, [0]).start()
    for env in envs:
      try:
        env.close()
      except Exception as error:
        logging.error('%s', error)
    os._exit(0)

  for number in _SIGNALS:
    signal.signal(number, end)


async def _act(envs: Sequence[environment.Environment], token: str) -> None:
  async with client_lib.open_channel(
    FLAGS.address,
    ca_file=FLAGS.ca_file,
    cert_file=FLAGS.cert_file,
    key_file=FLAGS.key_file,
  ) as channel:
    await actor.run(
      [
        actor.Group(env, _client(channel, env.spec, group, token))
        for group, env in enumerate(envs)
      ]
    )


def _run() -> int:
  address_lib.check_protected(
    FLAGS.address,
    {'--ca_file': FLAGS.ca_file, '--token_file': FLAGS.token_file},
    insecure=FLAGS.insecure,
  )
  token = address_lib.read_token(FLAGS.token_file)
  envs: list[environment.Environment] = []
  with contextlib.ExitStack() as stack:  # Closes all, also where one fails to.
    for group in range(config_lib.GROUPS_PER_ACTOR):
      envs.append(_make_env(group))
      stack.callback(envs[-1].close)
    _on_signals(envs)
    asyncio.run(_act(envs, token))
  logging.info('Training is over')
  return 0


def main(argv: Sequence[str]) -> int:
  """Runs until the learner is done; returns the exit status."""
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments {argv[1:]}.')
  _on_signals([])
  try:
    return _run()
  except KeyboardInterrupt:
    return 0
  except client_lib.Refused as error:
    logging.error('%s', error)
    return _REFUSED
  except client_lib.Unreachable as error:
    logging.error('%s', error)
    return _UNREACHABLE
  except environment.Failed as error:
    logging.info('The environment raised', exc_info=error.__cause__)
    logging.error('%s', error)  # Last, and so what the console shows.
    return 1
  except (ValueError, OSError) as error:
    logging.error('%s', error)
    return 1


if __name__ == '__main__':
  app.run(main)
