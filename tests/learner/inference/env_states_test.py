"""When lock-step asks for the environments' states: where it may be saved."""

import asyncio
import contextlib
import itertools
import queue
import threading
from unittest import mock

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from learner.inference import batcher as batcher_lib
from learner.inference import lockstep
from learner.inference import parameter_store
from learner.inference import unrolls
from learner.inference import worker as inference_lib
from protos import codec
from seed_metagrad import types

_SPEC = types.EnvSpec((1,), 'float32', num_actions=4)
_UNROLL_LENGTH = 3
_PEERS = ('a', 'b')
_PATIENCE_SECS = 20.0


def _act(params, eta, stacked, seed):
  del eta, seed
  zeros = tf.zeros_like(stacked[:, 0, 0])
  return types.AgentOutput(
    tf.cast(zeros, tf.int32) + params, tf.zeros([2, 4]), zeros
  )


def _request(peer, sequence, env_state):
  """A step of one environment, the first of a lease where it is number 0."""
  packed = codec.encode_step(
    types.EnvOutput(
      np.zeros(1, np.float32),
      *[np.zeros(1, bool)] * 3,
      np.zeros((1, 1), np.float32),
    )
  )
  return batcher_lib.Request(
    np.array([_PEERS.index(peer)], np.int32),
    sequence == 0,
    codec.Step(packed.rewards, packed.flags, packed.observations),
    peer,
    env_state,
  )


class EnvStatesTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.go_on = threading.Event()
    self.asked = []  # Whether, an answer.

  def make(self, steps):
    """A lock-step whose actors make so many steps before they may go on."""
    parameters = parameter_store.ParameterStore(
      parameter_store.Published(tf.constant(1), {}, 0)
    )
    inference = inference_lib.Inference(
      _act,
      _SPEC,
      parameters,
      unrolls.UnrollStore(_UNROLL_LENGTH, _SPEC),
      seed=1,
    )
    batcher = batcher_lib.Batcher(2, 2, None)
    self.addCleanup(batcher.close)

    async def run_actors():
      send_state = False
      for sequence in itertools.count():
        if sequence == steps:
          self.go_on.wait(_PATIENCE_SECS)
        state = b'%d' % sequence if send_state else b''
        futures = []
        for peer in _PEERS:
          futures.append(asyncio.get_running_loop().create_future())
          batcher.submit(_request(peer, sequence, state), futures[-1])
        answers = await asyncio.gather(*futures)
        send_state = answers[0].send_state
        self.asked.append(send_state)

    def actors():
      with contextlib.suppress(batcher_lib.Closed):
        asyncio.run(run_actors())

    threading.Thread(target=actors, daemon=True).start()
    return lockstep.LockStep(inference, batcher)

  def test_states_come_with_the_step_after_an_unroll(self):
    source = self.make(100)
    for _ in range(2 * len(_PEERS)):  # Two unrolls of each.
      source.get(_PATIENCE_SECS)
    saved = source.save().lockstep
    self.assertEqual(saved.env_states, {'a': b'7', 'b': b'7'})
    # Step 3 ends the first one, and is the first of the second.
    self.assertEqual(self.asked, [False] * 3 + [True] + [False] * 2 + [True])

  def test_a_run_that_stops_amid_an_unroll_makes_one_step_more(self):
    source = self.make(2)
    with self.assertRaises(queue.Empty):
      source.get(0.5)
    self.go_on.set()
    saved = source.save().lockstep
    self.assertEqual(saved.env_states, {'a': b'3', 'b': b'3'})
    self.assertEqual(self.asked, [False, False, True])

  def test_what_is_restored_is_saved_again_until_it_is_answered(self):
    source = self.make(100)
    source.get(_PATIENCE_SECS)
    saved = source.save().lockstep
    restored = self.make(0)  # Its actors do not come.
    restored.restore(saved)
    with (
      mock.patch.object(lockstep, '_SAVE_SECS', 0.1),
      self.assertLogs(level='WARNING'),
    ):
      again = restored.save().lockstep
    self.assertEqual(again.env_states, saved.env_states)


if __name__ == '__main__':
  absltest.main()
