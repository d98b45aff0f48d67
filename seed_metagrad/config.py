"""Every default once, with its unit and source; presets; checks.

Sources: [MGRL] Xu et al. 2018, [IMPALA] Espeholt et al. 2018, table G.1,
[C] our choice where the papers are silent.
"""

import dataclasses

LEARNABLE = ('discount', 'lambda_', 'baseline_cost', 'entropy_cost')
STRATEGIES = ('auto', 'one', 'mirrored', 'multi_worker')
NETWORKS = ('mlp', 'shallow', 'nature', 'deep')
GROUPS_PER_ACTOR = 2  # One steps its environments, one waits for actions.


@dataclasses.dataclass(frozen=True)
class Config:
  """One training run. The defaults are the paper's; `preset` changes them."""

  # Task.
  env: str = 'pong'  # ale-py's game name, catch, chain, or gym:<id>.
  learned: tuple[str, ...] = ('discount', 'lambda_')  # () is plain IMPALA.
  total_env_frames: int = 200_000_000  # With action repeat [MGRL].
  seed: int = 1  # The one root of every other seed.

  # Network.
  network: str = 'deep'  # [MGRL]; see NETWORKS.
  conditioning: bool = True  # UVFA: the heads see the learned hypers [MGRL].
  embedding_size: int = 16  # Of the learned hypers [MGRL].

  # Inner loss: the value of a fixed hyper, the start of a learned one.
  discount: float = 0.99  # [IMPALA]; a learned one's start: give gamma' [C].
  lambda_: float = 1.0  # [IMPALA]; learned, it starts at most at .99 [C].
  baseline_cost: float = 0.5  # [IMPALA], with the 1/2 of the square inside.
  entropy_cost: float = 0.01  # [IMPALA].
  rho_bar: float = 1.0  # Clip of the ratio in V-trace's delta [IMPALA].
  c_bar: float = 1.0  # Clip of the ratio in V-trace's trace [IMPALA].
  rho_pg: float = 1.0  # Clip of the policy gradient's ratio [IMPALA].
  policy_target: str = 'lambda'  # [C] or 'vtrace': IMPALA's r + gamma v_{t+1}.
  max_abs_reward: float = 1.0  # Clip of rewards in the loss; 0 is none.

  # Meta-objective: J' on later unrolls, with fixed eta'.
  reference_discount: float = 0.99  # gamma' [MGRL: .99 or .995].
  reference_lambda: float = 1.0  # lambda' [MGRL].
  meta_batch_size: int = 8  # B' unrolls of the next batch [MGRL].
  meta_optimizer: str = 'adam'  # [MGRL], or 'sgd'.
  meta_learning_rate: float = 0.001  # On the logits [MGRL].
  trace_decay: float = 0.0  # mu of MGRL; 0 on Atari [MGRL].
  inner_updates: int = 1  # Inner updates per meta-update [MGRL].

  # Inner optimizer.
  optimizer: str = 'rmsprop'  # [IMPALA], or 'adam'.
  learning_rate: float = 6e-4  # [IMPALA].
  final_learning_rate: float = 0.0  # Of the linear decay over the run [IMPALA].
  rms_decay: float = 0.99  # [IMPALA].
  rms_epsilon: float = 0.1  # Inside the root [MGRL]; [IMPALA] has .01.
  max_gradient_norm: float = 40.0  # Of the summed loss [IMPALA]; 0 is none.
  unroll_length: int = 20  # T, env steps [IMPALA].
  batch_size: int = 32  # B, unrolls of an update [IMPALA].

  # Actors.
  num_actors: int = 80  # Processes that `train` starts here [MGRL].
  envs_per_group: int = 1  # Of the GROUPS_PER_ACTOR groups of an actor.
  env_threads: int = 1  # Of one actor process, for Atari.
  sticky_actions: float = 0.0  # Probability [the 2018 papers: none].

  # Learner.
  inference_min_envs: int = 1  # A batch waits for these, until the time-out.
  inference_max_envs: int = 256  # A batch never holds more.
  inference_timeout_ms: float = 5.0
  queue_unrolls: int = 64  # Finished unrolls that may wait: back-pressure.
  strategy: str = 'auto'  # Or one, mirrored, multi_worker; auto: all GPUs.
  xla: bool = False  # Slower on the CPUs tried: benchmarks/README.md.

  # Files and faults.
  workdir: str = 'runs/default'
  checkpoint_secs: float = 300.0
  checkpoints_kept: int = 3
  metrics_secs: float = 10.0  # Between rows of metrics.csv and TensorBoard.
  lease_secs: float = 60.0  # A silent actor's environments are freed then.
  max_skipped_updates: int = 10  # Non-finite updates in a row before the end.
  lockstep: bool = False  # Deterministic: acting and learning take turns.


# `local` is for 2 cores. A run there has a hundredth of the paper's frames, so
# the number of updates, the size of a step and the noise in it decide; the runs
# are in results/pong. Batches of 4 unrolls, and an epsilon below the squared
# gradients, so that the steps are normalised ones: Pong rises from 2M frames
# on, with batches of 8 from 3.5M. A lambda of .95 makes returns less noisy, and
# an entropy cost of .01 keeps the policy near uniform: with both changed Pong
# is at -7 after 7M frames, where it was at -14. A learning rate that falls to
# half and not to 0: 13 after 12M, where it was -4.
PRESETS = {
  'paper': {},
  'local': dict(
    network='shallow',
    total_env_frames=14_000_000,
    lambda_=0.95,
    entropy_cost=0.002,
    final_learning_rate=3e-4,
    rms_epsilon=3e-5,
    batch_size=4,
    meta_batch_size=1,  # A quarter of the batch, as in the paper.
    num_actors=1,
    envs_per_group=16,
    env_threads=2,
    queue_unrolls=16,  # One unroll of a group's environments.
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
    num_actors=2,
    envs_per_group=8,
    queue_unrolls=16,
    checkpoint_secs=10.0,
    metrics_secs=1.0,
  ),
}


def preset(name: str, **overrides) -> Config:
  """The named preset with some fields replaced, checked.

  Raises:
    ValueError: an unknown preset, or a value out of its range.
  """
  if name not in PRESETS:
    raise ValueError(f'preset must be one of {sorted(PRESETS)}, got {name!r}.')
  config = Config(**{**PRESETS[name], **overrides})
  check(config)
  return config


def _require(holds: bool, name: str, what: str, config: Config):
  if not holds:
    raise ValueError(f'{name} must be {what}, got {getattr(config, name)!r}.')


def check(config: Config):
  """Raises ValueError with the value received where a field is impossible."""
  for name in (
    'total_env_frames',
    'embedding_size',
    'meta_batch_size',
    'inner_updates',
    'unroll_length',
    'batch_size',
    'num_actors',
    'envs_per_group',
    'env_threads',
    'inference_min_envs',
    'queue_unrolls',
    'checkpoints_kept',
    'max_skipped_updates',
  ):
    _require(getattr(config, name) >= 1, name, 'at least 1', config)
  for name in (
    'baseline_cost',
    'entropy_cost',
    'learning_rate',
    'rho_bar',
    'final_learning_rate',
    'c_bar',
    'rho_pg',
    'max_abs_reward',
    'meta_learning_rate',
    'max_gradient_norm',
    'inference_timeout_ms',
    'seed',
  ):
    _require(getattr(config, name) >= 0, name, 'at least 0', config)
  for name in ('checkpoint_secs', 'metrics_secs', 'lease_secs', 'rms_epsilon'):
    _require(getattr(config, name) > 0, name, 'above 0', config)
  for name in (
    'discount',
    'lambda_',
    'reference_discount',
    'reference_lambda',
    'trace_decay',
    'rms_decay',
    'sticky_actions',
  ):
    _require(0 <= getattr(config, name) <= 1, name, 'in [0, 1]', config)
  choices = {
    'network': NETWORKS,
    'policy_target': ('lambda', 'vtrace'),
    'meta_optimizer': ('adam', 'sgd'),
    'optimizer': ('rmsprop', 'adam'),
    'strategy': STRATEGIES,
  }
  for name, values in choices.items():
    _require(getattr(config, name) in values, name, f'one of {values}', config)
  known = [name for name in LEARNABLE if name in config.learned]
  _require(
    sorted(known) == sorted(config.learned),
    'learned',
    f'different names out of {LEARNABLE}',
    config,
  )
  _require(
    config.meta_batch_size <= config.batch_size,
    'meta_batch_size',
    f'at most batch_size ({config.batch_size})',
    config,
  )
  _require(
    config.inference_min_envs <= config.inference_max_envs,
    'inference_min_envs',
    'at most inference_max_envs',
    config,
  )
