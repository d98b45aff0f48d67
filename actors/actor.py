"""Steps groups of environments with the learner's actions."""

from collections.abc import Sequence

import numpy as np

from actors import client as client_lib
from protos import codec
from protos import inference_pb2
from seed_metagrad import types
from seed_metagrad.environments import environment


class Group:
  """Environments that step together, and their client."""

  def __init__(self, env: environment.Environment, client: client_lib.Client):
    self._env = env
    self._client = client

  async def start(self) -> None:
    """Joins, and sends the first step of new or of restored episodes."""
    saved = await self._client.join()
    outputs = self._env.reset()
    if saved:
      outputs = self._restore(saved)
    await self._client.send(outputs)

  async def advance(self) -> None:
    """Waits for actions, steps, and sends the outcome."""
    try:
      reply = await self._client.receive()
    except client_lib.Lost:
      await self.start()
      return
    outputs = self._env.step(reply.actions)
    state = self._save(outputs) if reply.send_state else b''
    await self._client.send(outputs, state)

  def _save(self, outputs: types.EnvOutput[np.ndarray]) -> bytes:
    if not isinstance(self._env, environment.Savable):
      return b''
    step = codec.encode_step(outputs)
    step.env_state = self._env.get_state()
    return step.SerializeToString()

  def _restore(self, saved: bytes) -> types.EnvOutput[np.ndarray]:
    assert isinstance(self._env, environment.Savable)
    step = inference_pb2.ActRequest.FromString(saved)
    self._env.set_state(step.env_state)
    return codec.decode_step(step, self._env.num_envs, self._env.spec)


async def run(groups: Sequence[Group]) -> None:
  """Steps until training is over: one group steps while the others wait.

  Raises:
    client.Refused, client.Unreachable.
  """
  try:
    for group in groups:
      await group.start()
    while True:
      for group in groups:
        await group.advance()
  except client_lib.Done:
    return


def env_seed(seed: int, index: int, group: int) -> int:
  """Derives the seed of one group of one actor from the run's root seed."""
  sequence = np.random.SeedSequence(seed, spawn_key=(index, group))
  return int(sequence.generate_state(1)[0])
