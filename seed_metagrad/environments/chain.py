"""A chain with one decision, whose best discount is known.

At the first of ten steps the agent takes a small reward now (action 0) or
waits (action 1); waiting pays 1 after 3 more steps and costs a penalty at the
end. Later actions change nothing, and nothing is random. Discounted by g,
waiting is worth more than taking by

    gap(g) = g^3 - PENALTY g^9 - SMALL_REWARD

The two rewards are set so that gap is 0 at THRESHOLD_DISCOUNT: with less, even
a perfect agent takes; with more, up to 1, it waits. They are also set so that
the gap is largest at BEST_DISCOUNT, where its derivative 3 g^2 - 9 PENALTY g^8
is 0. That discount is the best in two ways:

* A softmax policy with entropy cost c settles at p(wait) = sigmoid(gap(g) / c):
  of all fixed discounts this one waits most often.
* The expected meta-gradient of MGRL is proportional to gap'(g) gap(g'): the
  inner step moves the logit of waiting along gap(g), the meta-objective values
  that move along gap(g'), where g' is the reference. With gap(g') > 0 a learned
  discount rises from below and falls from above, and rests here alone.

The policy must stay soft, or both gradients vanish before that: entropy cost .1
does so. The second is exact where policy and values share no weights; through a
shared torso the value targets, which move with g too, shift the resting point a
little.
"""

import json

import numpy as np

from seed_metagrad import types
from seed_metagrad.environments import environment

THRESHOLD_DISCOUNT = 0.65
BEST_DISCOUNT = 0.9

TAKE, WAIT = 0, 1
LENGTH = 10  # Steps of an episode.
REWARD_STEP = 3  # Steps after the decision.
LAST_STEP = LENGTH - 1
PENALTY = REWARD_STEP / LAST_STEP * BEST_DISCOUNT ** (REWARD_STEP - LAST_STEP)
SMALL_REWARD = (
  THRESHOLD_DISCOUNT**REWARD_STEP - PENALTY * THRESHOLD_DISCOUNT**LAST_STEP
)

_REWARDS = np.zeros((2, LENGTH), np.float32)  # [lane, step].
_REWARDS[TAKE, 0] = SMALL_REWARD
_REWARDS[WAIT, REWARD_STEP] = 1.0
_REWARDS[WAIT, LAST_STEP] = -PENALTY


def gap(discount: float) -> float:
  """Returns how much more waiting is worth than taking, discounted."""
  steps = np.arange(LENGTH)
  return float(np.dot(_REWARDS[WAIT] - _REWARDS[TAKE], discount**steps))


class Chain:
  """E chains; the observation is 1 at [lane, step], and [0, 0] decides.

  The lane is the action at the decision: 0 took, 1 waits.
  """

  spec = types.EnvSpec((2, LENGTH), 'float32', num_actions=2)

  def __init__(self, num_envs: int, *, seed: int):
    del seed  # Nothing is random.
    self.num_envs = num_envs
    self._lane = np.zeros(num_envs, np.int64)
    self._step = np.zeros(num_envs, np.int64)

  def reset(self) -> types.EnvOutput[np.ndarray]:
    """Goes to the decision."""
    self._lane[:] = 0
    self._step[:] = 0
    return environment.first_output(self._observation())

  def step(self, actions: np.ndarray) -> types.EnvOutput[np.ndarray]:
    """Decides where an episode begins, moves on elsewhere."""
    environment.check_actions(actions, self.num_envs, self.spec)
    lane = np.where(self._step == 0, actions, self._lane)
    reward = _REWARDS[lane, self._step]
    ended = self._step == LAST_STEP
    self._lane = np.where(ended, 0, lane)
    self._step = np.where(ended, 0, self._step + 1)
    nothing = np.zeros(self.num_envs, bool)
    return types.EnvOutput(reward, ended, nothing, nothing, self._observation())

  def close(self) -> None:
    """Does nothing."""

  def get_state(self) -> bytes:
    """Returns all that `set_state` needs to go on exactly from here."""
    return json.dumps([self._lane.tolist(), self._step.tolist()]).encode()

  def set_state(self, state: bytes) -> None:
    """Goes back to where `get_state` was called, with as many environments."""
    saved = np.array(json.loads(state), np.int64)
    if saved.shape != (2, self.num_envs):
      raise ValueError(
        f'state must be of {self.num_envs} chains, got {saved.shape[1:]}.'
      )
    self._lane, self._step = saved

  def _observation(self) -> np.ndarray:
    cells = np.zeros((self.num_envs, 2, LENGTH), np.float32)
    cells[np.arange(self.num_envs), self._lane, self._step] = 1.0
    return cells


def spec(argument: str, settings: types.Settings) -> types.EnvSpec:
  """Returns the spec.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('chain', argument, settings)
  return Chain.spec


def make(
  argument: str,
  num_envs: int,
  *,
  seed: int,
  num_threads: int,
  settings: types.Settings,
) -> Chain:
  """Makes E of them; `num_threads` is not used.

  Raises:
    ValueError: the name has an argument, or there is a setting.
  """
  environment.check_name('chain', argument, settings)
  return Chain(num_envs, seed=seed)
