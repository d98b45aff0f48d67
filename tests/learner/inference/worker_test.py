"""Tests of learner/inference/worker.py: a scripted agent that remembers."""

import asyncio
import queue
import threading

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from learner.inference import batcher as batcher_lib
from learner.inference import parameter_store
from learner.inference import unrolls
from learner.inference import worker as inference
from protos import codec
from seed_metagrad import types

_SPEC = types.EnvSpec((1,), 'float32', num_actions=4, frame_stack=2)
_DEADLINE_SECS = 20.0


def _act(params, eta, stacked, seed):
  """Takes params as the action; its logits are the observation before."""
  del eta, seed
  before = stacked[:, 0, 0]
  actions = tf.cast(tf.zeros_like(before), tf.int32) + params
  return types.AgentOutput(
    actions, tf.tile(before[:, tf.newaxis], [1, 4]), stacked[:, 0, 1]
  )


def _outputs(rewards, ends=None, cuts=None, observation=0.0):
  size = len(rewards)
  nothing = np.zeros(size, bool)
  return types.EnvOutput(
    np.array(rewards, np.float32),
    nothing if ends is None else np.array(ends),
    nothing if cuts is None else np.array(cuts),
    nothing,
    np.full((size, 1), observation, np.float32),
  )


class InferenceTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.parameters = parameter_store.ParameterStore(
      parameter_store.Published(tf.constant(1), {}, 0)
    )
    self.inference = self.make(_act)

  def make(self, act, **kwargs):
    store = unrolls.UnrollStore(2, _SPEC)
    return inference.Inference(
      act, _SPEC, self.parameters, store, seed=1, **kwargs
    )

  def act(self, env_ids, reset, *args, **kwargs):
    acted = self.inference.act(
      np.array(env_ids), np.full(len(env_ids), reset), _outputs(*args, **kwargs)
    )
    return acted.agent_outputs.action, self.inference.record(acted)

  def test_acts_with_the_newest_parameters(self):
    np.testing.assert_array_equal(self.act([0, 1], True, [0, 0])[0], [1, 1])
    self.parameters.publish(parameter_store.Published(tf.constant(3), {}, 1))
    np.testing.assert_array_equal(self.act([0, 1], False, [0, 0])[0], [3, 3])

  def test_params_eta_and_seed_reach_the_agent_as_they_are_called(self):
    def act(params, eta, stacked, seed):
      one = tf.ones_like(stacked[:, 0, 0])
      logits = tf.stack(
        [params['w'] * one, eta['lambda_'] * one, eta['discount'] * one, one],
        axis=-1,
      )
      return types.AgentOutput(
        tf.cast(one, tf.int32) * seed[1], logits, params['b'] * one
      )

    published = parameter_store.Published(
      {'w': tf.constant(2.0), 'b': tf.constant(3.0)},
      {'lambda_': tf.constant(4.0), 'discount': tf.constant(5.0)},
      0,
    )
    store = unrolls.UnrollStore(1, _SPEC)
    agent = inference.Inference(
      act, _SPEC, parameter_store.ParameterStore(published), store, seed=7
    )
    for call in range(3):
      acted = agent.act(np.array([0]), np.array([not call]), _outputs([0]))
      finished = agent.record(acted)
      np.testing.assert_array_equal(acted.agent_outputs.action, [call])
    outputs = finished[0].unroll.agent_outputs
    np.testing.assert_array_equal(outputs.policy_logits, [[2, 4, 5, 1]] * 2)
    np.testing.assert_array_equal(outputs.baseline, [3, 3])

  def test_each_environment_keeps_its_frames(self):
    self.act([0, 7], True, [0, 0], observation=5.0)
    self.act([7], False, [0], observation=6.0)
    self.act([7], False, [0], observation=8.0)
    self.act([0, 7], False, [0, 0], observation=9.0)
    _, [finished] = self.act([7], False, [0], observation=10.0)
    # At each step the agent saw the observation of the step before.
    np.testing.assert_array_equal(
      finished.unroll.agent_outputs.policy_logits[:, 0], [6.0, 8.0, 9.0]
    )
    np.testing.assert_array_equal(finished.unroll.memory, [[6.0]])

  def test_frames_are_forgotten_where_an_episode_begins(self):
    def act(params, eta, stacked, seed):
      outputs = _act(params, eta, stacked, seed)
      return outputs._replace(action=tf.cast(stacked[:, 0, 0], tf.int32))

    agent = self.make(act)
    for ends, cuts, reset, seen in (
      (None, None, False, 5),
      ([True], None, False, 0),
      (None, [True], False, 0),
      (None, None, True, 0),
    ):
      for outputs, new in (
        (_outputs([0], observation=5.0), True),
        (_outputs([0], ends, cuts, 6.0), reset),
      ):
        acted = agent.act(np.array([0]), np.array([new]), outputs)
        agent.record(acted)
      np.testing.assert_array_equal(acted.agent_outputs.action, [seen])

  def test_raw_returns_are_counted_to_the_end_of_the_episode(self):
    self.act([0, 1], True, [100, 100])  # Not counted.
    self.act([0, 1], False, [2, 0])
    self.act([0, 1], False, [3, 7], ends=[True, False])
    self.act([0, 1], False, [1, 0])
    self.act([0, 1], False, [1, 1], cuts=[False, True])
    self.assertEqual(
      self.inference.take_episodes(),
      [inference.Episode(5.0, 2), inference.Episode(8.0, 4)],
    )
    self.assertEmpty(self.inference.take_episodes())

  def test_a_restored_one_continues_exactly(self):
    self.act([0, 1], True, [0, 0], observation=5.0)
    self.act([0, 1], False, [2, 0], ends=[False, True], observation=6.0)
    other = self.make(_act, num_calls=self.inference.save().num_calls)
    other.restore_environments(self.inference.save_environments())
    results = []
    for one in (self.inference, other):
      self.inference = one
      _, finished = self.act([0, 1], False, [3, 4], ends=[True, False])
      results.append((finished, one.take_episodes(), one.num_calls))
    (finished, episodes, num_calls), (again, *others) = results
    tf.nest.map_structure(np.testing.assert_array_equal, finished, again)
    self.assertLen(again, 2)
    self.assertEqual([episodes, num_calls], others)
    self.assertEqual(
      episodes, [inference.Episode(0.0, 1), inference.Episode(5.0, 2)]
    )

  def test_reset_starts_an_episode(self):
    self.act([0], True, [0])
    self.act([0], False, [4])
    self.act([0], True, [9])
    self.act([0], False, [1], ends=[True])
    self.assertEqual(
      self.inference.take_episodes(), [inference.Episode(1.0, 1)]
    )

  def test_reset_is_marked_as_an_end_in_the_unroll(self):
    self.act([0], True, [0])
    self.act([0], False, [0])
    [finished] = self.act([0], False, [0])[1]
    np.testing.assert_array_equal(
      finished.unroll.env_outputs.terminated, [True, False, False]
    )

  def test_one_trace_serves_all_batch_sizes(self):
    traces = []

    def act(*arguments):
      traces.append(1)
      return _act(*arguments)

    agent = self.make(act)
    for size in (1, 2, 5, 16, 3):
      acted = agent.act(
        np.arange(size), np.full(size, True), _outputs(np.zeros(size))
      )
      self.assertLen(acted.agent_outputs.action, size)
    self.assertLen(traces, 1)


class ServeTest(absltest.TestCase):
  def test_answers_every_request_and_hands_over_unrolls(self):
    parameters = parameter_store.ParameterStore(
      parameter_store.Published(tf.constant(2), {}, 0)
    )
    agent = inference.Inference(
      _act, _SPEC, parameters, unrolls.UnrollStore(2, _SPEC), seed=1
    )
    batcher = batcher_lib.Batcher(3, 8, None)
    finished, stop = queue.Queue(), threading.Event()
    thread = threading.Thread(
      target=inference.serve, args=(agent, batcher, finished, stop)
    )
    thread.start()
    loop = asyncio.new_event_loop()
    self.addCleanup(loop.close)
    for step in range(3):
      answers = []
      for ids in (np.array([0, 4]), np.array([2])):
        answers.append(loop.create_future())
        packed = codec.encode_step(_outputs(np.zeros(len(ids))))
        batcher.submit(
          batcher_lib.Request(
            ids,
            step == 0,
            codec.Step(packed.rewards, packed.flags, packed.observations),
            f'actor-{len(ids)}',
          ),
          answers[-1],
        )
      for answer, size in zip(answers, (2, 1), strict=True):
        self.assertEqual(
          loop.run_until_complete(asyncio.wait_for(answer, _DEADLINE_SECS)),
          batcher_lib.Answer(np.full(size, 2, np.int32).tobytes(), False),
        )
    for _ in range(3):
      finished.get(timeout=_DEADLINE_SECS)
    batcher.close()
    thread.join(_DEADLINE_SECS)
    self.assertTrue(finished.empty())
    self.assertFalse(thread.is_alive())


if __name__ == '__main__':
  absltest.main()
