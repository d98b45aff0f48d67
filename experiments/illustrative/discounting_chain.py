"""A learned discount on the discounting chain (bsuite; Bonnet et al. 2022).

The first of five actions decides after how many steps the only reward of an
episode comes. All but one pay 1; the one that pays 1.1 pays late, and is the
best only from a discount of .9967 on. The critics are the true values: of the
learned discount, and for an outer critic of the discount of the outer
objective. What else learns is the agent's: `meta.update`, its losses and its
outer objectives.
"""

from collections.abc import Iterator, Mapping
import functools
import pathlib
from typing import Any, NamedTuple

from absl import flags

from learner import quiet_tensorflow  # noqa: F401 isort: skip, the first.
import numpy as np
import tensorflow as tf
import tqdm

from experiments.illustrative import small_figures
from experiments.illustrative import tables
from seed_metagrad import config as config_lib
from seed_metagrad import losses
from seed_metagrad import optimizers
from seed_metagrad import types
from seed_metagrad.meta_gradients import meta
from seed_metagrad.meta_gradients import meta_parameters
from seed_metagrad.meta_gradients import outer
from seed_metagrad.meta_gradients import rules as rules_lib

# By action: what it pays, and after how many steps.
REWARDS = np.array([1.0, 1.0, 1.0, 1.1, 1.0], np.float32)
REWARD_STEPS = np.array([1, 3, 10, 30, 100])
_LENGTH = 100  # Steps of an episode.
BATCH_SIZE = 128  # Episodes an update.
BOUNDS = {'discount': config_lib.Bounds(0.9, 1.0)}
START = 0.95
REFERENCE: types.Hypers = {
  'discount': 1.0,
  'lambda_': 0.0,
  'policy_cost': 1.0,
  'baseline_cost': 0.0,
  'entropy_cost': 0.005,
}
# A loss is a sum here; .5 is for its mean over episodes and their steps.
LEARNING_RATE = 0.5 / (BATCH_SIZE * _LENGTH)
NUM_UPDATES = 50_000
ROW_EVERY = 1000  # Updates.
VARIANTS = ('fixed', 'mg', 'bmg', 'mg_outer_critic')
# Discount and return at the end (Bonnet et al. 2022).
PUBLISHED = {
  'fixed': (START, 1.0),
  'mg': (0.9, 1.0),
  'bmg': (0.9, 1.0),
  'mg_outer_critic': (1.0, 1.078),
}


class Decisions(NamedTuple):
  """The first actions of B episodes; [S, B] of S seeds."""

  actions: tf.Tensor  # int32 [B].
  policy_logits: tf.Tensor  # [A], of the policy that they are drawn from.


class Training(NamedTuple):
  """S agents, side by side."""

  states: types.LearnerState
  decisions: Decisions  # To learn from next.


class Curves(NamedTuple):
  """What S seeds were like at each of K rows, [K, S]."""

  discount: np.ndarray
  returns: np.ndarray  # The policy's expected undiscounted return.


def true_values(
  policy_logits: tf.Tensor, actions: tf.Tensor, discount: float | tf.Tensor
) -> tf.Tensor:
  """Values before and after the first action, [2, B].

  A reward after n steps is worth gamma^(n - 1) before the first of them, and
  gamma^(n - 2) after it; that of n = 1 is over by then.
  """
  later = tf.constant(REWARD_STEPS > 1)
  steps = tf.constant(REWARD_STEPS, tf.float32)
  discount = tf.convert_to_tensor(discount, tf.float32)
  before = tf.reduce_sum(
    tf.nn.softmax(policy_logits) * REWARDS * discount ** (steps - 1.0)
  )
  after = tf.gather(
    tf.where(later, REWARDS * discount ** (steps - 2.0), 0.0), actions
  )
  return tf.stack([tf.fill(tf.shape(after), before), after])


def unroll(decisions: Decisions) -> types.Unroll[tf.Tensor]:
  """The first step of each episode, [2, B].

  Later steps add nothing: with true values their advantages are 0, and other
  weights choose their actions.
  """
  actions = tf.stack([decisions.actions, decisions.actions])
  at_once = tf.where(decisions.actions == 0, REWARDS[0], 0.0)
  never = tf.zeros_like(actions, tf.bool)
  return types.Unroll(
    memory=(),
    env_outputs=types.EnvOutput(
      reward=tf.stack([tf.zeros_like(at_once), at_once]),
      terminated=never,
      truncated=never,
      life_lost=never,
      observation=(),
    ),
    agent_outputs=types.AgentOutput(
      action=actions,
      policy_logits=tf.broadcast_to(
        decisions.policy_logits, [*actions.shape, len(REWARDS)]
      ),
      baseline=(),
    ),
  )


def _forward(
  params: tf.Tensor,
  unroll: types.Unroll[tf.Tensor],
  conditioning: types.Conditioning,
  outer_critic: bool,
) -> types.NetworkOutput:
  actions = unroll.agent_outputs.action[0]

  def values(discounts: Any) -> Any:
    # Cut here: a critic is no function of the policy's weights.
    return tf.stop_gradient(true_values(params, actions, discounts[0]))

  return types.NetworkOutput(
    policy_logits=tf.broadcast_to(params, [2, *actions.shape, len(REWARDS)]),
    baseline=values(conditioning.values),
    outer_baseline=values(conditioning.reference) if outer_critic else (),
  )


def make_rules(variant: str) -> rules_lib.Rules:
  """The agent's algorithm; a policy of one logit for each first action."""

  def conditioning(logits: types.Eta) -> types.Conditioning:
    # The discounts themselves: what is asked of them here is known.
    learned = meta_parameters.values(logits, BOUNDS)
    now = tf.stop_gradient(learned.get('discount', tf.constant(START)))
    return types.Conditioning(now[tf.newaxis], tf.ones([1]))

  unclipped = float('inf')  # Ratios weigh, no more: the world is this small.
  targets: dict[str, Any] = dict(
    max_abs_reward=0.0, rho_bar=unclipped, c_bar=unclipped, rho_pg=unclipped
  )
  objective = outer.bootstrap if variant == 'bmg' else outer.actor_critic
  settings = outer.Settings(
    discount=1.0,
    lambda_=0.0,
    entropy_cost=0.005,
    meta_batch_size=BATCH_SIZE,
    targets=targets,
  )
  return rules_lib.Rules(
    forward=functools.partial(
      _forward, outer_critic=variant == 'mg_outer_critic'
    ),
    loss=functools.partial(losses.actor_critic_loss, **targets),
    outer_objective=functools.partial(objective, settings=settings),
    hypers=lambda logits, unroll: meta_parameters.hypers(
      logits, {**REFERENCE, 'discount': START}, BOUNDS
    ),
    conditioning=conditioning,
    optimizer=optimizers.sgd(),
    meta_optimizer=optimizers.adam(),
    max_gradient_norm=0.0,
    meta_learning_rate=0.1,
    trace_decay=0.0,
    reference_hypers=REFERENCE,
  )


def decide(policy_logits: tf.Tensor, seed: tf.Tensor) -> Decisions:
  """Draws the first actions of S policies; policy_logits: [S, A]."""
  num_seeds = int(policy_logits.shape[0] or 0)
  drawn = tf.random.stateless_uniform((num_seeds, BATCH_SIZE, 1), seed)
  below = tf.cumsum(tf.nn.softmax(policy_logits), axis=1)[:, tf.newaxis, :-1]
  actions = tf.reduce_sum(tf.cast(drawn >= below, tf.int32), axis=2)
  return Decisions(actions, policy_logits)


def init(variant: str, seed: int, num_seeds: int) -> Training:
  """Uniform policies, and what they do first."""
  learned = {} if variant == 'fixed' else {'discount': START}
  eta = meta_parameters.init(learned, BOUNDS)
  states = tf.nest.map_structure(
    lambda x: tf.repeat(x[tf.newaxis], num_seeds, axis=0),
    meta.init(make_rules(variant), tf.zeros([len(REWARDS)]), eta),
  )
  return Training(states, decide(states.params, tf.constant([seed, 0])))


def update(
  training: Training, seed: tf.Tensor, rules: rules_lib.Rules
) -> Training:
  """One update of all seeds, judged on what they learn from next."""
  later = decide(training.states.params, seed)

  def one(
    arguments: tuple[types.LearnerState, Decisions, Decisions],
  ) -> types.LearnerState:
    state, now, later = arguments
    meta_unrolls = [unroll(later)] if state.eta else []
    state, _ = meta.update(
      state, [unroll(now)], meta_unrolls, LEARNING_RATE, rules=rules
    )
    return state

  states = tf.vectorized_map(one, (training.states, training.decisions, later))
  return Training(states, later)


def learn(
  variant: str,
  seed: int,
  num_seeds: int,
  num_updates: int,
  bar: 'tqdm.tqdm[Any]',
) -> Curves:
  """Trains all seeds of a variant; a row for every ROW_EVERY-th update."""
  rules = make_rules(variant)

  def block(training: Training, done: tf.Tensor) -> Training:
    def body(k: tf.Tensor, training: Training) -> tuple[tf.Tensor, Training]:
      return k + 1, update(training, tf.stack([seed, k]), rules)

    last: Training = tf.while_loop(
      lambda k, _: k <= done + ROW_EVERY, body, (done + 1, training)
    )[1]
    return last

  compiled = tf.function(block, autograph=False, jit_compile=True)
  training = init(variant, seed, num_seeds)
  rows = []
  for done in range(0, num_updates, ROW_EVERY):
    training = compiled(training, tf.constant(done))
    rows.append(_row(training.states))
    bar.update(ROW_EVERY)
  return Curves(*(np.stack(column) for column in zip(*rows)))


def _row(states: types.LearnerState) -> tuple[np.ndarray, np.ndarray]:
  policy = tf.nn.softmax(states.params).numpy()
  values = meta_parameters.values(states.eta, BOUNDS)
  discount = values.get('discount', tf.fill([len(policy)], START))
  return discount.numpy(), policy @ REWARDS


def run(flag_values: flags.FlagValues, out: pathlib.Path) -> None:
  """Trains all variants, writes tables and the figure, prints the end."""
  seed, num_seeds = flag_values.seed, flag_values.seeds
  with tqdm.tqdm(total=len(VARIANTS) * NUM_UPDATES, unit='update') as bar:
    curves = {
      variant: learn(variant, seed, num_seeds, NUM_UPDATES, bar)
      for variant in VARIANTS
    }
  tables.write(
    out / 'curves.csv',
    ('variant', 'seed', 'update', 'discount', 'return'),
    _curve_rows(curves),
  )
  final = [
    (variant, i, name, f'{value:.4f}')
    for variant, of in curves.items()
    for name, table in (('discount', of.discount), ('return', of.returns))
    for i, value in enumerate(table[-1])
  ]
  tables.write(out / 'final.csv', ('variant', 'seed', 'name', 'value'), final)
  small_figures.discount_and_return(curves, PUBLISHED, ROW_EVERY).savefig(
    out / 'discounting_chain.png', dpi=150
  )
  for variant, of in curves.items():
    print(
      f'{variant}: discount {np.mean(of.discount[-1]):.4f}, return'
      f' {np.mean(of.returns[-1]):.4f}; published: {PUBLISHED[variant]}'
    )


def _curve_rows(curves: Mapping[str, Curves]) -> Iterator[tuple[object, ...]]:
  for variant, of in curves.items():
    for k, i in np.ndindex(of.discount.shape):
      yield (
        variant,
        i,
        (k + 1) * ROW_EVERY,
        f'{of.discount[k, i]:.4f}',
        f'{of.returns[k, i]:.4f}',
      )
