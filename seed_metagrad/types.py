"""The tuples that cross files, with their shapes, and how time is aligned.

T time, B batch, A actions, E environments of one group, S stacked frames.
Time-major [T, B, ...] in the learner, batch-major [E, ...] in actors and on the
wire.

            t = 0            1            2        ...       T
    env     r0 d0 x0     r1 d1 x1     r2 d2 x2     ...    rT dT xT
    agent   a0 mu0       a1 mu1       a2 mu2       ...   (aT unused)

r1 and d1 answer a0; a_t was sampled from mu_t at x_t. d_t says that the episode
was ended by a_{t-1}: x_t is already the first observation of the next one.
Step T of an unroll is step 0 of the next unroll of the same environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, Protocol, TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # Actors import this file without TensorFlow.
  import numpy as np
  import tensorflow as tf

# A tensor or an array, or lists, tuples and dicts of them: what tf.nest takes.
Nest = Any
# np.ndarray in actors, on the wire and in inference; tf.Tensor in updates.
ArrayT = TypeVar('ArrayT')


# The least standard deviation of a continuous action [our choice].
SMALLEST_SCALE = 1e-3

# An environment's own settings by name; what JSON can hold.
Settings = Mapping[str, Any]


class EnvSpec(NamedTuple):
  """What an environment takes and gives."""

  observation_shape: tuple[int, ...]  # One observation; one frame on Atari.
  observation_dtype: str  # A NumPy name: 'uint8', 'float32'.
  num_actions: int  # 0 where an action is more than one of so many.
  frame_stack: int = 1  # Observations the network sees at once.
  action_repeat: int = 1  # env_frames per env_step.
  # What observations lie within: a number for all elements, or one for each in
  # C order; () where nothing is known beyond the dtype.
  observation_low: tuple[float, ...] = ()
  observation_high: tuple[float, ...] = ()
  action_sizes: tuple[int, ...] = ()  # Choices of each number of an action.
  action_dims: int = 0  # D of a continuous action; -1 and 1 are its bounds.

  @property
  def action_shape(self) -> tuple[int, ...]:
    """The shape of one action."""
    dims = len(self.action_sizes) or self.action_dims
    return (dims,) if dims else ()

  @property
  def action_dtype(self) -> str:
    """The dtype of actions: float32 or int32."""
    return 'float32' if self.action_dims else 'int32'


class Task(NamedTuple):
  """What an actor and the learner must agree on."""

  env: str  # Its name: 'pong', 'catch', 'gym:CartPole-v1'.
  spec: EnvSpec
  settings: Settings


class EnvOutput(NamedTuple, Generic[ArrayT]):
  """What environments answer to their last actions; leading dims as stated."""

  reward: ArrayT  # float32, raw: never clipped here.
  terminated: ArrayT  # bool, the episode ended.
  truncated: ArrayT  # bool, the episode was cut by a time limit: no end.
  life_lost: ArrayT  # bool, the game goes on but the loss sees an end.
  observation: ArrayT  # spec.observation_dtype, [..., *observation_shape].


class AgentOutput(NamedTuple, Generic[ArrayT]):
  """What the agent did at an observation."""

  action: ArrayT  # spec.action_dtype, [..., *action_shape].
  policy_logits: ArrayT  # float32, [..., P]: P is A, or of `policies`.
  baseline: ArrayT  # float32.


class CoreState(NamedTuple, Generic[ArrayT]):
  """What a recurrent core has before an observation; of E environments."""

  lstm: ArrayT  # float32 [E, 2 U], its output and its cell.
  action: ArrayT  # [E, *action_shape], the action before.


class Unroll(NamedTuple, Generic[ArrayT]):
  """T + 1 steps of one environment [T + 1, ...], or of B [T + 1, B, ...]."""

  memory: ArrayT  # The S - 1 frames before x_0, [S - 1, ...], masked.
  env_outputs: EnvOutput[ArrayT]
  agent_outputs: AgentOutput[ArrayT]
  # The core's before x_0, [1, ...] or [1, B, ...]; () where there is no core.
  core_state: CoreState[ArrayT] | tuple[()] = ()


class CoreStep(NamedTuple, Generic[ArrayT]):
  """What a recurrent core is given to act in E environments."""

  state: CoreState[ArrayT]
  reward: ArrayT  # [E], as in EnvOutput.
  starts: ArrayT  # bool [E], where an episode starts: memory is 0 there.


class CoreInput(NamedTuple):
  """What a recurrent core sees beside the features of T steps."""

  state: CoreState[tf.Tensor]  # Before the first step, [B, ...].
  action: tf.Tensor  # [T - 1, B, *action_shape], those in between.
  reward: tf.Tensor  # [T, B], as in EnvOutput.
  starts: tf.Tensor  # bool [T, B], as in CoreStep.


class HeadOutput(NamedTuple):
  """Policy and value of one auxiliary head."""

  policy_logits: tf.Tensor  # [T + 1, B, P].
  baseline: tf.Tensor  # [T + 1, B].


class NetworkOutput(NamedTuple):
  """Policy and value at every observation of an unroll."""

  policy_logits: tf.Tensor  # [T + 1, B, P].
  baseline: tf.Tensor  # [T + 1, B].
  outer_baseline: tf.Tensor | tuple[()] = ()  # The outer critic's; () for none.
  auxiliary: tuple[HeadOutput, ...] = ()
  lstm: tf.Tensor | tuple[()] = ()  # [B, 2 U] after the last step.


class Conditioning(NamedTuple):
  """What a network sees of the meta-parameters, [N] each."""

  values: tf.Tensor  # As they are now.
  reference: tf.Tensor | tuple[()] = ()  # At eta', for a conditioned critic.


class NetworkInit(Protocol):
  """Makes the parameters of a network."""

  def __call__(self, seed: int) -> Nest:
    """Returns arrays; equal seeds make equal ones."""


class NetworkApply(Protocol):
  """Computes policy and value of every step."""

  def __call__(
    self,
    params: Nest,
    stacked: tf.Tensor,
    conditioning: Conditioning | None,
    core_input: CoreInput | None = None,
  ) -> NetworkOutput:
    """Returns outputs [T, B, ...].

    stacked: the stack of frames at every step, [T, B, ..., S]. conditioning:
    None where the network sees no meta-parameter. core_input: None where it has
    no core.
    """


class NetworkInitialState(Protocol):
  """Makes what a core has before the first observation."""

  def __call__(self, num_envs: int) -> CoreState[np.ndarray] | tuple[()]:
    """Returns zeros; () where the network has no core."""


class Network(NamedTuple):
  """A network as plain functions over a nest of parameters."""

  init: NetworkInit
  apply: NetworkApply
  names: Nest = ()  # The parameters', nested as they are.
  initial_state: NetworkInitialState = lambda num_envs: ()


# The inner loss's hyperparameters by name, fixed or learned; each is a scalar
# or broadcasts to [T, B].
Hypers = Mapping[str, 'float | tf.Tensor']

# Logits of the meta-parameters: {name: []} or {name: [states]}.
Eta = dict[str, 'tf.Tensor']


class Targets(NamedTuple):
  """What a return estimator makes of an unroll, [T, B] each."""

  values: tf.Tensor  # The value targets, v_s or g_s.
  advantages: tf.Tensor  # The policy gradient's weights, ratios included.


class OptimizerInit(Protocol):
  """Makes the state of an optimizer."""

  def __call__(self, params: Nest) -> Nest:
    """Returns the state before the first step."""


class OptimizerUpdate(Protocol):
  """Makes a step, differentiably."""

  def __call__(
    self, gradients: Nest, opt_state: Nest, learning_rate: float | tf.Tensor
  ) -> tuple[Nest, Nest]:
    """Returns (updates, opt_state): the step is params + updates."""


class Optimizer(NamedTuple):
  """A differentiable optimizer: its state goes in and comes out."""

  init: OptimizerInit
  update: OptimizerUpdate


class LearnerState(NamedTuple):
  """Everything that training needs to go on, and so a checkpoint holds."""

  params: Nest
  opt_state: Nest
  eta: Nest  # Logits by name, or a meta_parameters.MetaNetwork; {} for none.
  meta_opt_state: Nest
  trace: Nest  # z of MGRL; () where the trace decay is 0.
  num_updates: tf.Tensor  # int64 [].
  env_frames: tf.Tensor  # int64 [], frames consumed by updates.
  context: Nest = ()  # [H, 2] where eta is a meta-network.
