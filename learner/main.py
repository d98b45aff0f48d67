"""Runs the learner: wiring only.

Exit status: 0 all frames are done, or a signal said to stop (all is saved);
1 a bad flag, address or workdir, or a bug here; 4 too many updates in a row
were not finite; 5 another learner host is lost (start all: they resume);
128 + n a second signal, of number n, came before all was saved.
"""

# Before everything that imports TensorFlow or gRPC.
from learner.serving import quiet_grpc  # isort: skip  # noqa: F401
from learner import quiet_tensorflow  # isort: skip  # noqa: F401

from collections.abc import Callable
import contextlib
import dataclasses
import os
import pathlib
import signal
import threading
import time
from typing import Any

from absl import app
from absl import flags
from absl import logging
import numpy as np
import tensorflow as tf

from learner import acting as acting_lib
from learner import config_flags
from learner import learner as learner_lib
from learner import replay
from learner import server_flags
from learner.distributed import hosts as hosts_lib
from learner.distributed import strategies
from learner.inference import parameter_store
from learner.inference import worker as inference_lib
from learner.reporting import curves
from learner.reporting import idle
from learner.reporting import prometheus
from learner.reporting import summary
from learner.reporting import tensorboard
from learner.reporting import trackers
from learner.storage import checkpoints
from learner.storage import model_files
from learner.storage import workdir as workdir_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
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
_ONE_STOP_SECS = 2.0  # A signal to all processes, and `train` passing it on.

FLAGS = flags.FLAGS
config_flags.define(FLAGS)
server_flags.define(FLAGS)
flags.DEFINE_bool(
  'restart', False, "New run; the workdir's contents are moved aside."
)
flags.DEFINE_integer(
  'metrics_port',
  0,
  'Port for the Prometheus endpoint on 127.0.0.1 (0: off).',
  lower_bound=0,
  upper_bound=65535,
)
for module in (config_flags, server_flags):  # For --help.
  flags.adopt_module_key_flags(module)


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
  """A signal saves and ends; where nothing was learned it ends at once.

  A second one ends at once, unless it comes so soon that it is the same.
  """
  started_at = learner.env_frames
  stopped_at: list[float] = []

  def handle(number: int, unused_frame: Any) -> None:
    if learner.env_frames == started_at:  # Maybe tracing, for a minute.
      os._exit(0)
    now = time.monotonic()
    if stopped_at and now - stopped_at[0] > _ONE_STOP_SECS:
      os._exit(128 + number)
    stopped_at.append(now)
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
) -> tuple[learner_lib.Learner, acting_lib.Pipeline]:
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
  parameters = parameter_store.ParameterStore(parameter_store.published(state))
  acting = acting_lib.make(
    config, spec, agent, parameters, int(act_seed), saved.acting
  )
  learner = learner_lib.Learner(
    config,
    state,
    update,
    workdir,
    unrolls=acting.unrolls,
    parameters=parameters,
    hosts=hosts,
    saved=saved,
  )
  return learner, acting


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
  server = server_flags.start(FLAGS, config, spec, acting)
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
  _conclude(config, workdir, learner, tracker)


def _conclude(
  config: config_lib.Config,
  workdir: pathlib.Path,
  learner: learner_lib.Learner,
  tracker: trackers.Tracker | None,
) -> None:
  """Writes and says how the run ended."""
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
