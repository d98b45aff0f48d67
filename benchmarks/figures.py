"""How serving scales, as a figure."""

from collections.abc import Mapping, Sequence

from matplotlib import figure

from benchmarks import measurement

# Env steps/s and the learner's CPU time per env step, of each load.
Loads = Sequence[Sequence[measurement.Result]]


def draw(loads: Mapping[str, tuple[str, Loads]], path: str) -> None:
  """Draws env steps/s and the learner's cores, a column a kind of load.

  loads: by the setting that grows, its label and what was measured.
  """
  made = figure.Figure(figsize=(9, 6), layout='constrained')
  grid = made.subplots(2, len(loads), sharex='col', sharey='row')
  for (rates_axes, cores_axes), (key, (label, measured)) in zip(
    grid.T, loads.items()
  ):
    numbers = [rate.settings[key] for rate, _ in measured]
    rates_axes.plot(numbers, [rate.value for rate, _ in measured], marker='o')
    rates_axes.set_xscale('log', base=2)
    rates_axes.set_yscale('log')
    cores_axes.plot(
      numbers,
      [1e-6 * rate.value * cpu.value for rate, cpu in measured],
      marker='o',
    )
    cores_axes.set_xlabel(label)
  grid[0, 0].set_ylabel('env steps/s')
  grid[1, 0].set_ylabel('cores the learner keeps busy')
  grid[1, 0].set_ylim(bottom=0)
  for axes in grid.flat:
    axes.grid(alpha=0.3)
  made.savefig(path, dpi=120)
