"""RLlib's IMPALA on Pong: env steps/s, beside our suite `train`.

It runs in an environment of its own, not in ours:

    pip install 'ray[rllib]==2.60.0' torch
    pip install ale-py==0.12.1 opencv-python-headless
    python benchmarks/others/rllib_impala.py --secs=60

The network is our `shallow`: two convolutions of 16 and 32 filters and a layer
of 256; frames of 84 x 84, four of them stacked, action repeat 4, V-trace over
20 steps. An env step is one of the agent's, 4 frames.
"""

import argparse
import time

import ale_py
import gymnasium
import ray
from ray import tune
from ray.rllib.algorithms import impala
from ray.rllib.core.rl_module import default_model_config
from ray.rllib.env.wrappers import atari_wrappers

_WARM_UP_SECS = 20.0
_SAMPLED = 'num_env_steps_sampled_lifetime'


def _make(_: object) -> gymnasium.Env:
  gymnasium.register_envs(ale_py)
  env = gymnasium.make('ALE/Pong-v5', frameskip=1, full_action_space=False)
  wrapped: gymnasium.Env = atari_wrappers.wrap_atari_for_new_api_stack(
    env, dim=84, frameskip=4, framestack=4
  )
  return wrapped


def _config(runners: int, envs: int, unrolls: int) -> impala.IMPALAConfig:
  return (
    impala.IMPALAConfig()
    .environment('pong')
    .env_runners(
      num_env_runners=runners,
      num_envs_per_env_runner=envs,
      rollout_fragment_length=20,
    )
    .learners(num_learners=0)
    .training(
      train_batch_size_per_learner=20 * unrolls,
      lr=6e-4,
      entropy_coeff=0.01,
      vf_loss_coeff=0.5,
      grad_clip=40.0,
    )
    .rl_module(
      model_config=default_model_config.DefaultModelConfig(
        conv_filters=[[16, 8, 4], [32, 4, 2]],
        conv_activation='relu',
        head_fcnet_hiddens=[256],
        vf_share_layers=True,
      )
    )
    .reporting(min_time_s_per_iteration=1)
  )


def main() -> None:
  """Prints one line."""
  parser = argparse.ArgumentParser()
  parser.add_argument('--secs', type=float, default=60.0)
  parser.add_argument('--runners', type=int, default=2)
  parser.add_argument('--envs', type=int, default=16, help='Of each runner.')
  parser.add_argument('--unrolls', type=int, default=32, help='In a batch.')
  flags = parser.parse_args()
  ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False)
  tune.register_env('pong', _make)
  algorithm = _config(flags.runners, flags.envs, flags.unrolls).build_algo()
  start = time.monotonic()
  at, steps = 0.0, 0
  while True:
    result = algorithm.train()
    seconds = time.monotonic() - start
    sampled = int(result['env_runners'].get(_SAMPLED, 0))
    if not at and seconds > _WARM_UP_SECS:
      at, steps = seconds, sampled
    if at and seconds > at + flags.secs:
      break
  trained = result['learners']['__all_modules__'][
    'num_env_steps_trained_lifetime'
  ]
  print(
    f'RLlib {ray.__version__}: {(sampled - steps) / (seconds - at):.0f} env'
    f' steps/s, {trained} of {sampled} trained on'
  )
  algorithm.stop()
  ray.shutdown()


if __name__ == '__main__':
  main()
