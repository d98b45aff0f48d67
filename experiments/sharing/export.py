"""Exports a trained agent as a folder for a model hub, and uploads it.

The folder has model.safetensors (parameters by name), config.json, saved_model
(the policy for TensorFlow alone), and README.md, a model card with the run's
own numbers and figure. evaluate, play and train --init_from read it.

--push uploads it with huggingface_hub, which takes the token of `hf auth login`
or of HF_TOKEN; a repository that is not there yet is made, as a private one.
"""

import pathlib
import shutil

from absl import flags

from experiments.evaluation import playing
from experiments.evaluation import start_states
from experiments.evaluation import video
from learner import extras


def define_flags(flag_values: flags.FlagValues) -> None:
  """Defines the flags of the command."""
  flags.DEFINE_string(
    'checkpoint',
    None,
    'A .npz file in its workdir, or a workdir for its newest one.',
    required=True,
    flag_values=flag_values,
  )
  flags.DEFINE_string(
    'out', None, 'A new folder.', required=True, flag_values=flag_values
  )
  flags.DEFINE_string(
    'push',
    '',
    'Repository to upload to, owner/name (empty: none).',
    flag_values=flag_values,
  )
  flags.DEFINE_bool(
    'video', False, 'A game as play.gif; Atari only.', flag_values=flag_values
  )


def run(flag_values: flags.FlagValues) -> int:
  """Exports and prints; returns 0."""
  out = pathlib.Path(flag_values.out)
  if out.exists():
    raise ValueError(
      f'{out} is there already and is not written over: name'
      ' another folder by --out.'
    )
  with extras.needed('hub'):
    import huggingface_hub  # noqa: F401  # Before the work.
  # Slow: it brings TensorFlow.
  from experiments.evaluation import policy as policy_lib
  from experiments.sharing import model_card
  from experiments.sharing import saved_model
  from learner.storage import model_files

  model = model_files.read(flag_values.checkpoint)
  if flag_values.video:
    video.check(model.config.env)
  unfinished = out.with_name(f'{out.name}.tmp')
  shutil.rmtree(unfinished, ignore_errors=True)  # Left by one that was killed.
  unfinished.mkdir(parents=True)
  model_files.write(unfinished, model)
  saved_model.write(unfinished / 'saved_model', model)
  policy = policy_lib.Policy(model)
  if flag_values.video:
    starts = start_states.no_ops(1, seed=1)
    how = playing.Conditions(
      seed=1, settings=playing.trained_settings(model.config)
    )
    (episode,) = playing.play(model.config.env, policy, starts, how)
    video.write(
      unfinished / 'play.gif', model.config.env, episode, policy.hyperparameters
    )
  model_card.write(unfinished, model)
  unfinished.rename(out)
  print(f'Written to {out}.')
  if flag_values.push:
    print(f'Uploaded: {_push(out, flag_values.push)}')
  return 0


def _push(folder: pathlib.Path, repository: str) -> str:
  """Uploads a folder as one commit; returns its address.

  Raises:
    OSError: the hub cannot be reached or refuses; the folder stays.
  """
  import huggingface_hub

  api = huggingface_hub.HfApi()
  try:
    api.create_repo(repository, private=True, exist_ok=True)
    commit = api.upload_folder(
      repo_id=repository,
      folder_path=folder,
      commit_message='Export from seed_metagrad',
    )
  # Its own errors and its HTTP client's, which have no class in common.
  except Exception as error:
    raise OSError(f'{folder} was not uploaded: {error}') from error
  url: str = commit.commit_url
  return url
