"""How serving scales, as a figure."""

from collections.abc import Sequence

from matplotlib import figure

from benchmarks import measurement


def draw(grid: Sequence[Sequence[measurement.Result]], path: str) -> None:
  """Draws env steps/s and the learner's CPU time, a line a size of request.

  grid: what was measured of each load.
  """
  made = figure.Figure(figsize=(9, 4), layout='constrained')
  rates_axes, cpu_axes = made.subplots(1, 2)
  lines: dict[int, list[dict[str, measurement.Result]]] = {}
  for results in grid:
    by_name = {result.name: result for result in results}
    size = results[0].settings['envs_per_request']
    lines.setdefault(size, []).append(by_name)
  for size, loads in lines.items():
    actors = [one['serve.env_steps_per_s'].settings['actors'] for one in loads]
    for axes, name in (
      (rates_axes, 'serve.env_steps_per_s'),
      (cpu_axes, 'serve.learner_cpu_us_per_env_step'),
    ):
      axes.plot(
        actors, [one[name].value for one in loads], marker='o', label=f'{size}'
      )
  rates_axes.set_ylabel('env steps/s')
  cpu_axes.set_ylabel('CPU time of the learner, us an env step')
  rates_axes.legend(title='environments a message')
  for axes in (rates_axes, cpu_axes):
    axes.set_xlabel('actors')
    axes.set_xscale('log', base=2)
    axes.set_yscale('log')
    axes.grid(alpha=0.3)
  made.savefig(path, dpi=120)
