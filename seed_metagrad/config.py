"""Every default once, with its unit and source; presets; checks.

Sources: [MGRL] Xu et al. 2018, [IMPALA] Espeholt et al. 2018, table G.1,
[C] our choice where the papers are silent.
"""

import dataclasses
from typing import Any, TypeVar

LEARNABLE = ('discount', 'lambda_', 'baseline_cost', 'entropy_cost')
STRATEGIES = ('auto', 'one', 'mirrored', 'multi_worker')
NETWORKS = ('mlp', 'shallow', 'nature', 'deep')
GROUPS_PER_ACTOR = 2  # One steps its environments, one waits for actions.


_Value = TypeVar('_Value')


def _field(default: _Value, text: str) -> _Value:
  """A field with its help text: what it is, its unit and its source."""
  field: _Value = dataclasses.field(default=default, metadata={'help': text})
  return field


@dataclasses.dataclass(frozen=True)
class Config:
  """One training run. The defaults are the paper's; `preset` changes them."""

  # Task.
  env: str = _field(
    'pong', "Environment: ale-py's name of a game, catch, chain, or gym:<id>."
  )
  learned: tuple[str, ...] = _field(
    ('discount', 'lambda_'), 'Meta-parameters; none is plain IMPALA.'
  )
  total_env_frames: int = _field(
    200_000_000, 'Frames to train for, action repeat included [MGRL].'
  )
  seed: int = _field(1, 'Root of every other seed.')

  # Network.
  network: str = _field(
    'deep', f'Network [MGRL], one of {", ".join(NETWORKS)}.'
  )
  conditioning: bool = _field(
    True, 'Heads that see the meta-parameters: UVFA [MGRL].'
  )
  embedding_size: int = _field(
    16, 'Units of the embedding of the meta-parameters [MGRL].'
  )

  # Inner loss.
  discount: float = _field(
    0.99, 'Discount [IMPALA], or the initial value of a learned one [C].'
  )
  lambda_: float = _field(
    1.0,
    'Lambda of the returns [IMPALA], or the initial value of a learned one, '
    'at most .99 [C].',
  )
  baseline_cost: float = _field(
    0.5, 'Weight of the value loss, which has a 1/2 of its own [IMPALA].'
  )
  entropy_cost: float = _field(0.01, 'Weight of the entropy bonus [IMPALA].')
  rho_bar: float = _field(
    1.0, "Clip of the importance ratio in V-trace's delta [IMPALA]."
  )
  c_bar: float = _field(
    1.0, "Clip of the importance ratio in V-trace's trace [IMPALA]."
  )
  rho_pg: float = _field(
    1.0, 'Clip of the importance ratio in the policy gradient [IMPALA].'
  )
  policy_target: str = _field(
    'lambda',
    "Return of the policy gradient: lambda [C], or vtrace, IMPALA's one-step "
    'r + gamma v_{t+1}.',
  )
  max_abs_reward: float = _field(1.0, 'Clip of rewards in the loss (0: none).')

  # Meta-objective: J' on later unrolls, with fixed eta'.
  reference_discount: float = _field(
    0.99, "Discount of the meta-objective, gamma' [MGRL: .99 or .995]."
  )
  reference_lambda: float = _field(
    1.0, "Lambda of the meta-objective, lambda' [MGRL]."
  )
  meta_batch_size: int = _field(
    8, "Unrolls of the next batch in the meta-objective, B' [MGRL]."
  )
  meta_optimizer: str = _field('adam', 'Meta-optimizer: adam [MGRL] or sgd.')
  meta_learning_rate: float = _field(
    0.001, 'Learning rate of the logits of the meta-parameters [MGRL].'
  )
  trace_decay: float = _field(0.0, 'Decay of the trace, mu; 0 on Atari [MGRL].')
  inner_updates: int = _field(1, 'Inner updates per meta-update [MGRL].')

  # Inner optimizer.
  optimizer: str = _field('rmsprop', 'Optimizer: rmsprop [IMPALA] or adam.')
  learning_rate: float = _field(
    6e-4, 'Learning rate at the start of its linear decay [IMPALA].'
  )
  final_learning_rate: float = _field(0.0, 'Learning rate at the end [IMPALA].')
  rms_decay: float = _field(
    0.99, "Decay of RMSProp's mean of squared gradients [IMPALA]."
  )
  rms_epsilon: float = _field(
    0.1, 'Epsilon of RMSProp, inside the root [MGRL]; .01 in [IMPALA].'
  )
  max_gradient_norm: float = _field(
    40.0, "Clip of the summed loss's global gradient norm [IMPALA] (0: none)."
  )
  unroll_length: int = _field(20, 'Env steps of an unroll, T [IMPALA].')
  batch_size: int = _field(32, 'Unrolls of an update, B [IMPALA].')

  # Actors.
  num_actors: int = _field(
    80, 'Actor processes that `train` starts on this machine [MGRL].'
  )
  envs_per_group: int = _field(
    1, f'Environments in each of the {GROUPS_PER_ACTOR} groups of an actor.'
  )
  env_threads: int = _field(1, 'Threads of an actor that step Atari games.')
  sticky_actions: float = _field(
    0.0,
    'Probability that a frame repeats the last action, Atari only (the 2018 '
    'papers: 0).',
  )

  # Learner.
  inference_min_envs: int = _field(
    1, 'Environments that a batch of inference waits for, until the timeout.'
  )
  inference_max_envs: int = _field(256, 'Most environments in a batch.')
  inference_timeout_ms: float = _field(
    5.0, 'Longest wait for a batch of inference, milliseconds.'
  )
  queue_unrolls: int = _field(
    64, 'Finished unrolls that may wait; actors wait where it is full.'
  )
  strategy: str = _field(
    'auto',
    'Devices of the update: auto (all GPUs), one, mirrored, multi_worker.',
  )
  xla: bool = _field(False, 'XLA for the update; slower on the CPUs tried.')

  # Files and faults.
  workdir: str = _field('runs/default', 'Folder of the run.')
  checkpoint_secs: float = _field(300.0, 'Seconds between checkpoints.')
  checkpoints_kept: int = _field(3, 'Newest checkpoints that are kept.')
  metrics_secs: float = _field(
    10.0, 'Seconds between rows of metrics.csv and TensorBoard.'
  )
  lease_secs: float = _field(
    60.0, 'Silence after which the slots of an actor are freed, seconds.'
  )
  max_skipped_updates: int = _field(
    10, 'Non-finite updates in a row that end the run.'
  )
  lockstep: bool = _field(
    False, 'Deterministic training: acting and learning take turns.'
  )

  def env_settings(self) -> dict[str, float]:
    """Returns the settings of the environment that are not its defaults."""
    if not self.sticky_actions:
      return {}
    return {'sticky_actions': self.sticky_actions}


# `local` is for 2 cores. A run there has a hundredth of the paper's frames, so
# the number of updates, the size of a step and the noise in it decide; the runs
# are in results/pong. Batches of 4 unrolls, and an epsilon below the squared
# gradients, so that the steps are normalised ones: Pong rises from 2M frames
# on, with batches of 8 from 3.5M. A lambda of .95 makes returns less noisy, and
# an entropy cost of .01 keeps the policy near uniform: with both changed Pong
# is at -7 after 7M frames, where it was at -14. A learning rate that falls to
# half and not to 0: 13 after 12M, where it was -4.
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


def preset(name: str, **overrides: Any) -> Config:
  """The named preset with some fields replaced, checked.

  Raises:
    ValueError: an unknown preset, or a value out of its range.
  """
  if name not in PRESETS:
    raise ValueError(f'preset must be one of {sorted(PRESETS)}, got {name!r}.')
  config = Config(**{**PRESETS[name], **overrides})
  check(config)
  return config


def _require(holds: bool, name: str, what: str, config: Config) -> None:
  if not holds:
    raise ValueError(f'{name} must be {what}, got {getattr(config, name)!r}.')


def check(config: Config) -> None:
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
