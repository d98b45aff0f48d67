"""Sample Factory's APPO on Pong: env steps/s, beside our suite `train`.

It runs in an environment of its own, not in ours:

    pip install sample-factory==2.1.1 torch
    pip install ale-py==0.12.1 opencv-python-headless
    python benchmarks/others/sample_factory_appo.py --secs=60

The network is its default for Atari, our `nature`: three convolutions and a
layer of 512. Asynchronous, one pass over each batch of 32 unrolls; without
V-trace, with which 2.1.1 raises AttributeError. An env step is one of the
agent's, 4 frames.
"""

import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

_WARM_UP_SECS = 20.0
_FRAMES = re.compile(r'Total num frames: (\d+)')
_MOST_SECS = 120.0  # Between two lines of the log: else it hangs.
# ale-py registers its old names where it is told to, which Sample Factory, made
# for an older one, does not do. Its workers import this file as well.
_PROGRAM = """
import ale_py.registration
ale_py.registration.register_v0_v4_envs()
from sf_examples.atari import train_atari
if __name__ == '__main__':
  raise SystemExit(train_atari.main())
"""


def main() -> None:
  """Prints one line."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--secs', type=float, default=60.0)
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--envs', type=int, default=16, help='Of each worker.')
  parser.add_argument('--epochs', type=int, default=1)
  flags = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    program = pathlib.Path(folder) / 'train.py'
    program.write_text(_PROGRAM)
    command = [
      *(sys.executable, str(program)),
      *('--algo=APPO', '--env=atari_pong', '--device=cpu'),
      *('--async_rl=True', '--summaries_use_frameskip=False'),
      *(f'--num_workers={flags.workers}', '--worker_num_splits=2'),
      f'--num_envs_per_worker={flags.envs}',
      *('--rollout=20', '--batch_size=640', '--num_batches_per_epoch=1'),
      f'--num_epochs={flags.epochs}',
      *(f'--train_dir={folder}', '--experiment=timed'),
    ]
    log = pathlib.Path(folder) / 'log'
    with open(log, 'wb') as output:
      process = subprocess.Popen(
        command, stdout=output, stderr=output, process_group=0
      )
    try:
      at, frames = _wait(process, log, _WARM_UP_SECS)
      then, more = _wait(process, log, flags.secs)
    finally:
      os.killpg(process.pid, signal.SIGKILL)  # Its workers as well.
  print(f'Sample Factory: {(more - frames) / (then - at):.0f} env steps/s')


def _wait(
  process: subprocess.Popen[bytes], log: pathlib.Path, secs: float
) -> tuple[float, int]:
  """The time and the env steps of a line of the log, `secs` after the next."""
  deadline, found, last = 0.0, 0, time.monotonic()
  while True:
    time.sleep(0.1)
    if process.poll() is not None or time.monotonic() > last + _MOST_SECS:
      raise RuntimeError(f'ended or hangs: {log.read_text()[-2000:]}')
    lines = _FRAMES.findall(log.read_text())
    if len(lines) == found or not int(lines[-1]):
      continue
    found, now = len(lines), time.monotonic()
    last = now
    deadline = deadline or now + secs
    if now >= deadline:
      return now, int(lines[-1])


if __name__ == '__main__':
  main()
