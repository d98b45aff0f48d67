"""Every default once, with its unit and source; checks.

Sources: [MGRL] Xu et al. 2018, [IMPALA] Espeholt et al. 2018, table G.1, [STAC]
Zahavy et al. 2020, [OC] Bonnet et al. 2022, [BMG] Flennerhag et al. 2022, [LUK]
Luketina et al. 2022, [C] our choice where the papers are silent.
"""

from collections.abc import Sequence
import dataclasses
import json
from typing import Any, NamedTuple, TypeVar

from seed_metagrad import presets

TRACKERS = ('wandb', 'trackio')
STRATEGIES = ('auto', 'one', 'mirrored', 'multi_worker')
MAX_ENVS = 4096  # Slots of a learner for actors' environments: bounds memory.
GROUPS_PER_ACTOR = 2  # One steps its environments, one waits for actions.

_Value = TypeVar('_Value')


class Bounds(NamedTuple):
  """What the value of a meta-parameter stays inside of."""

  low: float
  high: float


class Learnable(NamedTuple):
  """The bounds of a field that can be learned, before the config is known.

  high: a number, or the name of the field that holds it. relative: whether
  both are multiples of the field's own value.
  """

  low: float = 0.0
  high: float | str = 1.0
  relative: bool = False


def _field(
  default: _Value,
  text: str,
  *,
  low: float | None = None,
  above: float | None = None,
  high: float | None = None,
  choices: Sequence[str] = (),
  learned: Learnable | None = None,
) -> _Value:
  """One row of the config.

  text: what the field is, its unit and its source. low, above, high: its range;
  `above` is not in it. learned: the bounds of a field that can be learned.
  """
  metadata = dict(
    help=text, low=low, above=above, high=high, choices=choices, learned=learned
  )
  field: _Value = dataclasses.field(default=default, metadata=metadata)
  return field


@dataclasses.dataclass(frozen=True)
class Config:
  """One training run. The defaults are the paper's; `preset` changes them."""

  # Task.
  env: str = _field(
    'pong',
    "Environment: ale-py's name of a game, catch, chain, recall, snake, "
    'minatar:<game>, or gym:<id>.',
  )
  learned: tuple[str, ...] = _field(
    ('discount', 'lambda_'), 'Meta-parameters; none is plain IMPALA.'
  )
  total_env_frames: int = _field(
    200_000_000, 'Frames to train for, action repeat included [MGRL].', low=1
  )
  seed: int = _field(1, 'Root of every other seed.', low=0)

  # Network.
  network: str = _field(
    'deep',
    'Network [MGRL]: mlp, shallow, nature, deep, minatar, snake, or auto, '
    "which fits the observation and is taken where the preset's does not.",
  )
  conditioning: bool = _field(
    True, 'Heads that see the meta-parameters: UVFA [MGRL].'
  )
  embedding_size: int = _field(
    16, 'Units of the embedding of the meta-parameters [MGRL].', low=1
  )
  core: str = _field(
    'none',
    'Memory between torso and heads: none [MGRL], or lstm [IMPALA].',
    choices=('none', 'lstm'),
  )
  core_units: int = _field(256, 'Units of the LSTM [IMPALA].', low=1)
  core_sees_action: bool = _field(
    True, 'Whether it sees the action before and its clipped reward [IMPALA].'
  )

  # Inner loss.
  discount: float = _field(
    0.99,
    'Discount [IMPALA], or the initial value of a learned one [C].',
    low=0,
    high=1,
    learned=Learnable(high='max_discount'),
  )
  max_discount: float = _field(
    1.0,
    "Upper bound of a learned discount [C]; gamma' ends it where the outer "
    'objective ends.',
    low=0,
    high=1,
  )
  lambda_: float = _field(
    1.0,
    'Lambda of the returns [IMPALA], or the initial value of a learned one, '
    'from 1 at .99 [C].',
    low=0,
    high=1,
    learned=Learnable(),
  )
  policy_cost: float = _field(
    1.0,
    'Weight of the policy-gradient loss [IMPALA].',
    low=0,
    learned=Learnable(high='outer_policy_cost'),
  )
  baseline_cost: float = _field(
    0.5,
    'Weight of the value loss, which has a 1/2 of its own [IMPALA].',
    low=0,
    learned=Learnable(high='outer_baseline_cost'),
  )
  entropy_cost: float = _field(
    0.01,
    'Weight of the entropy bonus [IMPALA].',
    low=0,
    learned=Learnable(high='outer_entropy_cost'),
  )
  leak: float = _field(
    1.0,
    'Share of the clipped importance ratio in leaky V-trace, alpha (1: '
    'V-trace) [STAC].',
    low=0,
    high=1,
    learned=Learnable(),
  )
  rho_bar: float = _field(
    1.0, "Clip of the importance ratio in V-trace's delta [IMPALA].", low=0
  )
  c_bar: float = _field(
    1.0, "Clip of the importance ratio in V-trace's trace [IMPALA].", low=0
  )
  rho_pg: float = _field(
    1.0, 'Clip of the importance ratio in the policy gradient [IMPALA].', low=0
  )
  policy_target: str = _field(
    'lambda',
    "Return of the policy gradient: lambda [C], or vtrace, IMPALA's one-step "
    'r + gamma v_{t+1}.',
    choices=('lambda', 'vtrace'),
  )
  reward_scale: float = _field(
    1.0, 'What rewards are multiplied by in the loss.', above=0
  )
  max_abs_reward: float = _field(1.0, 'Clip of these rewards (0: none).', low=0)

  # Outer objective: J' on later unrolls, with fixed eta'.
  reference_discount: float = _field(
    0.99,
    "Discount of the outer objective, gamma' [MGRL: .99 or .995].",
    low=0,
    high=1,
  )
  reference_lambda: float = _field(
    1.0, "Lambda of the outer objective, lambda' [MGRL].", low=0, high=1
  )
  outer: str = _field(
    'policy_gradient',
    'Outer objective: policy_gradient [MGRL], actor_critic [STAC] or bootstrap '
    '[BMG].',
  )
  outer_rho_pg: float = _field(
    1.0,
    "Clip of the importance ratio in J' [C: its own]; 1 biases the "
    "meta-gradient where theta' does not act in tau'.",
    low=0,
  )
  outer_policy_cost: float = _field(
    1.0,
    'Weight of the policy gradient in actor_critic and in the plain step of '
    'bootstrap; high bound of a learned policy_cost [STAC].',
    low=0,
  )
  outer_baseline_cost: float = _field(
    0.5,
    'Weight of the value loss there; high bound of a learned baseline_cost '
    '[STAC: .25].',
    low=0,
  )
  outer_entropy_cost: float = _field(
    0.01,
    'Weight of the entropy bonus there; high bound of a learned entropy_cost '
    '[STAC].',
    low=0,
  )
  outer_kl_cost: float = _field(
    1.0, "Weight of KL(theta' || theta) in actor_critic [STAC].", low=0
  )
  bootstrap_updates: int = _field(
    1, 'Updates from theta to the target of bootstrap, L [BMG].', low=1
  )
  bootstrap_value_cost: float = _field(
    0.0, 'Weight of the matching of values in bootstrap [BMG: 0].', low=0
  )
  outer_critic: str = _field(
    'none',
    "Critic of the meta-objective alone, at gamma' and lambda': none [MGRL], "
    'head, network [OC] or conditioned [C].',
    choices=('none', 'head', 'network', 'conditioned'),
  )
  outer_critic_cost: float = _field(
    0.5, "Weight of the outer critic's loss [OC].", low=0
  )
  meta_sample: str = _field(
    'later',
    "Sample of the meta-objective, tau': later [MGRL]; fresh, a later one that "
    "is asked for after the update, so that in lock-step theta' acts in it "
    '[OC]; or same, that of the last inner update [STAC].',
    choices=('later', 'fresh', 'same'),
  )
  meta_batch_size: int = _field(
    8, "Unrolls of the next batch in the outer objective, B' [MGRL].", low=1
  )
  meta_optimizer: str = _field('adam', 'Meta-optimizer: adam [MGRL] or sgd.')
  meta_learning_rate: float = _field(
    0.001, 'Learning rate of the logits of the meta-parameters [MGRL].', low=0
  )
  max_meta_gradient_norm: float = _field(
    0.0,
    'Clip of the global norm of the meta-gradient [OC: .1] (0: none).',
    low=0,
  )
  trace_decay: float = _field(
    0.0, 'Decay of the trace, mu; 0 on Atari [MGRL].', low=0, high=1
  )
  inner_updates: int = _field(
    1, 'Inner updates per meta-update, K [MGRL].', low=1
  )
  mixed_meta_gradients: bool = _field(
    False, 'Mean of the meta-gradients of 1 to K inner updates.'
  )
  eta: str = _field(
    'numbers',
    'Meta-parameters as numbers [MGRL], or as the outputs of a meta_network of '
    'the last rollouts [LUK].',
    choices=('numbers', 'meta_network'),
  )
  auxiliary_heads: int = _field(
    0, 'Policies and values that learn beside the main ones [STACX: 2].', low=0
  )

  # Inner optimizer.
  optimizer: str = _field('rmsprop', 'Optimizer: rmsprop [IMPALA] or adam.')
  learning_rate: float = _field(
    6e-4,
    'Learning rate at the start of its linear decay [IMPALA]; learned, it is a '
    'factor of the schedule.',
    low=0,
    learned=Learnable(high=2.0, relative=True),
  )
  final_learning_rate: float = _field(
    0.0, 'Learning rate at the end [IMPALA].', low=0
  )
  decay_env_frames: int = _field(
    0, 'Frames until the end of that decay (0: total_env_frames).', low=0
  )
  rms_decay: float = _field(
    0.99,
    "Decay of RMSProp's mean of squared gradients [IMPALA].",
    low=0,
    high=1,
  )
  rms_epsilon: float = _field(
    0.1, 'Epsilon of RMSProp, inside the root [MGRL]; .01 in [IMPALA].', above=0
  )
  max_gradient_norm: float = _field(
    40.0,
    "Clip of the summed loss's global gradient norm [IMPALA] (0: none).",
    low=0,
  )
  unroll_length: int = _field(20, 'Env steps of an unroll, T [IMPALA].', low=1)
  batch_size: int = _field(32, 'Unrolls of an update, B [IMPALA].', low=1)

  # Actors.
  num_actors: int = _field(
    10, 'Actor processes that `train` starts on this machine.', low=1
  )
  envs_per_group: int = _field(
    4,
    f'Environments in each of the {GROUPS_PER_ACTOR} groups of an actor.',
    low=1,
  )
  env_threads: int = _field(
    1, 'Threads of an actor that step Atari games.', low=1
  )
  sticky_actions: float = _field(
    0.0,
    "Probability that a frame repeats the last action (0: the environment's "
    'own, .1 on MinAtar and none on Atari, as in the 2018 papers).',
    low=0,
    high=1,
  )
  env_kwargs: str = _field(
    '',
    "Arguments of a gym: environment's constructor, a JSON object: "
    '{"frameskip": 4}.',
  )
  env_import: str = _field(
    '', 'Module that registers gym: environments; imported first.'
  )
  env_wrapper: str = _field(
    '',
    'Function, module:function, that is called with each gym: environment '
    'and returns a wrapped one.',
  )
  channels_first: bool = _field(
    False,
    'Whether a gym: environment shows images [channels, height, width]; they '
    'are turned round.',
  )

  # Learner.
  inference_min_envs: int = _field(
    1,
    'Environments that a batch of inference waits for, until the timeout.',
    low=1,
  )
  inference_max_envs: int = _field(256, 'Most environments in a batch.')
  inference_timeout_ms: float = _field(
    5.0, 'Longest wait for a batch of inference, milliseconds.', low=0
  )
  queue_unrolls: int = _field(
    64, 'Finished unrolls that may wait; actors wait where it is full.', low=1
  )
  strategy: str = _field(
    'auto',
    'Devices of the update: auto (all GPUs), one, mirrored, multi_worker.',
    choices=STRATEGIES,
  )
  xla: bool = _field(False, 'XLA for the update; slower on the CPUs tried.')

  # Files and faults.
  workdir: str = _field('runs/default', 'Folder of the run.')
  init_from: str = _field(
    '',
    'Parameters to start from: an exported folder, a checkpoint or a workdir. '
    'Optimizer, meta-parameters and counts start anew (empty: none).',
  )
  replay_eta: str = _field(
    '',
    'Workdir of a run whose learned values over frames are followed instead of '
    'the meta-gradient; its last ones with :final at the end (empty: none).',
  )
  checkpoint_secs: float = _field(
    300.0, 'Seconds between checkpoints.', above=0
  )
  checkpoints_kept: int = _field(3, 'Newest checkpoints that are kept.', low=1)
  metrics_secs: float = _field(
    10.0, 'Seconds between rows of metrics.csv and TensorBoard.', above=0
  )
  track: str = _field(
    '', 'Experiment tracker: wandb, trackio, or none.', choices=('', *TRACKERS)
  )
  track_project: str = _field('seed_metagrad', 'Project at the tracker.')
  lease_secs: float = _field(
    60.0,
    'Seconds after which an actor that stands still loses its slots.',
    above=0,
  )
  max_skipped_updates: int = _field(
    10, 'Non-finite updates in a row that end the run.', low=1
  )
  lockstep: bool = _field(
    False, 'Deterministic training: acting and learning take turns.'
  )

  def env_settings(self) -> dict[str, Any]:
    """Returns the settings of the environment that are not its defaults.

    Raises:
      ValueError: env_kwargs is not a JSON object.
    """
    settings = {
      'sticky_actions': self.sticky_actions,
      'kwargs': _json_object('env_kwargs', self.env_kwargs),
      'import': self.env_import,
      'wrapper': self.env_wrapper,
      'channels_first': self.channels_first,
    }
    return {name: value for name, value in settings.items() if value}


# The fields that can be learned.
LEARNABLE: dict[str, Learnable] = {
  field.name: field.metadata['learned']
  for field in dataclasses.fields(Config)
  if field.metadata['learned']
}


def bounds(config: Config) -> dict[str, Bounds]:
  """What the values of a config's meta-parameters stay inside of, by name."""
  resolved = {}
  for name, learnable in LEARNABLE.items():
    high = learnable.high
    if isinstance(high, str):
      high = getattr(config, high)
    scale = getattr(config, name) if learnable.relative else 1.0
    resolved[name] = Bounds(learnable.low * scale, high * scale)
  return resolved


def decay_frames(config: Config) -> int:
  """Frames over which the learning rate decays."""
  return config.decay_env_frames or config.total_env_frames


def _json_object(name: str, text: str) -> dict[str, Any]:
  try:
    value = json.loads(text or '{}')
  except (ValueError, RecursionError):
    value = None
  if not isinstance(value, dict):
    raise ValueError(f'{name} must be a JSON object, got {text[:80]!r}.')
  return value


def preset(name: str, **overrides: Any) -> Config:
  """The named preset with some fields replaced, checked.

  Raises:
    ValueError: an unknown preset, or a value out of its range.
  """
  if name not in presets.PRESETS:
    raise ValueError(
      f'preset must be one of {sorted(presets.PRESETS)}, got {name!r}.'
    )
  config = Config(**{**presets.PRESETS[name], **overrides})
  check(config)
  return config


def check(config: Config) -> None:
  """Raises ValueError with the value received where a field is impossible."""
  _check_ranges(config)
  config.env_settings()
  names = tuple(LEARNABLE)
  _require(
    len({*config.learned} & {*names}) == len(config.learned),
    'learned',
    f'different names out of {names}',
    config,
  )
  for name, (low, high) in bounds(config).items():
    _require(
      name not in config.learned or low < getattr(config, name) <= high,
      name,
      f'above {low} and at most {high} where it is learned',
      config,
    )
  _check_variants(config)
  _check_sizes(config)
  _require(config.workdir.strip() != '', 'workdir', 'a path', config)


def _check_ranges(config: Config) -> None:
  """Each field by itself."""
  for field in dataclasses.fields(config):
    value, row = getattr(config, field.name), field.metadata
    low, above, high = row['low'], row['above'], row['high']
    if low is not None and high is not None:
      _require(low <= value <= high, field.name, f'in [{low}, {high}]', config)
    elif low is not None:
      _require(value >= low, field.name, f'at least {low}', config)
    if above is not None:
      _require(value > above, field.name, f'above {above}', config)
    if choices := row['choices']:
      _require(value in choices, field.name, f'one of {choices}', config)


def _check_variants(config: Config) -> None:
  """Which variants of the meta-update go together."""
  for holds, name, what in (
    (
      config.outer != 'bootstrap' or config.meta_sample == 'later',
      'meta_sample',
      'later for bootstrap',
    ),
    (
      config.meta_sample != 'fresh'
      or (
        config.outer == 'policy_gradient'
        and config.inner_updates == 1
        and config.eta == 'numbers'
      ),
      'meta_sample',
      'later or same unless outer is policy_gradient, inner_updates 1 and eta'
      ' numbers',
    ),
    (
      not config.mixed_meta_gradients
      or (config.outer != 'bootstrap' and not config.trace_decay),
      'mixed_meta_gradients',
      'off for bootstrap, and with a trace',
    ),
    (
      config.eta != 'meta_network' or not config.trace_decay,
      'trace_decay',
      '0 for a meta_network',
    ),
    (
      not config.replay_eta
      or (
        bool(config.learned)
        and config.eta == 'numbers'
        and not config.auxiliary_heads
      ),
      'replay_eta',
      'empty unless numbers are learned, of one head',
    ),
    (
      config.outer_critic != 'conditioned' or config.conditioning,
      'conditioning',
      'on for a conditioned outer critic',
    ),
    (
      config.outer_critic != 'network' or config.core == 'none',
      'outer_critic',
      'one with a memory, head or conditioned, beside a core',
    ),
  ):
    _require(holds, name, what, config)


def _check_sizes(config: Config) -> None:
  """Batches and environments that must fit in one another."""
  for small, large in (
    ('meta_batch_size', 'batch_size'),
    ('inference_min_envs', 'inference_max_envs'),
    # In lock-step a batch has all environments.
    *([] if config.lockstep else [('envs_per_group', 'inference_max_envs')]),
  ):
    _require(
      getattr(config, small) <= getattr(config, large),
      small,
      f'at most {large} ({getattr(config, large)})',
      config,
    )
  envs = config.num_actors * GROUPS_PER_ACTOR * config.envs_per_group
  _require(
    envs <= MAX_ENVS,
    'num_actors',
    f'such that num_actors x {GROUPS_PER_ACTOR} x envs_per_group is at most '
    f'{MAX_ENVS} (it is {envs})',
    config,
  )


def _require(holds: bool, name: str, what: str, config: Config) -> None:
  if not holds:
    raise ValueError(f'{name} must be {what}, got {getattr(config, name)!r}.')
