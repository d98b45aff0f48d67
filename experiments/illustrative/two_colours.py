"""A learned entropy cost where the world flips (Luketina et al. 2022).

A policy that has become certain finds the other object late after a flip: the
entropy cost ought to follow the recent reward. Everything that learns is the
agent's: `meta.update`, its losses and its outer objectives, on small networks
and unrolls of one environment. Seeds are trained side by side.
"""

from collections.abc import Mapping
import functools
import pathlib
from typing import Any, NamedTuple

from absl import flags

from learner import quiet_tensorflow  # noqa: F401 isort: skip, the first.
import numpy as np
import tensorflow as tf
import tqdm

from experiments.illustrative import colour_world
from experiments.illustrative import small_figures
from experiments.illustrative import tables
from experiments.scores import estimates
from seed_metagrad import config as config_lib
from seed_metagrad import losses
from seed_metagrad import optimizers
from seed_metagrad import types
from seed_metagrad.meta_gradients import inner
from seed_metagrad.meta_gradients import meta
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

# A loss is a sum here; .1 is for its mean over the steps of an unroll.
_LEARNING_RATE = 0.1 / colour_world.UNROLL_LENGTH
# Without it some seeds' values diverge; the paper names none.
_MAX_GRADIENT_NORM = 1.0 * colour_world.UNROLL_LENGTH
BOUNDS = {'entropy_cost': config_lib.Bounds(0.0, 1.0)}
ROW_STEPS = 25_600  # Between two rows of a curve.
NUM_ROWS = 79  # At least 2 million steps.


class Variant(NamedTuple):
  """How the entropy cost is learned."""

  learned: bool = True
  context: bool = False  # eta is a meta-network of recent rewards.
  outer: str = 'actor_critic'
  num_meta_unrolls: int = 1  # L of BMG; see results/two_colours/README.md.
  entropy_cost: float = 0.1  # Where it starts, or stays.
  outer_entropy_cost: float = 0.1


VARIANTS = {
  'fixed': Variant(learned=False),
  'mg': Variant(),
  'mg_context': Variant(context=True),
  'bmg_context': Variant(context=True, outer='bootstrap'),
}
# Total return per step, of 10 million (Luketina et al. 2022).
PUBLISHED = {
  'fixed': 0.124,
  'mg': 0.129,
  'mg_context': 0.158,
  'bmg_context': 0.174,
}


class Training(NamedTuple):
  """S agents and their worlds."""

  states: types.LearnerState
  world: colour_world.World
  unroll: types.Unroll[tf.Tensor]  # To learn from next, [S, T + 1, 1, ...].


class Seen(NamedTuple):
  """What happened in steps, [S] each; [K, S] of K rows."""

  rewards: Any  # Their sum.
  entropy_cost: Any  # Its mean.


def _forward(
  params: colour_world.Params,
  unroll: types.Unroll[tf.Tensor],
  conditioning: types.Conditioning | None,
) -> types.NetworkOutput:
  del conditioning
  x = unroll.env_outputs.observation[:, 0]
  return types.NetworkOutput(
    policy_logits=colour_world.apply_layers(params.policy, x)[:, tf.newaxis],
    baseline=colour_world.apply_layers(params.value, x),
  )


def make_rules(variant: Variant) -> rules_lib.Rules:
  """The agent's algorithm on one seed."""
  targets: dict[str, Any] = dict(max_abs_reward=0.0)
  fixed = dict(
    discount=0.99,
    lambda_=1.0,
    policy_cost=1.0,
    baseline_cost=1.0,
    entropy_cost=variant.entropy_cost,
  )

  def next_context(
    context: types.Nest, unroll: types.Unroll[tf.Tensor], hypers: types.Hypers
  ) -> types.Nest:
    if not variant.context:
      return context
    return meta_parameters.push_context(
      context, *losses.reward_and_td_error(unroll, hypers['discount'])
    )

  return rules_lib.Rules(
    forward=_forward,
    loss=functools.partial(losses.actor_critic_loss, **targets),
    outer_objective=functools.partial(
      outer.OBJECTIVES[variant.outer],
      settings=outer.Settings(
        discount=0.99,
        lambda_=1.0,
        entropy_cost=variant.outer_entropy_cost,
        targets=targets,
      ),
    ),
    hypers=lambda logits, unroll: meta_parameters.hypers(logits, fixed, BOUNDS),
    conditioning=lambda logits: None,
    optimizer=optimizers.sgd(),
    meta_optimizer=optimizers.adam(epsilon=1e-4),
    max_gradient_norm=_MAX_GRADIENT_NORM,
    meta_learning_rate=1e-3,
    trace_decay=0.0,
    reference_hypers={**fixed, 'entropy_cost': variant.outer_entropy_cost},
    logits=meta_parameters.logits,
    next_context=next_context,
  )


def init(variant: Variant, seed: int, num_seeds: int) -> Training:
  """S agents before their first update, and what they learn from then."""
  eta: Any = {}
  if variant.learned:
    eta = meta_parameters.init({'entropy_cost': variant.entropy_cost}, BOUNDS)
  context: types.Nest = ()
  if variant.context:
    eta = meta_parameters.init_meta_network(eta, seed)
    context = meta_parameters.init_context()
  params = colour_world.init_params(seed, num_seeds)
  one = tf.nest.map_structure(lambda p: p[0], params)
  states = tf.nest.map_structure(
    lambda x: tf.repeat(x[tf.newaxis], num_seeds, axis=0),
    meta.init(make_rules(variant), one, eta, context),
  )._replace(params=params)
  uniform = tf.random.stateless_uniform((num_seeds, 3), (seed, 1))
  world = colour_world.World(colour_world.draw_cells(uniform), tf.constant(0))
  return Training(
    states, *colour_world.act(params, world, tf.constant([seed, 2]))
  )


def update(
  training: Training, seed: tf.Tensor, variant: Variant
) -> tuple[Training, Seen]:
  """One meta-update of all seeds, and the steps that it takes.

  Each unroll is acted by the parameters that learn from it: inner updates are
  made as acting goes on, and `meta.update` makes them again.

  seed: [2].
  """
  rules = make_rules(variant)

  def learn(
    arguments: tuple[types.LearnerState, outer.Learned, types.Nest],
  ) -> tuple[outer.Learned, tf.Tensor]:
    state, learned, unroll = arguments
    logits = rules.logits(state.eta, state.context)
    updated = inner.update(
      learned.params,
      learned.opt_state,
      logits,
      unroll,
      _LEARNING_RATE,
      rules=rules,
      live_targets=False,
    )
    cost = rules.hypers(logits, unroll)['entropy_cost']
    return outer.Learned(updated.params, updated.opt_state), cost + tf.zeros([])

  def update_one(
    arguments: tuple[types.LearnerState, list[types.Nest]],
  ) -> types.LearnerState:
    state, (unroll, *meta_unrolls) = arguments
    meta_unrolls = meta_unrolls if variant.learned else []
    return meta.update(
      state, [unroll], meta_unrolls, _LEARNING_RATE, rules=rules
    )[0]

  states, world, unroll = training.states, training.world, training.unroll
  unrolls, rewards = [unroll], []
  learned = outer.Learned(states.params, states.opt_state)
  for act_seed in tf.unstack(tf.random.split(seed, variant.num_meta_unrolls)):
    learned, costs = tf.vectorized_map(learn, (states, learned, unrolls[-1]))
    world, unroll = colour_world.act(learned.params, world, act_seed)
    unrolls.append(unroll)
    rewards.append(tf.reduce_sum(unroll.env_outputs.reward, axis=[1, 2]))
  states = tf.vectorized_map(update_one, (states, unrolls))
  return Training(states, world, unroll), Seen(tf.add_n(rewards), costs)


def learn(
  variant: Variant,
  seed: int,
  num_seeds: int,
  num_rows: int,
  bar: 'tqdm.tqdm[Any]',
) -> Seen:
  """Trains all seeds of a variant; a row each ROW_STEPS steps."""
  steps = colour_world.UNROLL_LENGTH * variant.num_meta_unrolls
  num_updates = ROW_STEPS // steps

  def block(training: Training, row: tf.Tensor) -> tuple[Training, Seen]:
    def body(
      k: tf.Tensor, training: Training, total: Seen
    ) -> tuple[tf.Tensor, Training, Seen]:
      training, seen = update(training, tf.stack([seed, k]), variant)
      return k + 1, training, tf.nest.map_structure(tf.add, total, seen)

    start, zeros = row * num_updates, tf.zeros([num_seeds])
    _, training, total = tf.while_loop(
      lambda k, *_: k < start + num_updates,
      body,
      (start, training, Seen(zeros, zeros)),
    )
    mean_cost = total.entropy_cost / num_updates
    return training, total._replace(entropy_cost=mean_cost)

  compiled = tf.function(block, autograph=False, jit_compile=True)
  training = init(variant, seed, num_seeds)
  rows = []
  for row in range(num_rows):
    training, seen = compiled(training, tf.constant(row))
    rows.append(tf.nest.map_structure(np.asarray, seen))
    bar.update(ROW_STEPS)
  return Seen(*(np.stack(column) for column in zip(*rows)))


def run(flag_values: flags.FlagValues, out: pathlib.Path) -> None:
  """Trains all variants, writes tables and the figure, prints the end."""
  total = len(VARIANTS) * NUM_ROWS * ROW_STEPS
  with tqdm.tqdm(total=total, unit='step', unit_scale=True) as bar:
    curves = {
      name: learn(variant, flag_values.seed, flag_values.seeds, NUM_ROWS, bar)
      for name, variant in VARIANTS.items()
    }
  write(curves, out)


def write(curves: Mapping[str, Seen], out: pathlib.Path) -> None:
  """Writes tables and the figure, prints the end."""
  tables.write(
    out / 'curves.csv',
    ('variant', 'seed', 'step', 'total_return', 'entropy_cost'),
    (
      (
        name,
        i,
        (k + 1) * ROW_STEPS,
        f'{total_return:.0f}',
        f'{seen.entropy_cost[k, i]:.4f}',
      )
      for name, seen in curves.items()
      for (k, i), total_return in np.ndenumerate(np.cumsum(seen.rewards, 0))
    ),
  )
  tables.write(
    out / 'final.csv',
    ('variant', 'seed', 'name', 'value'),
    (
      (name, i, 'total_return', f'{value:.0f}')
      for name, seen in curves.items()
      for i, value in enumerate(np.sum(seen.rewards, axis=0))
    ),
  )
  small_figures.return_and_entropy_cost(
    curves, PUBLISHED, ROW_STEPS, colour_world.FLIP_EVERY
  ).savefig(out / 'two_colours.png', dpi=150)
  for name, seen in curves.items():
    per_step = np.sum(seen.rewards, axis=0) / len(seen.rewards) / ROW_STEPS
    mean, low, high = (f'{x:.4f}' for x in estimates.mean(per_step))
    print(
      f'{name}: return per step {mean} [{low}, {high}], published'
      f' {PUBLISHED[name]:.3f} over 10 million steps'
    )
