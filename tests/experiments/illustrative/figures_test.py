"""What the figures show of learned tables."""

from absl.testing import absltest
import numpy as np

from experiments.illustrative import chain_control
from experiments.illustrative import figures
from experiments.illustrative import markov_processes
from experiments.illustrative import prediction

_A = markov_processes.PROCESSES['A']


def _outcome(num_seeds=3, num_updates=4):
  rng = np.random.default_rng(1)
  learned = rng.uniform(size=[num_updates, num_seeds, len(_A.high)])
  return prediction.Outcome(
    _A, {0.0: learned, 0.5: learned}, np.ones(num_seeds), np.ones([2, 3])
  )


class FiguresTest(absltest.TestCase):
  def test_bands_are_over_seeds_without_the_first_state(self):
    # States 3, 5, 7, 9 of seed s have the value s / 10; state 1 has 9.
    learned = np.zeros([1, 6, 10])
    learned[..., ::2] = np.arange(6)[:, np.newaxis] / 10
    learned[..., 0] = 9.0
    bands = figures.bands(_A, learned)
    np.testing.assert_allclose(
      np.concatenate(bands['signal']), [0.25, 0.1, 0.4], atol=1e-12
    )
    np.testing.assert_array_equal(
      np.concatenate(bands['noise']), [0.0, 0.0, 0.0]
    )

  def test_figure1_has_a_curve_and_violins_of_each_kind(self):
    made = figures.figure1({'A': _outcome()}, 0.5, 2)
    above, below = made.axes
    self.assertEqual(
      [line.get_label() for line in above.lines],
      ['signal states', 'noise states'],
    )
    np.testing.assert_array_equal(above.lines[0].get_xdata(), [2, 4, 6, 8])
    self.assertLen(below.collections, 9)  # States 2 to 10.

  def test_trace_has_a_panel_for_each_mu(self):
    made = figures.trace({'A': _outcome(), 'B': _outcome()}, 1)
    self.assertEqual(
      [axes.get_title() for axes in made.axes],
      [f'{name}, $\\mu$ = {mu}' for name in 'AB' for mu in ('0', '0.5')],
    )

  def test_control_has_a_line_for_each_seed_and_variant(self):
    table = np.full([5, 7], 0.5)
    made = figures.control(
      {
        name: chain_control.Curves(table, table)
        for name in chain_control.VARIANTS
      }
    )
    left, right = made.axes
    self.assertLen(left.lines, 5 + 2)  # And the two known discounts.
    self.assertLen(right.lines, 3)


if __name__ == '__main__':
  absltest.main()
