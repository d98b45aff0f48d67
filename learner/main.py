"""Runs the learner: wiring only.

Exit status: 0 all frames are done, or a signal said to stop (all is saved);
1 a bad flag, address or workdir, or a bug here; 4 too many updates in a row
were not finite; 5 another learner host is lost (start all: they resume);
128 + n a second signal, of number n, came before all was saved.
"""

# Before everything that imports TensorFlow or gRPC.
from learner import quiet_grpc  # isort: skip  # noqa: F401
from learner import quiet_tensorflow  # isort: skip  # noqa: F401

from collections.abc import Callable
import contextlib
import dataclasses
import os
import pathlib
import queue
import signal
import threading
from typing import Any, NamedTuple

from absl import app
from absl import flags
from absl import logging
import numpy as np
import tensorflow as tf

from learner import batches as batches_lib
from learner import config_flags
from learner import learner as learner_lib
from learner import replay
from learner.distributed import hosts as hosts_lib
from learner.distributed import strategies
from learner.inference import batcher as batcher_lib
from learner.inference import lockstep as lockstep_lib
from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from learner.reporting import curves
from learner.reporting import idle
from learner.reporting import prometheus
from learner.reporting import summary
from learner.reporting import tensorboard
from learner.reporting import trackers
from learner.serving import leases as leases_lib
from learner.serving import security
from learner.serving import server as server_lib
from learner.storage import checkpoints
from learner.storage import files
from learner.storage import model_files
from learner.storage import run_state
from learner.storage import workdir as workdir_lib
from protos import address as address_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.networks import frames
from seed_metagrad.networks import torsos

_NOT_FINITE, _HOST_LOST = 4, 5
_SAME_ON_HOSTS = (
  'total_env_frames',
  'decay_env_frames',
  'max_skipped_updates',
  *(
    field.name
    for field in dataclasses.fields(config_lib.Config)
    if field.name not in workdir_lib.CHANGEABLE
  ),
)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FINISH_SECS = 10.0  # Until actors are told that training is over.

FLAGS = flags.FLAGS
config_flags.define(FLAGS)
flags.DEFINE_string(
  'address',
  '127.0.0.1:0',
  'Address to serve at, host:port (0: a free port) or unix:path.',
)
flags.DEFINE_string('address_file', '', 'File to write the address to.')
flags.DEFINE_bool(
  'restart', False, "New run; the workdir's contents are moved aside."
)
flags.DEFINE_string(
  'cert_file', '', 'Certificate of the server (empty: no TLS).'
)
flags.DEFINE_string('key_file', '', 'Key of the certificate.')
flags.DEFINE_string(
  'client_ca_file', '', 'CA of the certificates that actors must have.'
)
flags.DEFINE_string(
  'token_file', '', 'File with the token that actors must send.'
)
flags.DEFINE_integer(
  'actor_envs',
  0,
  f'Most environments of one actor (0: {config_lib.GROUPS_PER_ACTOR} times'
  ' inference_max_envs).',
  lower_bound=0,
)
flags.DEFINE_integer(
  'metrics_port',
  0,
  'Port for the Prometheus endpoint on 127.0.0.1 (0: off).',
  lower_bound=0,
  upper_bound=65535,
)
flags.DEFINE_bool(
  'insecure', False, 'Address open to other machines without TLS and token.'
)


class _Acting(NamedTuple):
  """Who acts: from a request to finished unrolls."""

  batcher: batcher_lib.Batcher
  max_envs: int
  parameters: parameter_store.ParameterStore
  inference: inference_lib.Inference
  unrolls: batches_lib.UnrollSource
  saves: learner_lib.Acting
  env_states: dict[str, bytes]


def _make_acting(
  config: config_lib.Config,
  spec: types.EnvSpec,
  agent: agent_lib.Agent,
  parameters: parameter_store.ParameterStore,
  seed: int,
  saved: run_state.Acting,
) -> _Acting:
  inference = inference_lib.Inference(
    agent.act,
    spec,
    parameters,
    unrolls_lib.UnrollStore(config.unroll_length, spec, agent.initial_state(0)),
    seed=seed,
    num_calls=saved.num_calls,
    initial_state=agent.initial_state,
  )
  if not config.lockstep:
    batcher = batcher_lib.Batcher(
      config.inference_min_envs,
      config.inference_max_envs,
      config.inference_timeout_ms,
    )
    # Bounded: the only back-pressure.
    unrolls: queue.Queue[unrolls_lib.Finished] = queue.Queue(
      config.queue_unrolls
    )
    return _Acting(
      batcher,
      config_lib.MAX_ENVS,
      parameters,
      inference,
      unrolls,
      inference,
      {},
    )
  tf.config.experimental.enable_op_determinism()
  num_envs = lockstep_lib.num_envs(config)
  batcher = batcher_lib.Batcher(num_envs, num_envs, None)
  lockstep = lockstep_lib.LockStep(inference, batcher)
  env_states = {}
  if saved.lockstep:
    lockstep.restore(saved.lockstep)
    env_states = saved.lockstep.env_states
  return _Acting(
    batcher, num_envs, parameters, inference, lockstep, lockstep, env_states
  )


def _server(
  config: config_lib.Config, spec: types.EnvSpec, acting: _Acting
) -> server_lib.Server:
  if (
    bool(FLAGS.cert_file) != bool(FLAGS.key_file)
    or FLAGS.client_ca_file
    and not FLAGS.cert_file
  ):
    raise ValueError(
      '--cert_file and --key_file go together, and --client_ca_file needs'
      f' both: got {FLAGS.cert_file!r}, {FLAGS.key_file!r} and'
      f' {FLAGS.client_ca_file!r}.'
    )
  address_lib.check_protected(
    FLAGS.address,
    {
      '--cert_file': FLAGS.cert_file,
      '--key_file': FLAGS.key_file,
      '--token_file': FLAGS.token_file,
    },
    insecure=FLAGS.insecure,
  )
  credentials = None
  if FLAGS.cert_file:
    credentials = security.server_credentials(
      FLAGS.cert_file, FLAGS.key_file, FLAGS.client_ca_file
    )
  return server_lib.Server(
    FLAGS.address,
    types.Task(config.env, spec, config.env_settings()),
    acting.batcher,
    leases_lib.Leases(
      acting.max_envs,
      config.lease_secs,
      FLAGS.actor_envs
      or config_lib.GROUPS_PER_ACTOR * config.inference_max_envs,
    ),
    credentials=credentials,
    token=address_lib.read_token(FLAGS.token_file),
    env_states=acting.env_states,
    ask_for_states=config.lockstep,
  )


def _start_thread(target: Callable[..., None], *args: Any) -> threading.Thread:
  """Starts a thread that crashes the process on error."""

  def run() -> None:
    try:
      target(*args)
    except BaseException:
      logging.exception('%s failed', target.__name__)
      os._exit(1)

  thread = threading.Thread(target=run, name=target.__name__, daemon=True)
  thread.start()
  return thread


def _stop_on_signals(
  stop: threading.Event, learner: learner_lib.Learner
) -> None:
  """A signal saves and ends; where nothing was learned it ends at once."""
  started_at = learner.env_frames
  arrived: list[int] = []

  def handle(number: int, unused_frame: Any) -> None:
    if learner.env_frames == started_at:  # Maybe tracing, for a minute.
      os._exit(0)
    if arrived:
      os._exit(128 + number)
    arrived.append(number)
    stop.set()

  for number in _SIGNALS:
    signal.signal(number, handle)


def _seeds(*seeds: int) -> np.ndarray:
  return np.random.SeedSequence(seeds).generate_state(2).astype(np.int32)


def _make(
  config: config_lib.Config,
  spec: types.EnvSpec,
  workdir: pathlib.Path,
  strategy: tf.distribute.Strategy | None,
  hosts: hosts_lib.Hosts,
) -> tuple[learner_lib.Learner, _Acting]:
  """The learner, from its newest checkpoint if there is one, and who acts."""
  agent = strategies.make_agent(config, spec, strategy, hosts.num)
  init_seed, act_seed = _seeds(config.seed)
  state = agent.init(int(abs(init_seed)))
  is_new = not checkpoints.paths(workdir / 'checkpoints')
  if config.init_from and is_new and hosts.is_chief:
    state = model_files.with_params_of(config.init_from, agent, state)
    logging.info('Parameters are those of %s', config.init_from)
  state, saved = learner_lib.restore(workdir, state, hosts)
  update = agent.update
  if config.replay_eta:
    recording = replay.read(config.replay_eta, config)
    state = replay.start(recording, state)
    update = replay.follow(recording, update)
  if not hosts.is_chief:  # It has no count of its calls: start another stream.
    act_seed, _ = _seeds(config.seed, hosts.index, int(state.env_frames))
  if state.env_frames:
    logging.info('Resumed at %d frames', int(state.env_frames))
  acting = _make_acting(
    config,
    spec,
    agent,
    parameter_store.ParameterStore(parameter_store.published(state)),
    int(act_seed),
    saved.acting,
  )
  learner = learner_lib.Learner(
    config,
    state,
    update,
    workdir,
    unrolls=acting.unrolls,
    parameters=acting.parameters,
    hosts=hosts,
    saved=saved,
  )
  return learner, acting


def _start_server(
  config: config_lib.Config, spec: types.EnvSpec, acting: _Acting
) -> server_lib.Server:
  server = _server(config, spec, acting)
  server.check_connections(config.num_actors)
  port = server.start()
  address = (
    FLAGS.address
    if FLAGS.address.startswith('unix:')
    else f'{FLAGS.address.rpartition(":")[0]}:{port}'
  )
  logging.info('Serving %s at %s', config.env, address)
  logging.info(
    'Observations: %s %s, %s in the network',
    spec.observation_dtype,
    list(spec.observation_shape),
    frames.describe_scaling(spec),
  )
  if FLAGS.address_file:
    files.write_atomic(FLAGS.address_file, address)
  return server


def _train(
  config: config_lib.Config,
  spec: types.EnvSpec,
  workdir: pathlib.Path,
  strategy: tf.distribute.Strategy | None,
  hosts: hosts_lib.Hosts,
  stop: threading.Event,
) -> None:
  """One run on an open workdir."""
  learner, acting = _make(config, spec, workdir, strategy, hosts)
  fields = dataclasses.asdict(config)
  tensorboard.write_hparams(workdir / 'tensorboard', fields)
  tracker = None
  if config.track and hosts.is_chief:
    tracker = trackers.Tracker(
      config.track, workdir, project=config.track_project, config=fields
    )
  _stop_on_signals(stop, learner)
  server = _start_server(config, spec, acting)
  idle_watch = idle.Watch(
    workdir / 'logs', server.num_actors, lambda: learner.num_updates
  )
  watching = _start_thread(idle.run, idle_watch, stop)
  serving = None
  if not config.lockstep:
    serving = _start_thread(
      inference_lib.serve,
      acting.inference,
      acting.batcher,
      acting.unrolls,
      stop,
    )
  try:
    with contextlib.ExitStack() as stack:
      if FLAGS.metrics_port:
        stack.enter_context(
          prometheus.serve(FLAGS.metrics_port, learner, server)
        )
      learner.run(stop, acting.saves, tracker, server.num_actors)
    if not stop.is_set():
      logging.info('All %d frames are done', learner.env_frames)
      stop.set()
      server.finish(_FINISH_SECS)
  finally:
    stop.set()
    acting.batcher.close()
    if serving:
      serving.join()
    watching.join()
    server.stop()
  summary.write(workdir, learner.summary())
  for line in learner.health_report():
    logging.info('%s', line)
  if learner.env_frames:
    path = curves.plot(workdir, config.learned)
    tensorboard.write_figure(workdir / 'tensorboard', path, learner.env_frames)
    if tracker:
      tracker.file('curves', path)
  if tracker:
    tracker.close()


def _with_network(
  config: config_lib.Config, spec: types.EnvSpec
) -> config_lib.Config:
  """The config with a network by its name, that fits where none was named."""
  named = FLAGS['network'].present
  if config.network != 'auto' and (named or torsos.fits(config.network, spec)):
    return config
  network = torsos.choose(spec)
  logging.info(
    'Network %s, for observations of shape %s', network, spec.observation_shape
  )
  return dataclasses.replace(config, network=network)


def main(argv: list[str]) -> int:
  """Trains until all frames are done or a signal comes; returns the status."""
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments {argv[1:]}.')
  stop = threading.Event()
  for number in _SIGNALS:
    signal.signal(number, signal.default_int_handler)
  try:
    config = config_flags.read(FLAGS)
    spec = environments.spec(config.env, config.env_settings())
    config = _with_network(config, spec)
    for number in _SIGNALS:
      signal.signal(number, lambda *_: os._exit(0))  # Nothing to save yet.
    strategy = strategies.make(config)
    hosts = hosts_lib.Hosts(strategy)
    hosts.check_same(config, _SAME_ON_HOSTS)
    if config.lockstep and hosts.num > 1:
      raise ValueError(f'lockstep needs one learner host, got {hosts.num}.')
    # Each host keeps the numbers of its own actors; the chief has the state.
    path = config.workdir + ('' if hosts.is_chief else f'-host-{hosts.index}')
    with workdir_lib.open_workdir(
      path, config, restart=FLAGS.restart
    ) as workdir:
      _train(config, spec, workdir, strategy, hosts, stop)
  except KeyboardInterrupt:  # While an environment was made: it is closed.
    return 0
  except learner_lib.NotFiniteError as error:
    logging.error('%s', error)
    return _NOT_FINITE
  except hosts_lib.LostError as error:
    logging.error('%s', error)
    return _HOST_LOST
  except (ValueError, OSError) as error:
    logging.error('%s', error)
    return 1
  return 0


if __name__ == '__main__':
  app.run(main)
