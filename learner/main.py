"""Runs the learner: wiring only.

Exit status: 0 all frames are done, or a signal said to stop (all is saved);
1 a bad flag, address or workdir, or a bug here; 4 too many updates in a row
were not finite.
"""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # pylint: disable=unused-import; isort: skip

import os
import signal
import sys
import threading

from absl import app
from absl import flags
from absl import logging
import numpy as np

from learner import agent as agent_lib
from learner import batcher as batcher_lib
from learner import config_flags
from learner import files
from learner import inference as inference_lib
from learner import learner as learner_lib
from learner import leases as leases_lib
from learner import metrics
from learner import security
from learner import server as server_lib
from learner import unrolls as unrolls_lib
from learner import validation
from learner import workdir as workdir_lib
from seed_metagrad import environments

_NOT_FINITE = 4
_MAX_ENVS = 4096  # Slots for actors: bounds memory.
_FINISH_SECS = 10.0  # For actors to hear that training is over.

FLAGS = flags.FLAGS
config_flags.define(FLAGS)
flags.DEFINE_string(
    'address', '127.0.0.1:0', 'To serve at, host:port or unix:path.')
flags.DEFINE_string('address_file', '', 'Where to write the address served.')
flags.DEFINE_bool(
    'restart', False, 'Move what the workdir holds aside and start anew.')
flags.DEFINE_string('cert_file', '', "The server's certificate, for TLS.")
flags.DEFINE_string('key_file', '', "The certificate's key.")
flags.DEFINE_string(
    'client_ca_file', '', 'Actors need a certificate of this CA.')
flags.DEFINE_string('token_file', '', 'Holds the secret actors must show.')
flags.DEFINE_bool(
    'insecure', False, 'Allow an address others reach without TLS and token.')


def _server(config, spec, batcher) -> server_lib.Server:
  protected = bool(FLAGS.cert_file and FLAGS.key_file and FLAGS.token_file)
  security.check_address(
      FLAGS.address, protected=protected, insecure=FLAGS.insecure)
  credentials = None
  if FLAGS.cert_file:
    credentials = security.server_credentials(
        FLAGS.cert_file, FLAGS.key_file, FLAGS.client_ca_file)
  return server_lib.Server(
      FLAGS.address,
      validation.Task(config.env, spec, config.sticky_actions),
      batcher, leases_lib.Leases(_MAX_ENVS, config.lease_secs),
      credentials=credentials,
      token=security.read_token(FLAGS.token_file) if FLAGS.token_file else '')


def _start_thread(target, *args):
  """Starts a thread that takes the process with it when it fails."""
  def run():
    try:
      target(*args)
    except BaseException:
      logging.exception('%s failed', target.__name__)
      os._exit(1)
  thread = threading.Thread(target=run, name=target.__name__, daemon=True)
  thread.start()
  return thread


def _train(config, workdir, stop: threading.Event):
  """One run on an open workdir, from its newest checkpoint if there is one."""
  spec = environments.spec(config.env)
  agent = agent_lib.make(config, spec)
  init_seed, act_seed = np.random.SeedSequence(
      config.seed).generate_state(2).astype(np.int32)
  learner = learner_lib.Learner(
      config, agent.init(int(abs(init_seed))), agent.update, workdir)
  extra = learner.restore()
  inference = inference_lib.Inference(
      agent.act, agent.initial_state, lambda: learner.published,
      unrolls_lib.UnrollStore(
          config.unroll_length, spec, agent.initial_state),
      seed=int(act_seed))
  if extra:
    inference.num_calls = extra['num_calls']
    logging.info('Resumed at %d frames', learner.env_frames)
  batcher = batcher_lib.Batcher(
      config.inference_min_envs, config.inference_max_envs,
      config.inference_timeout_ms)
  server = _server(config, spec, batcher)
  port = server.start()
  address = (FLAGS.address if FLAGS.address.startswith('unix:') else
             f'{FLAGS.address.rpartition(":")[0]}:{port}')
  logging.info('Serving %s at %s', config.env, address)
  if FLAGS.address_file:
    files.write_whole(FLAGS.address_file, address)
  serving = _start_thread(
      inference_lib.serve, inference, batcher, learner.unrolls, stop)
  try:
    learner.run(stop, inference.take_episodes,
                lambda: {'num_calls': inference.num_calls})
    if not stop.is_set():
      stop.set()
      server.finish(_FINISH_SECS)
  finally:
    stop.set()
    batcher.close()
    serving.join()
    server.stop()
  metrics.write_summary(workdir, learner.summary())
  if learner.env_frames:
    metrics.plot(workdir)


def main(argv):
  """Trains until all frames are done or a signal comes; returns the status."""
  if len(argv) > 1:
    raise app.UsageError(f'unknown arguments {argv[1:]}.')
  stop = threading.Event()
  for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: stop.set())
  try:
    config = config_flags.read(FLAGS)
    with workdir_lib.open_workdir(
        config.workdir, config, restart=FLAGS.restart) as workdir:
      _train(config, workdir, stop)
  except learner_lib.NotFiniteError as error:
    logging.error('%s', error)
    return _NOT_FINITE
  except (ValueError, OSError, workdir_lib.InUseError) as error:
    logging.error('%s', error)
    return 1
  return 0


if __name__ == '__main__':
  app.run(main)
