"""The serial agent on the chain."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tqdm

from experiments.illustrative import chain_control
from seed_metagrad import types
from seed_metagrad.environments import chain


def _unroll(cells, logits):
  """An unroll [T + 1, 1] that sees these (lane, step) cells."""
  observation = np.zeros([len(cells), 1, 2, chain.LENGTH], np.float32)
  for t, (lane, step) in enumerate(cells):
    observation[t, 0, lane, step] = 1.0
  env_outputs = types.EnvOutput(*4 * [None], observation)
  agent_outputs = types.AgentOutput(
    None, np.array(logits, np.float32)[:, np.newaxis], None
  )
  return types.Unroll((), env_outputs, agent_outputs)


class ChainControlTest(parameterized.TestCase):
  def test_waiting_counts_decisions_alone(self):
    # softmax([0, ln 3]) waits with 3/4, softmax([0, 0]) with 1/2.
    unroll = _unroll(
      [(0, 0), (0, 5), (1, 3), (0, 0)],
      [[0.0, np.log(3.0)], [9.0, 0.0], [9.0, 0.0], [0.0, 0.0]],
    )
    self.assertAlmostEqual(chain_control.waiting(unroll), 0.625, places=6)

  @parameterized.parameters(((),), (('discount',),))
  def test_every_update_is_noted_and_only_what_is_learned_moves(self, learned):
    config = chain_control.make_config(learned, 0.5, num_updates=6)
    with tqdm.tqdm(disable=True) as bar:
      curves = chain_control.train(config, [1, 2], bar)
    self.assertEqual(curves.discount.shape, (2, 6))
    self.assertEqual(curves.waiting.shape, (2, 6))
    self.assertEqual(np.all(curves.discount == 0.5), not learned)
    self.assertBetween(curves.waiting.min(), 0.2, 0.8)
    self.assertNotEqual(curves.waiting[0, 0], curves.waiting[1, 0])

  def test_variants_start_on_both_sides_of_the_threshold(self):
    starts = {
      name: discount for name, (_, discount) in chain_control.VARIANTS.items()
    }
    self.assertLess(starts['fixed, bad'], chain.THRESHOLD_DISCOUNT)
    self.assertEqual(starts['learned'], starts['fixed, bad'])
    self.assertGreater(starts['fixed, best'], chain.THRESHOLD_DISCOUNT)


if __name__ == '__main__':
  absltest.main()
