from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnvSpec(_message.Message):
    __slots__ = ("observation_shape", "observation_dtype", "num_actions", "frame_stack", "action_repeat", "observation_low", "observation_high", "action_sizes", "action_dims")
    OBSERVATION_SHAPE_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_DTYPE_FIELD_NUMBER: _ClassVar[int]
    NUM_ACTIONS_FIELD_NUMBER: _ClassVar[int]
    FRAME_STACK_FIELD_NUMBER: _ClassVar[int]
    ACTION_REPEAT_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_LOW_FIELD_NUMBER: _ClassVar[int]
    OBSERVATION_HIGH_FIELD_NUMBER: _ClassVar[int]
    ACTION_SIZES_FIELD_NUMBER: _ClassVar[int]
    ACTION_DIMS_FIELD_NUMBER: _ClassVar[int]
    observation_shape: _containers.RepeatedScalarFieldContainer[int]
    observation_dtype: str
    num_actions: int
    frame_stack: int
    action_repeat: int
    observation_low: _containers.RepeatedScalarFieldContainer[float]
    observation_high: _containers.RepeatedScalarFieldContainer[float]
    action_sizes: _containers.RepeatedScalarFieldContainer[int]
    action_dims: int
    def __init__(self, observation_shape: _Optional[_Iterable[int]] = ..., observation_dtype: _Optional[str] = ..., num_actions: _Optional[int] = ..., frame_stack: _Optional[int] = ..., action_repeat: _Optional[int] = ..., observation_low: _Optional[_Iterable[float]] = ..., observation_high: _Optional[_Iterable[float]] = ..., action_sizes: _Optional[_Iterable[int]] = ..., action_dims: _Optional[int] = ...) -> None: ...

class JoinRequest(_message.Message):
    __slots__ = ("protocol", "actor", "group", "run_id", "num_envs", "env", "spec", "env_settings")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    NUM_ENVS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    ENV_SETTINGS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    actor: str
    group: int
    run_id: int
    num_envs: int
    env: str
    spec: EnvSpec
    env_settings: str
    def __init__(self, protocol: _Optional[int] = ..., actor: _Optional[str] = ..., group: _Optional[int] = ..., run_id: _Optional[int] = ..., num_envs: _Optional[int] = ..., env: _Optional[str] = ..., spec: _Optional[_Union[EnvSpec, _Mapping]] = ..., env_settings: _Optional[str] = ...) -> None: ...

class JoinReply(_message.Message):
    __slots__ = ("env_ids", "env_state", "done")
    ENV_IDS_FIELD_NUMBER: _ClassVar[int]
    ENV_STATE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    env_ids: _containers.RepeatedScalarFieldContainer[int]
    env_state: bytes
    done: bool
    def __init__(self, env_ids: _Optional[_Iterable[int]] = ..., env_state: _Optional[bytes] = ..., done: _Optional[bool] = ...) -> None: ...

class ActRequest(_message.Message):
    __slots__ = ("run_id", "sequence", "rewards", "flags", "observations", "env_state")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    ENV_STATE_FIELD_NUMBER: _ClassVar[int]
    run_id: int
    sequence: int
    rewards: bytes
    flags: bytes
    observations: bytes
    env_state: bytes
    def __init__(self, run_id: _Optional[int] = ..., sequence: _Optional[int] = ..., rewards: _Optional[bytes] = ..., flags: _Optional[bytes] = ..., observations: _Optional[bytes] = ..., env_state: _Optional[bytes] = ...) -> None: ...

class ActReply(_message.Message):
    __slots__ = ("actions", "done", "send_state")
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    SEND_STATE_FIELD_NUMBER: _ClassVar[int]
    actions: bytes
    done: bool
    send_state: bool
    def __init__(self, actions: _Optional[bytes] = ..., done: _Optional[bool] = ..., send_state: _Optional[bool] = ...) -> None: ...
