"""A learned discount on the chain, with the agent that `train` runs.

Acting and learning take turns in one process.
"""

from collections.abc import Callable, Iterable, Iterator
import itertools
import pathlib
from typing import Any, NamedTuple

from absl import flags

from learner import quiet_tensorflow  # noqa: F401 isort: skip, the first.
import numpy as np
import tensorflow as tf
import tqdm

from experiments.illustrative import figures
from experiments.illustrative import tables
from experiments.scores import estimates
from learner.inference import parameter_store
from learner.inference import serial
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import types
from seed_metagrad.environments import chain
from seed_metagrad.environments import environment
from seed_metagrad.meta_gradients import rules as rules_lib

NUM_UPDATES = 1000
_BAD_DISCOUNT = 0.5  # Below the threshold: waiting does not seem worth it.
_BATCHES_AT_ONCE = 4  # That environments fill together; so old unrolls may get.

# What is learned, and where the discount starts or stays.
VARIANTS: dict[str, tuple[tuple[str, ...], float]] = {
  'fixed, best': ((), chain.BEST_DISCOUNT),
  'learned': (('discount',), _BAD_DISCOUNT),
  'fixed, bad': ((), _BAD_DISCOUNT),
}


class Curves(NamedTuple):
  """What happened at each of K updates: [K]; of S seeds, [S, K]."""

  discount: np.ndarray
  waiting: np.ndarray  # The policy's mean probability of waiting.


def run(flag_values: flags.FlagValues, out: pathlib.Path) -> None:
  """Trains all variants, writes tables and the figure, prints the end."""
  seeds = range(flag_values.seed, flag_values.seed + flag_values.seeds)
  updates = NUM_UPDATES
  total = len(VARIANTS) * len(seeds) * updates
  with tqdm.tqdm(total=total, unit='update') as bar:
    curves = {
      name: train(make_config(learned, discount, updates), seeds, bar)
      for name, (learned, discount) in VARIANTS.items()
    }
  tables.write(
    out / 'control_curves.csv',
    ('variant', 'seed', 'update', 'discount', 'waiting'),
    (
      (name, seed, k + 1, f'{of.discount[i, k]:.4f}', f'{of.waiting[i, k]:.4f}')
      for name, of in curves.items()
      for i, seed in enumerate(seeds)
      for k in range(tables.EVERY - 1, updates, tables.EVERY)
    ),
  )
  final = []
  for name, of in curves.items():
    for quantity, table in of._asdict().items():
      ends = np.mean(table[:, -updates // 20 :], axis=1)
      mean, low, high = (f'{x:.4f}' for x in estimates.mean(ends))
      final.append((name, quantity, mean, low, high))
  tables.write(
    out / 'control_final.csv',
    ('variant', 'quantity', 'mean', 'low', 'high'),
    final,
  )
  figures.control(curves).savefig(out / 'control.png', dpi=150)
  for name, quantity, mean, low, high in final:
    print(f'{name}: {quantity} at the end: {mean} [{low}, {high}]')


def make_config(
  learned: tuple[str, ...], discount: float, num_updates: int
) -> config_lib.Config:
  """The settings on the chain, beside the paper's.

  The entropy cost keeps the policy soft, without which the best discount is not
  known; the low baseline cost keeps the value targets, which the discount moves
  too, from shifting the shared torso (environments/chain.py). Few updates need
  a faster eta, judged on as much as theta learns from.
  """
  paper = config_lib.Config()
  return config_lib.preset(
    'paper',
    env='chain',
    network='mlp',
    learned=learned,
    discount=discount,
    entropy_cost=0.1,
    baseline_cost=0.1,
    meta_learning_rate=0.01,
    meta_batch_size=paper.batch_size,
    total_env_frames=num_updates * paper.batch_size * paper.unroll_length,
  )


def train(
  config: config_lib.Config, seeds: Iterable[int], bar: 'tqdm.tqdm[Any]'
) -> Curves:
  """Trains one agent after the other, one for each seed."""
  agent = agent_lib.make(config, environments.spec(config.env))
  update = tf.function(agent.update, autograph=False)
  trained = [_train_one(config, agent, update, seed, bar) for seed in seeds]
  return Curves(
    np.stack([curves.discount for curves in trained]),
    np.stack([curves.waiting for curves in trained]),
  )


def _train_one(
  config: config_lib.Config,
  agent: agent_lib.Agent,
  update: Callable[..., tuple[types.LearnerState, rules_lib.Metrics]],
  seed: int,
  bar: 'tqdm.tqdm[Any]',
) -> Curves:
  state = agent.init(seed)
  env = environments.make(
    config.env, _BATCHES_AT_ONCE * config.batch_size, seed=seed
  )
  parameters = parameter_store.ParameterStore(parameter_store.published(state))
  inference = inference_lib.make(
    agent, env.spec, parameters, unroll_length=config.unroll_length, seed=seed
  )
  batches = _batches(env, inference, config.batch_size)
  unroll = next(batches)
  discounts, waits = [], []
  while int(state.env_frames) < config.total_env_frames:
    later = next(batches)
    state, _ = update(state, [unroll], [later] if config.learned else [])
    parameters.publish(parameter_store.published(state))
    unroll = later
    discounts.append(agent_lib.hyperparameters(config, state)['discount'])
    waits.append(waiting(later))
    bar.update()
  return Curves(np.array(discounts), np.array(waits))


def _batches(
  env: environment.Environment,
  inference: inference_lib.Inference,
  batch_size: int,
) -> Iterator[types.Unroll[np.ndarray]]:
  """Steps the environments; yields a batch as often as one is full."""
  finished = serial.finished(env, inference)
  while True:
    yield unrolls_lib.batch(
      [one.unroll for one in itertools.islice(finished, batch_size)]
    )


def waiting(unroll: types.Unroll[np.ndarray]) -> float:
  """The policy's mean probability of waiting, where it decides."""
  decides = unroll.env_outputs.observation[:, :, 0, 0] == 1.0
  logits = unroll.agent_outputs.policy_logits[decides]
  gaps = logits[:, chain.WAIT] - logits[:, chain.TAKE]
  return float(np.mean(1.0 / (1.0 + np.exp(-gaps))))
