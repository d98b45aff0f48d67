"""The flags of the address that actors join at, and the server they ask for."""

from absl import flags
from absl import logging

from learner import acting as acting_lib
from learner.serving import leases as leases_lib
from learner.serving import security
from learner.serving import server as server_lib
from learner.storage import files
from protos import address as address_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types
from seed_metagrad.networks import frames

_TEXTS = (
  ('address_file', 'File to write the address to.'),
  ('cert_file', 'Certificate of the server (empty: no TLS).'),
  ('key_file', 'Key of the certificate.'),
  ('client_ca_file', 'CA of the certificates that actors must have.'),
  ('token_file', 'File with the token that actors must send.'),
)


def define(flag_values: flags.FlagValues) -> None:
  """Defines them."""
  flags.DEFINE_string(
    'address',
    '127.0.0.1:0',
    'Address to serve at, host:port (0: a free port) or unix:path.',
    flag_values=flag_values,
  )
  for name, text in _TEXTS:
    flags.DEFINE_string(name, '', text, flag_values=flag_values)
  flags.DEFINE_integer(
    'actor_envs',
    0,
    f'Most environments of one actor (0: {config_lib.GROUPS_PER_ACTOR} times'
    ' inference_max_envs).',
    lower_bound=0,
    flag_values=flag_values,
  )
  flags.DEFINE_bool(
    'insecure',
    False,
    'Address open to other machines without TLS and token.',
    flag_values=flag_values,
  )


def start(
  passed: flags.FlagValues,
  config: config_lib.Config,
  spec: types.EnvSpec,
  acting: acting_lib.Pipeline,
) -> server_lib.Server:
  """Starts the server; writes its address where a file was named.

  Raises:
    ValueError: the flags do not fit one another.
    OSError: a file or the address cannot be used.
  """
  server = _make(passed, config, spec, acting)
  server.check_connections(config.num_actors)
  port = server.start()
  address = (
    passed.address
    if passed.address.startswith('unix:')
    else f'{passed.address.rpartition(":")[0]}:{port}'
  )
  logging.info('Serving %s at %s', config.env, address)
  logging.info(
    'Observations: %s %s, %s in the network',
    spec.observation_dtype,
    list(spec.observation_shape),
    frames.describe_scaling(spec),
  )
  if passed.address_file:
    files.write_atomic(passed.address_file, address)
  return server


def _make(
  passed: flags.FlagValues,
  config: config_lib.Config,
  spec: types.EnvSpec,
  acting: acting_lib.Pipeline,
) -> server_lib.Server:
  _check(passed)
  credentials = None
  if passed.cert_file:
    credentials = security.server_credentials(
      passed.cert_file, passed.key_file, passed.client_ca_file
    )
  return server_lib.Server(
    passed.address,
    types.Task(config.env, spec, config.env_settings()),
    acting.batcher,
    leases_lib.Leases(
      acting.max_envs,
      config.lease_secs,
      passed.actor_envs
      or config_lib.GROUPS_PER_ACTOR * config.inference_max_envs,
    ),
    credentials=credentials,
    token=address_lib.read_token(passed.token_file),
    env_states=acting.env_states,
  )


def _check(passed: flags.FlagValues) -> None:
  if (
    bool(passed.cert_file) != bool(passed.key_file)
    or passed.client_ca_file
    and not passed.cert_file
  ):
    raise ValueError(
      '--cert_file and --key_file go together, and --client_ca_file needs'
      f' both: got {passed.cert_file!r}, {passed.key_file!r} and'
      f' {passed.client_ca_file!r}.'
    )
  address_lib.check_protected(
    passed.address,
    {
      '--cert_file': passed.cert_file,
      '--key_file': passed.key_file,
      '--token_file': passed.token_file,
    },
    insecure=passed.insecure,
  )
