"""A learned discount on the chain, with the agent that `train` runs.

Acting and learning take turns in one process.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tqdm

from learner.inference import parameter_store
from learner.inference import unrolls as unrolls_lib
from learner.inference import worker as inference_lib
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import environments
from seed_metagrad import meta_parameters
from seed_metagrad import types
from seed_metagrad.environments import chain

NUM_UPDATES = 1000
_BAD_DISCOUNT = 0.5  # Below the threshold: waiting does not seem worth it.
_BATCHES_AT_ONCE = 4  # That environments fill together; so old unrolls may get.

# What is learned, and where the discount starts or stays.
VARIANTS = {
  'fixed, best': ((), chain.BEST_DISCOUNT),
  'learned': (('discount',), _BAD_DISCOUNT),
  'fixed, bad': ((), _BAD_DISCOUNT),
}


class Curves(NamedTuple):
  """What happened at each of K updates: [K]; of S seeds, [S, K]."""

  discount: np.ndarray
  waiting: np.ndarray  # The policy's mean probability of waiting.


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


def train(config: config_lib.Config, seeds, bar: tqdm.tqdm) -> Curves:
  """Trains one agent after the other, one for each seed."""
  agent = agent_lib.make(config, environments.spec(config.env))
  update = tf.function(agent.update, autograph=False)
  return Curves(
    *map(
      np.stack,
      zip(*(_train_one(config, agent, update, seed, bar) for seed in seeds)),
    )
  )


def _train_one(
  config, agent: agent_lib.Agent, update, seed: int, bar: tqdm.tqdm
) -> Curves:
  state = agent.init(seed)
  env = environments.make(
    config.env, _BATCHES_AT_ONCE * config.batch_size, seed=seed
  )
  parameters = parameter_store.ParameterStore(parameter_store.published(state))
  inference = inference_lib.Inference(
    agent.act,
    env.spec,
    parameters,
    unrolls_lib.UnrollStore(config.unroll_length, env.spec),
    seed=seed,
  )
  batches = _batches(env, inference, config.batch_size)
  unroll, rows = next(batches), []
  while int(state.env_frames) < config.total_env_frames:
    later = next(batches)
    state, _ = update(state, [unroll], later if config.learned else None)
    parameters.publish(parameter_store.published(state))
    unroll = later
    discount = meta_parameters.values(state.eta).get(
      'discount', config.discount
    )
    rows.append((float(discount), waiting(later)))
    bar.update()
  return Curves(*map(np.array, zip(*rows)))


def _batches(
  env, inference: inference_lib.Inference, batch_size: int
) -> Iterator[types.Unroll]:
  """Steps the environments; yields a batch as often as one is full."""
  env_ids = np.arange(env.num_envs)
  reset = np.ones(env.num_envs, bool)
  env_outputs = env.reset()
  while True:
    acted = inference.act(env_ids, reset, env_outputs)
    reset = np.zeros(env.num_envs, bool)
    unrolls = [finished.unroll for finished in inference.record(acted)]
    for start in range(0, len(unrolls), batch_size):
      yield unrolls_lib.batch(unrolls[start : start + batch_size])
    env_outputs = env.step(acted.agent_outputs.action)


def waiting(unroll: types.Unroll) -> float:
  """The policy's mean probability of waiting, where it decides."""
  decides = unroll.env_outputs.observation[:, :, 0, 0] == 1.0
  logits = unroll.agent_outputs.policy_logits[decides]
  gaps = logits[:, chain.WAIT] - logits[:, chain.TAKE]
  return float(np.mean(1.0 / (1.0 + np.exp(-gaps))))
