"""Tests of learner/inference/unrolls.py, with steps that are numbered."""

from absl.testing import absltest
import numpy as np
import tensorflow as tf

from learner.inference import unrolls
from seed_metagrad import types

_SPEC = types.EnvSpec((2,), 'uint8', num_actions=3, frame_stack=2)
_LENGTH = 3


def _step(env_ids, t):
  """Step t of some environments: every number is 10 env + t."""
  number = 10 * np.asarray(env_ids) + t
  nothing = np.zeros(len(env_ids), bool)
  env_outputs = types.EnvOutput(
    number.astype(np.float32),
    nothing,
    nothing,
    nothing,
    np.repeat(number[:, np.newaxis], 2, axis=1).astype(np.uint8),
  )
  agent_outputs = types.AgentOutput(
    number.astype(np.int32),
    np.repeat(number[:, np.newaxis], 3, axis=1).astype(np.float32),
    number.astype(np.float32),
  )
  stacks = np.stack([env_outputs.observation - 1, env_outputs.observation], -1)
  return env_outputs, agent_outputs, stacks


class UnrollsTest(absltest.TestCase):
  def setUp(self):
    super().setUp()
    self.store = unrolls.UnrollStore(_LENGTH, _SPEC)

  def append(self, env_ids, t, reset=False):
    return self.store.append(
      np.array(env_ids),
      np.full(len(env_ids), reset),
      *_step(env_ids, t),
      num_updates=100 + t,
    )

  def test_unrolls_overlap_by_one_step(self):
    ended = [self.append([4], t) for t in range(2 * _LENGTH + 1)]
    self.assertEqual(
      [len(finished) for finished in ended], [0, 0, 0, 1, 0, 0, 1]
    )
    for finished, start in ((ended[3][0], 0), (ended[6][0], 3)):
      steps = 40 + np.arange(start, start + _LENGTH + 1)
      unroll = finished.unroll
      np.testing.assert_array_equal(unroll.env_outputs.reward, steps)
      np.testing.assert_array_equal(unroll.env_outputs.observation[:, 1], steps)
      np.testing.assert_array_equal(unroll.agent_outputs.action, steps)
      np.testing.assert_array_equal(
        unroll.agent_outputs.policy_logits[:, 2], steps
      )
      # The frame before the first step, and who acted at it.
      np.testing.assert_array_equal(
        unroll.memory, np.full((1, 2), steps[0] - 1)
      )
      self.assertEqual(finished.num_updates, 100 + start)

  def test_environments_do_not_mix(self):
    self.append([0], 0)
    for t in range(_LENGTH):
      self.append([5, 1], t)
    finished = self.append([1, 0, 5], _LENGTH)
    self.assertEqual(
      [f.unroll.env_outputs.reward[0] for f in finished], [10, 50]
    )

  def test_reset_drops_what_was_in_progress(self):
    for t in range(_LENGTH):
      self.append([2], t)
    self.assertEmpty(self.append([2], 7, reset=True))
    for t in range(8, 7 + _LENGTH):
      self.assertEmpty(self.append([2], t))
    [finished] = self.append([2], 7 + _LENGTH)
    np.testing.assert_array_equal(
      finished.unroll.env_outputs.reward, 27 + np.arange(_LENGTH + 1)
    )
    self.assertEqual(finished.num_updates, 107)

  def test_staggered_unrolls_end_one_after_the_other(self):
    store = unrolls.UnrollStore(_LENGTH, _SPEC, staggered=True)
    ends = {0: [], 1: [], 2: [], 3: []}
    for t in range(3 * _LENGTH):
      env_ids = np.arange(4)
      for finished in store.append(
        env_ids, np.full(4, t == 0), *_step(env_ids, t), num_updates=100 + t
      ):
        rewards = finished.unroll.env_outputs.reward
        env_id, start = divmod(int(rewards[0]), 10)
        np.testing.assert_array_equal(
          rewards, 10 * env_id + np.arange(start, start + _LENGTH + 1)
        )
        before = np.full((1, 2), (rewards[0] - 1) % 256)
        np.testing.assert_array_equal(finished.unroll.memory, before)
        self.assertEqual(finished.num_updates, 100 + start)
        ends[env_id].append(t)
    self.assertEqual(ends, {0: [3, 6], 1: [4, 7], 2: [5, 8], 3: [3, 6]})

  def test_finished_unrolls_are_copies(self):
    for t in range(_LENGTH):
      self.append([0], t)
    [finished] = self.append([0], _LENGTH)
    before = finished.unroll.env_outputs.observation.copy()
    for t in range(10, 20):
      self.append([0], t)
    np.testing.assert_array_equal(
      finished.unroll.env_outputs.observation, before
    )

  def test_room_is_doubled_where_environments_come_one_by_one(self):
    store = unrolls.UnrollStore(2, _SPEC)
    rooms = set()
    for num_envs in range(1, 65):
      store.grow(num_envs)
      rooms.add(len(store.save()[-1]))
    self.assertEqual(rooms, {1, 2, 4, 8, 16, 32, 64})

  def test_memory_is_t_plus_four_frames(self):
    spec = types.EnvSpec((84, 84), 'uint8', num_actions=6, frame_stack=4)
    store = unrolls.UnrollStore(20, spec)
    store.grow(10)
    held = sum(
      rows.nbytes
      for rows in tf.nest.flatten(
        [value for value in vars(store).values() if not isinstance(value, int)]
      )
    )
    self.assertLessEqual(held, 1.15 * 10 * (20 + 4) * 84 * 84)

  def test_unrolls_that_end_together_are_copied_once(self):
    for t in range(_LENGTH + 1):
      finished = self.append([0, 1, 2], t)
    frames = [f.unroll.env_outputs.observation for f in finished]
    copy = frames[0].base
    for i, one in enumerate(frames):
      self.assertTrue(np.shares_memory(one, copy[i]))
    # The next step must not write into what the learner holds.
    before = copy.copy()
    self.append([0, 1, 2], _LENGTH + 1)
    np.testing.assert_array_equal(copy, before)

  def test_from_arrays_undoes_to_arrays(self):
    finished = []
    for t in range(_LENGTH + 1):
      finished += self.append([0, 1], t)
    again = unrolls.from_arrays(unrolls.to_arrays(finished))
    self.assertLen(again, 2)
    self.assertEqual(again[1].num_updates, 100)
    tf.nest.map_structure(np.testing.assert_array_equal, again, finished)

  def test_batch_is_time_major(self):
    finished = []
    for t in range(_LENGTH + 1):
      finished += self.append([0, 1, 2], t)
    batch = unrolls.batch([f.unroll for f in finished])
    self.assertEqual(batch.env_outputs.reward.shape, (_LENGTH + 1, 3))
    self.assertEqual(batch.env_outputs.reward[2, 1], 12)
    self.assertEqual(batch.memory.shape, (1, 3, 2))
    part = unrolls.columns(batch, 1, 3)
    np.testing.assert_array_equal(
      part.env_outputs.reward, batch.env_outputs.reward[:, 1:3]
    )
    np.testing.assert_array_equal(part.memory, batch.memory[:, 1:3])


if __name__ == '__main__':
  absltest.main()
