"""The two Markov reward processes of MGRL section 3.

States are numbered from 1, as in the paper; arrays are indexed from 0. An
episode visits every state once, in order.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_SIGNAL = 0.1  # The reward on leaving a signal state.


class Process(NamedTuple):
  """A Markov reward process and the meta-parameter on it, per state."""

  learned: str  # The hyperparameter that has a table.
  high: np.ndarray  # bool [N], where the learned value should end high.
  high_kind: str  # What the states of `high` are called.
  low_kind: str
  true_values: np.ndarray  # [N], the undiscounted expected returns.
  rewards: Callable[[np.random.Generator, int], np.ndarray]  # [episodes, N].

  def kinds(self) -> list[str]:
    """What each state is called."""
    return [self.high_kind if high else self.low_kind for high in self.high]


def _odd(num_states: int) -> np.ndarray:
  """Which states have odd numbers, bool [N]."""
  return np.asarray(np.arange(1, num_states + 1) % 2 == 1)


def _signal_and_noise() -> Process:
  """Leaving an odd state pays +0.1, leaving an even one N(0, 1)."""
  odd = _odd(10)
  means = np.where(odd, _SIGNAL, 0.0)

  def rewards(rng: np.random.Generator, episodes: int) -> np.ndarray:
    return np.where(odd, _SIGNAL, rng.normal(size=[episodes, len(odd)]))

  return Process(
    'discount', odd, 'signal', 'noise', np.cumsum(means[::-1])[::-1], rewards
  )


def _random_and_negated() -> Process:
  """Leaving an odd state pays R ~ N(0, 1), leaving the next pays -R.

  The last reward is random and has no answer. An even state does not tell what
  R was, so its value, the mean of -R, is 0, as every other's.
  """
  odd = _odd(9)

  def rewards(rng: np.random.Generator, episodes: int) -> np.ndarray:
    random = rng.normal(size=[episodes, np.count_nonzero(odd)])
    return np.stack([random, -random], axis=-1).reshape([episodes, -1])[
      :, : len(odd)
    ]

  return Process('lambda_', ~odd, 'noisy', 'known', np.zeros(len(odd)), rewards)


PROCESSES = {'A': _signal_and_noise(), 'B': _random_and_negated()}
