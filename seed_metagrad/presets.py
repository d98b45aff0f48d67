"""Configs by name: the fields in which they differ from the defaults."""

from typing import Any

# `paper` has the 80 environments of MGRL in 20 groups of 4, not in 80
# processes: to the learner an environment in a message of 4 costs a third of
# one in a message of its own (results/benchmarks).
#
# `local` is for 2 cores. A run there has a hundredth of the paper's frames, so
# the number of updates, the size of a step and the noise in it decide; the runs
# are in results/pong. Batches of 4 unrolls, and an epsilon below the squared
# gradients, so that the steps are normalised ones: Pong rises from 2M frames
# on, with batches of 8 from 3.5M. A lambda of .95 makes returns less noisy, and
# an entropy cost of .01 keeps the policy near uniform: with both changed Pong
# is at -7 after 7M frames, where it was at -14. A learning rate that falls to
# half and not to 0: 13 after 12M, where it was -4. The meta learning rate of
# MGRL, .001, moves a logit no further than noise in such a run: ten times that,
# as many unrolls in the meta-objective as in the batch, and a trace, by which
# each is held against the updates of some ten batches. lambda' is
# lambda's: with 1 the return of one seed fell behind (results/breakout).
#
# `control` is for Gymnasium's small tasks, with discrete and with continuous
# actions; ours. Rewards are scaled, as the value's gradient is all of it with
# Pendulum's, which are up to -16; results/control has what it does.
#
# `snake` has the published settings of Bonnet et al. 2022: 512 environments, an
# update for every 5 steps of them all, and as many unrolls in the
# meta-objective, which the updated parameters act (lock-step, and a fresh
# sample). RMSProp's decay and epsilon are ours.
#
# `stacx` is `local` with two auxiliary heads and all that STACX learns, from
# near the outer loss's values; their Atari settings of the outer loss. `bmg` is
# `local` with BMG's objective on the discount and lambda.
#
# `minatar` has the network, discount, entropy cost, first lambda and frames of
# the actor-critic of Young and Tian 2019; batches and Adam, which their agent
# does not have, are ours. In lock-step, with a trace and no clip in J', as the
# policy that acts is some updates old: the clip would bias where eta goes
# (docs/meta_gradients.md).
PRESETS: dict[str, dict[str, Any]] = {
  'paper': {},
  'local': dict(
    network='shallow',
    total_env_frames=14_000_000,
    lambda_=0.95,
    entropy_cost=0.002,
    final_learning_rate=3e-4,
    rms_epsilon=3e-5,
    batch_size=4,
    meta_batch_size=4,
    meta_learning_rate=0.01,
    trace_decay=0.9,
    reference_lambda=0.95,
    outer_critic='head',
    num_actors=1,
    envs_per_group=16,
    env_threads=2,
    queue_unrolls=8,  # T and T' of the next update: unrolls come one by one.
  ),
  'smoke': dict(
    env='catch',
    network='mlp',
    total_env_frames=100_000,
    optimizer='adam',
    learning_rate=2e-3,
    entropy_cost=0.002,  # With .01 it goes on missing balls.
    batch_size=8,
    meta_batch_size=8,
    outer_critic='head',
    num_actors=2,
    envs_per_group=8,
    queue_unrolls=16,
    checkpoint_secs=10.0,
    metrics_secs=1.0,
  ),
  'control': dict(
    env='gym:Pendulum-v1',
    network='mlp',
    learned=('lambda_', 'entropy_cost'),
    total_env_frames=1_000_000,
    discount=0.9,
    lambda_=0.95,
    reference_discount=0.9,
    outer_entropy_cost=0.02,
    reward_scale=0.1,
    max_abs_reward=0.0,
    optimizer='adam',
    learning_rate=1e-3,
    batch_size=16,
    meta_batch_size=16,
    meta_learning_rate=0.01,
    outer_critic='head',
    num_actors=2,
    envs_per_group=16,
    queue_unrolls=32,
  ),
  'snake': dict(
    env='snake',
    network='snake',
    learned=('discount',),
    conditioning=False,
    total_env_frames=75_000_000,
    discount=0.8,
    lambda_=0.95,
    baseline_cost=1.0,  # Theirs is .5, of a square without the 1/2.
    reference_discount=1.0,
    reference_lambda=1.0,
    meta_batch_size=512,
    meta_sample='fresh',
    max_meta_gradient_norm=0.1,
    outer_critic='head',
    meta_learning_rate=3e-3,
    learning_rate=5e-4,
    final_learning_rate=5e-4,
    rms_decay=0.9,
    rms_epsilon=1e-5,
    max_gradient_norm=0.0,  # No clip.
    unroll_length=5,
    batch_size=512,
    num_actors=1,
    envs_per_group=256,
    lockstep=True,
  ),
  'minatar': dict(
    env='minatar:breakout',
    network='minatar',
    learned=('lambda_',),
    conditioning=False,
    total_env_frames=5_000_000,
    lambda_=0.8,
    meta_batch_size=16,
    meta_sample='fresh',
    outer_rho_pg=1000.0,
    trace_decay=0.9,
    meta_learning_rate=0.01,
    optimizer='adam',
    learning_rate=3e-3,
    final_learning_rate=3e-3,
    max_gradient_norm=0.0,  # No clip.
    batch_size=16,
    num_actors=1,
    envs_per_group=32,
    lockstep=True,
  ),
}


PRESETS['stacx'] = PRESETS['local'] | dict(
  learned=(
    'discount',
    'lambda_',
    'policy_cost',
    'baseline_cost',
    'entropy_cost',
    'leak',
  ),
  conditioning=False,
  lambda_=1.0,
  entropy_cost=0.002,
  reference_discount=0.995,
  outer='actor_critic',
  outer_critic='none',
  outer_baseline_cost=0.25,
  baseline_cost=0.25,
  outer_entropy_cost=0.002,  # Theirs, .01, keeps `local` near uniform.
  meta_sample='same',
  meta_learning_rate=1e-3,
  trace_decay=0.0,
  reference_lambda=1.0,
  auxiliary_heads=2,
)
PRESETS['bmg'] = PRESETS['local'] | dict(
  outer='bootstrap',
  outer_entropy_cost=0.002,
  meta_learning_rate=1e-3,
  trace_decay=0.0,
  reference_lambda=1.0,
)
