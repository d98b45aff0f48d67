"""The model card of an exported agent: README.md with the run's numbers."""

from collections.abc import Iterator
import csv
import pathlib
from typing import Any

from learner import extras
from learner.reporting import curves
from learner.storage import files
from learner.storage import model_files
from seed_metagrad import agent as agent_lib

_USE = """\
```
seed-metagrad evaluate --checkpoint=. --episodes=100 --out=../evaluation
seed-metagrad train --init_from=. --env={env} --network={network} \\
    --workdir=runs/continued
```

`--init_from` takes the parameters alone: the optimizer, the meta-parameters and
the count of frames start anew. Without this package, in TensorFlow:

```python
import tensorflow as tf

policy = tf.saved_model.load('saved_model').signatures['serving_default']
outputs = policy(stacked=tf.zeros([1, {shape}], tf.{dtype}))
print(outputs['policy_logits'], outputs['baseline'])
```

`stacked` has the last observations of each environment, {frame_stack} of them,
the newest last; zeros before an episode. `model.safetensors` has the same
parameters by name."""


def write(folder: pathlib.Path, model: model_files.Model) -> None:
  """Writes README.md and curves.png; what the run did not log is left out."""
  with extras.needed('hub'):
    import huggingface_hub
  row = _newest_row(model)
  evaluations = [*_evaluations(model)]
  config, spec = model.config, model.spec
  card = huggingface_hub.ModelCardData(
    library_name='seed_metagrad',
    tags=['reinforcement-learning', 'impala', 'meta-gradients', config.env],
    model_name=model.folder.name,
    eval_results=[
      huggingface_hub.EvalResult(
        task_type='reinforcement-learning',
        dataset_type=config.env,
        dataset_name=f'{config.env} ({evaluation["protocol"]})',
        metric_type='mean_reward',
        metric_value=evaluation['mean'],
      )
      for evaluation in evaluations
    ]
    or None,
  )
  parts = [
    f'---\n{card.to_yaml().strip()}\n---',
    f'# {model.folder.name}: IMPALA on {config.env}, {_learned(model)}',
    '\n'.join(_table(model, row)),
    *('\n'.join(_evaluated(evaluation)) for evaluation in evaluations),
  ]
  if row:
    curves.draw(model.folder, config.learned).savefig(folder / 'curves.png')
    parts.append('![returns and meta-parameters over frames](curves.png)')
  if (folder / 'play.gif').exists():
    parts.append('![a game](play.gif)')
  shape = (*spec.observation_shape, spec.frame_stack)
  use = _USE.format(
    env=config.env,
    network=config.network,
    shape=', '.join(map(str, shape)),
    dtype=spec.observation_dtype,
    frame_stack=spec.frame_stack,
  )
  parts += ['## Use', use]
  files.write_atomic(folder / 'README.md', '\n\n'.join(parts) + '\n')


def _learned(model: model_files.Model) -> str:
  names = [f'`{name}`' for name in model.config.learned]
  return f'{", ".join(names)} learned' if names else 'nothing meta-learned'


def _newest_row(model: model_files.Model) -> dict[str, str]:
  """The newest row of metrics.csv up to the checkpoint; {} without one."""
  path = model.folder / 'metrics.csv'
  if not path.exists():
    return {}
  with open(path, newline='', encoding='utf-8') as file:
    rows = [
      row
      for row in csv.DictReader(file)
      if int(row['env_frames']) <= int(model.state.env_frames)
    ]
  return rows[-1] if rows else {}


def _evaluations(model: model_files.Model) -> Iterator[dict[str, Any]]:
  """What `evaluate` wrote of this checkpoint into the workdir."""
  for path in sorted(model.folder.glob('evaluation/*/summary.json')):
    summary = files.read_json(path)
    if (
      summary['num_updates'] == int(model.state.num_updates)
      and summary['episodes'] == summary['planned_episodes']
    ):
      yield summary


def _table(model: model_files.Model, row: dict[str, str]) -> Iterator[str]:
  state = model.state
  yield '| | |\n|---|---|'
  yield f'| frames, action repeat included | {int(state.env_frames):,} |'
  yield f'| updates | {int(state.num_updates):,} |'
  if row:
    value = float(row['mean_return_100'])
    yield (
      '| mean raw return of 100 training episodes, at'
      f' {int(row["env_frames"]):,} frames | {value:.4g} |'
    )
    yield f'| hours of training | {float(row["seconds"]) / 3600:.2f} |'
  values = agent_lib.hyperparameters(model.config, state)
  for name in model.config.learned:
    started = getattr(model.config, name)
    yield f'| `{name}`, learned from {started:.4g} | {values[name]:.4f} |'
  yield f'| network | {model.config.network} |'
  yield f'| seed | {model.config.seed} |'


def _evaluated(evaluation: dict[str, Any]) -> Iterator[str]:
  low, high = evaluation['interval']
  yield (
    f'Evaluation, protocol {evaluation["protocol"]}: mean score'
    f' {evaluation["mean"]:.4g} (95% interval {low:.4g} to {high:.4g}), median'
    f' {evaluation["median"]:.4g}, of {evaluation["episodes"]} episodes,'
    f' actions {evaluation["policy"]}.'
  )
