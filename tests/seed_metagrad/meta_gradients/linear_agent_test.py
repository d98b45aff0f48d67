"""Whole meta-updates against an agent written out in NumPy."""

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np
import tensorflow as tf

from seed_metagrad.meta_gradients import meta
from tests.support import linear_agent
from tests.support import tiny


class LinearAgentTest(parameterized.TestCase):
  @parameterized.parameters(
    (0.0, 1, 0.5, 1.0),
    (0.0, 2, 1e6, 1e9),
    (0.5, 1, 1e6, 1.1),
    (0.5, 2, 0.5, 1.0),
    (1.0, 1, 0.5, 1e9),
    (1.0, 2, 1e6, 1.1),
  )
  def test_three_updates(self, trace_decay, steps, max_norm, outer_rho_pg):
    config = tiny.config(
      meta_optimizer='adam',
      meta_learning_rate=0.05,
      learning_rate=0.3,
      trace_decay=trace_decay,
      max_gradient_norm=max_norm,
      outer_rho_pg=outer_rho_pg,
      reference_discount=0.95,
      reference_lambda=0.9,
    )
    rules, state = tiny.setup(config, network=tiny.linear_network())
    state = meta.init(rules, state.params, state.eta)
    expected = linear_agent.init(
      *tf.nest.map_structure(lambda x: x.numpy(), (state.params, state.eta))
    )
    for k in range(3):
      *unrolls, meta_unroll = (
        tiny.unroll(10 * k + i, 5) for i in range(steps + 1)
      )
      state, _ = meta.update(
        state,
        tiny.tensors(unrolls),
        [tiny.tensors(meta_unroll)],
        config.learning_rate,
        rules=rules,
      )
      expected = linear_agent.update(expected, unrolls, meta_unroll, config)
    self._assert_same(state, expected, config)

  def _assert_same(self, state, expected, config):
    close = dict(rtol=1e-6, atol=1e-10)
    for a, b in zip(
      state.params + state.opt_state,
      expected.theta + expected.slots,
      strict=True,
    ):
      np.testing.assert_allclose(a, b, **close)
    for name in config.learned:
      _, m, v = expected.meta_slots[name]
      np.testing.assert_allclose(state.eta[name], expected.eta[name], **close)
      np.testing.assert_allclose(state.meta_opt_state.m[name], m, **close)
      np.testing.assert_allclose(state.meta_opt_state.v[name], v, **close)
      if config.trace_decay:
        for a, b in zip(state.trace[name], expected.trace[name], strict=True):
          np.testing.assert_allclose(a, b, **close)


if __name__ == '__main__':
  absltest.main()
