"""Looks at the meta-gradient of a checkpoint: is it right, or only noise?

Acts with the checkpoint in fresh environments and draws T and T' of several
sizes out of the unrolls. For each meta-parameter and size of T' it prints the
mean meta-gradient (minus: the logit should rise), how sure its sign is (t), the
signal to noise of one draw, how it compares with central differences, and the
t of its two parts, of a step's direction and of its length
(docs/meta_gradients.md). With --fork_updates training goes on from the
checkpoint with the logit moved up and down: the true effect on returns. Writes
probe.json into --out.
"""

# Before everything that imports TensorFlow.
from learner import quiet_tensorflow  # noqa: F401  # isort: skip

import pathlib
from typing import Any

from absl import flags

from experiments.probe import draws
from experiments.probe import fork
from learner.storage import files
from learner.storage import model_files
from seed_metagrad import agent as agent_lib
from seed_metagrad import config as config_lib
from seed_metagrad import types

_HEADER = (
  f'{"name":<16}{"B":>5}{"B prime":>9}{"mean":>12}{"t":>8}{"s/n":>8}'
  f'{"cosine":>8}{"ratio":>8}{"t dir.":>8}{"t len.":>8}'
)


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'checkpoint',
    None,
    'Checkpoint, or workdir: its newest one.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'out', 'probe', 'Folder for probe.json.', flag_values=flag_values
  )
  for name, default, text in (
    ('unrolls', 512, 'Unrolls to collect.'),
    ('draws', 40, 'Draws of T and T prime for each size.'),
    ('envs', 16, 'Environments to act in.'),
    ('seed', 1, 'Root of all seeds.'),
    ('fork_updates', 0, 'Updates to train on with the logit moved (0: none).'),
    ('fork_seeds', 3, 'Seeds of each fork.'),
  ):
    flags.DEFINE_integer(
      name, default, text, lower_bound=0, flag_values=flag_values
    )
  flags.DEFINE_multi_integer(
    'meta_batch_sizes',
    [4, 32, 256],
    'Unrolls in T prime; repeat for more.',
    flag_values=flag_values,
  )
  flags.DEFINE_integer(
    'batch_size',
    0,
    "Unrolls in T (0: the checkpoint's config).",
    lower_bound=0,
    flag_values=flag_values,
  )
  flags.DEFINE_float(
    'delta', 1.0, 'Distance of a fork, in logits.', flag_values=flag_values
  )


def run(flag_values: flags.FlagValues) -> int:
  """Probes, prints and writes; returns 0.

  Raises:
    ValueError: nothing was learned in the checkpoint, or --out is there.
  """
  out = pathlib.Path(flag_values.out)
  if (out / 'probe.json').exists():
    raise ValueError(f'{out / "probe.json"} is there already: name another.')
  loaded = model_files.read(flag_values.checkpoint)
  config, agent, state = loaded.config, loaded.agent, loaded.state
  if not config.learned or config.eta != 'numbers':
    raise ValueError(
      f'{flag_values.checkpoint} has no meta-parameter that is a number:'
      f' learned is {config.learned}, eta {config.eta}.'
    )
  unrolls = draws.collect(
    config,
    agent,
    state,
    num_unrolls=flag_values.unrolls,
    num_envs=flag_values.envs,
    seed=flag_values.seed,
  )
  batch_size = flag_values.batch_size or config.batch_size
  found: dict[str, Any] = {
    'checkpoint': flag_values.checkpoint,
    'env_frames': int(state.env_frames),
    'hyperparameters': agent_lib.hyperparameters(config, state),
    'draws': flag_values.draws,
    'batch_size': batch_size,
    'meta_gradients': [],
  }
  print(_HEADER)
  for size in flag_values.meta_batch_sizes:
    found['meta_gradients'] += _of_size(
      flag_values, config, state, unrolls, batch_size, size
    )
  if flag_values.fork_updates:
    found['forks'] = _fork(flag_values, config, agent, state)
  out.mkdir(parents=True, exist_ok=True)
  files.write_json(out / 'probe.json', found)
  print(f'Written to {out / "probe.json"}.')
  return 0


def _of_size(
  flag_values: flags.FlagValues,
  config: config_lib.Config,
  state: types.LearnerState,
  unrolls: list[draws.Unroll],
  batch_size: int,
  size: int,
) -> list[dict[str, Any]]:
  """Prints what draws with a T' of one size say, and returns it."""
  batches = draws.batches_of(config, batch_size, size)
  if (enough := flag_values.draws * sum(batches)) > len(unrolls):
    print(
      f'Draws with B prime {size} share unrolls, so that their t is too'
      f' sure: --unrolls={enough} is enough for each to have its own.'
    )
  drawn = draws.draw(
    config,
    state,
    unrolls,
    batch_size=batch_size,
    meta_batch_size=size,
    num_draws=flag_values.draws,
    seed=flag_values.seed,
  )
  found = []
  for name, one in draws.statistics(drawn).items():
    print(
      f'{name:<16}{batch_size:>5}{size:>9}{one.mean:>12.3g}{one.t:>8.2f}'
      f'{one.signal_to_noise:>8.3f}{one.cosine:>8.3f}{one.ratio:>8.3f}'
      f'{one.direction_t:>8.2f}{one.length_t:>8.2f}'
    )
    found.append(
      {
        'name': name,
        'meta_batch_size': size,
        **one._asdict(),
        'outer_advantage': float(drawn.outer_advantages.mean()),
      }
    )
  return found


def _fork(
  flag_values: flags.FlagValues,
  config: config_lib.Config,
  agent: agent_lib.Agent,
  state: types.LearnerState,
) -> list[dict[str, Any]]:
  forks = []
  for name in state.eta:
    effect = fork.run(
      config,
      agent,
      state,
      name,
      delta=flag_values.delta,
      num_updates=flag_values.fork_updates,
      num_envs=flag_values.envs,
      seeds=range(flag_values.seed, flag_values.seed + flag_values.fork_seeds),
    )
    print(
      f'{name}: return {effect.up.mean():.3g} with the logit'
      f' {flag_values.delta:+g}, {effect.down.mean():.3g} with it'
      f' {-flag_values.delta:+g}.'
    )
    forks.append(
      {'name': name, 'up': effect.up.tolist(), 'down': effect.down.tolist()}
    )
  return forks
