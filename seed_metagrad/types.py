"""The tuples that cross files, with their shapes, and how time is aligned.

T time, B batch, A actions, E environments of one group. Time-major [T, B, ...]
in the learner, batch-major [E, ...] in actors and on the wire.

        t = 0            1            2        ...       T
env     r0 d0 x0     r1 d1 x1     r2 d2 x2     ...    rT dT xT
agent   a0 mu0       a1 mu1       a2 mu2       ...   (aT unused)

r1 and d1 answer a0; a_t was sampled from mu_t at x_t. d_t says that the episode
was ended by a_{t-1}: x_t is already the first observation of the next one.
Step T of an unroll is step 0 of the next unroll of the same environment.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

# A tensor, an array or a number; a nest of them.
Array = Any
Nest = Any


# An environment's own settings by name; what JSON can hold.
Settings = Mapping[str, Any]


class EnvSpec(NamedTuple):
  """What an environment takes and gives."""

  observation_shape: tuple[int, ...]  # Of one observation; one frame on Atari.
  observation_dtype: str  # A NumPy name: 'uint8', 'float32'.
  num_actions: int
  frame_stack: int = 1  # Observations the network sees at once.
  action_repeat: int = 1  # env_frames per env_step.


class Task(NamedTuple):
  """What an actor and the learner must agree on."""

  env: str  # Its name: 'pong', 'catch', 'gym:CartPole-v1'.
  spec: EnvSpec
  settings: Settings


class EnvOutput(NamedTuple):
  """What environments answer to their last actions; leading dims as stated."""

  reward: Array  # float32, raw: never clipped here.
  terminated: Array  # bool, the episode ended.
  truncated: Array  # bool, the episode was cut by a time limit: no end.
  life_lost: Array  # bool, the game goes on but the loss sees an end.
  observation: Array  # spec.observation_dtype, [..., *observation_shape].


class AgentOutput(NamedTuple):
  """What the agent did at an observation."""

  action: Array  # int32.
  policy_logits: Array  # float32, [..., A].
  baseline: Array  # float32.


class Unroll(NamedTuple):
  """T + 1 steps of one environment [T + 1, ...], or of B [T + 1, B, ...]."""

  memory: Nest  # What the network remembers of before x_0: frames' S - 1 steps.
  env_outputs: EnvOutput
  agent_outputs: AgentOutput


class NetworkOutput(NamedTuple):
  """Policy and value at every observation of an unroll."""

  policy_logits: Array  # [T + 1, B, A].
  baseline: Array  # [T + 1, B].


class Network(NamedTuple):
  """A network as plain functions over a nest of parameters.

  init(seed) -> params
  apply(params, stacked, conditioning) -> NetworkOutput, all [T, B, ...]:
      `stacked` holds the stack of frames at every step; `conditioning` is the
      vector of learned hypers [N], or None where the network is not
      conditioned.
  """

  init: Any
  apply: Any


class Hypers(NamedTuple):
  """The hypers of the inner loss, fixed or learned.

  Each is a scalar or broadcasts to [T, B].
  """

  discount: Array
  lambda_: Array
  baseline_cost: Array
  entropy_cost: Array


class Targets(NamedTuple):
  """What a return estimator makes of an unroll, [T, B] each."""

  values: Array  # The value targets, v_s or g_s.
  advantages: Array  # The policy gradient's weights, ratios included.


class Optimizer(NamedTuple):
  """A differentiable optimizer: its state goes in and comes out.

  init(params) -> opt_state
  update(gradients, opt_state, learning_rate) -> (updates, opt_state), where
      the step is params + updates.
  """

  init: Any
  update: Any


class LearnerState(NamedTuple):
  """Everything that training needs to go on, and so a checkpoint holds."""

  params: Nest
  opt_state: Nest
  eta: Nest  # Logits of the learned hypers: {name: []} or {name: [states]}.
  meta_opt_state: Nest
  trace: Nest  # z of MGRL; () where the trace decay is 0.
  num_updates: Array  # int64 [].
  env_frames: Array  # int64 [], frames consumed by updates.
