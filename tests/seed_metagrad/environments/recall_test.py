"""Recall's rules, by hand."""

from absl.testing import absltest
import numpy as np

from seed_metagrad.environments import recall


class RecallTest(absltest.TestCase):
  def test_cue_is_shown_once_and_asked_for_at_the_end(self):
    env = recall.Recall(50, seed=3)
    shown = env.reset().observation
    np.testing.assert_array_equal(shown[:, :4].sum(1), np.ones(50))
    np.testing.assert_array_equal(shown[:, 4], np.zeros(50))
    cues = shown[:, :4].argmax(1)
    self.assertLen(set(cues), 4)
    for step in range(1, 12):
      output = env.step(cues.astype(np.int32))  # Right, and too early.
      self.assertFalse(output.reward.any() or output.terminated.any())
      expected = np.zeros([50, 5])
      expected[:, 4] = step == 11
      np.testing.assert_array_equal(output.observation, expected)
    answers = np.zeros(50, np.int32)
    output = env.step(answers)
    np.testing.assert_array_equal(output.reward, cues == 0)
    self.assertTrue(output.terminated.all())
    self.assertFalse(output.truncated.any() or output.life_lost.any())
    np.testing.assert_array_equal(output.observation[:, :4].sum(1), np.ones(50))

  def test_who_remembers_is_always_right(self):
    env = recall.Recall(20, seed=3)
    observation = env.reset().observation
    for _ in range(3):
      cues = observation[:, :4].argmax(1).astype(np.int32)
      for _ in range(12):
        output = env.step(cues)
      np.testing.assert_array_equal(output.reward, np.ones(20))
      observation = output.observation


if __name__ == '__main__':
  absltest.main()
