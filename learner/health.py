"""Whether the meta-parameters learn: signal, noise and how far they travelled.

A logit that could move by less than one unit (meta learning rate times updates)
is a constant: a run compares two plain agents then, and says so at its end.
"""

from collections.abc import Mapping
import math
from typing import NamedTuple

from seed_metagrad.meta_gradients import gauges as gauges_lib
from seed_metagrad.meta_gradients import outer

_LOOKS = '/looks'  # No name of a meta-parameter.
_DECAY = 0.999  # The running mean and variance, per update.
LEAST_TRAVEL = 1.0  # Logits; less than that is a constant.
NOISE = 0.02  # Signal to noise below which only noise is followed.


class Gauge(NamedTuple):
  """What is known of one meta-parameter's meta-gradient."""

  start: float  # The logit that the run started at.
  updates: int = 0
  mean: float = 0.0  # Running, of the meta-gradient.
  square: float = 0.0  # Running, of its square.
  looks: int = 0  # Updates at which the halves of tau' were compared.
  agreements: float = 0.0  # Those that agreed in sign.

  @property
  def signal_to_noise(self) -> float:
    """Running mean over running standard deviation; NaN before two updates."""
    if self.updates < 2:
      return math.nan
    weight = 1.0 - _DECAY**self.updates
    mean, square = self.mean / weight, self.square / weight
    variance = max(square - mean * mean, 0.0)
    return mean / math.sqrt(variance) if variance else math.nan

  @property
  def sign_agreement(self) -> float:
    """The share of looks at which both halves of tau' agreed; NaN without."""
    return self.agreements / self.looks if self.looks else math.nan


class Health:
  """Follows the meta-gradients of a run, and where its logits are.

  logits: by name, of the state that the run starts from. saved: `save` of a run
  that is resumed.
  """

  def __init__(
    self,
    logits: Mapping[str, float],
    meta_learning_rate: float,
    saved: Mapping[str, list[float]] | None = None,
  ):
    self._meta_learning_rate = meta_learning_rate
    self._looks: dict[str, float] = {}  # The newest of `outer.GAUGES`.
    self._gauges = {name: Gauge(logit) for name, logit in logits.items()}
    saved = dict(saved or {})
    self._looks |= dict(zip(outer.GAUGES, saved.pop(_LOOKS, [])))
    for name, values in saved.items():
      start, updates, mean, square, looks, agreements = values
      self._gauges[name] = Gauge(
        start, int(updates), mean, square, int(looks), agreements
      )

  def save(self) -> dict[str, list[float]]:
    """Returns all of it, for a checkpoint."""
    gauges = {name: list(gauge) for name, gauge in self._gauges.items()}
    looks = [self._looks.get(name, math.nan) for name in outer.GAUGES]
    seen = not any(map(math.isnan, looks))  # JSON has no NaN.
    return gauges | ({_LOOKS: looks} if gauges and seen else {})

  def add(self, metrics: Mapping[str, float]) -> None:
    """Adds the metrics of an update that was not skipped."""
    for name in outer.GAUGES:
      value = float(metrics.get(name, math.nan))
      if not math.isnan(value) or name not in self._looks:
        self._looks[name] = value
    for name, gauge in self._gauges.items():
      gradient = float(metrics[f'meta_gradient_{name}'])
      agreed = float(metrics.get(gauges_lib.SIGN + name, math.nan))
      looked = not math.isnan(agreed)
      self._gauges[name] = gauge._replace(
        updates=gauge.updates + 1,
        mean=_DECAY * gauge.mean + (1 - _DECAY) * gradient,
        square=_DECAY * gauge.square + (1 - _DECAY) * gradient * gradient,
        looks=gauge.looks + looked,
        agreements=gauge.agreements + (agreed if looked else 0.0),
      )

  def row(self, logits: Mapping[str, float]) -> dict[str, float]:
    """The columns of a row of metrics.csv."""
    gauges = self._gauges
    columns = dict(self._looks) if gauges else {}
    columns |= {f'logit_{name}': logits[name] for name in gauges}
    columns |= {
      f'travelled_{name}': logits[name] - gauge.start
      for name, gauge in gauges.items()
    }
    columns |= {
      f'signal_to_noise_{name}': gauge.signal_to_noise
      for name, gauge in gauges.items()
    }
    columns |= {
      gauges_lib.SIGN + name: gauge.sign_agreement
      for name, gauge in gauges.items()
    }
    return columns

  def report(
    self, logits: Mapping[str, float], values: Mapping[str, float]
  ) -> list[str]:
    """Says of each meta-parameter how far it came and could have come."""
    lines = []
    for name, gauge in self._gauges.items():
      possible = self._meta_learning_rate * gauge.updates
      signal = abs(gauge.signal_to_noise)
      said = 'not known' if math.isnan(signal) else f'{signal:.2f}'
      line = (
        f'{name} is {values[name]:.4g}: its logit travelled'
        f' {logits[name] - gauge.start:+.2f} of at most {possible:.3g} (meta'
        f' learning rate {self._meta_learning_rate:g} x {gauge.updates}'
        f' updates), signal to noise of a meta-gradient {said}.'
      )
      if possible < LEAST_TRAVEL:
        line += (
          ' The run was too short, or its meta learning rate too small, to'
          ' learn it: do not compare it with a fixed one.'
        )
      elif not signal >= NOISE:
        line += (
          ' Its meta-gradient is noise: a larger meta batch, or an outer'
          ' critic, may show a signal.'
        )
      lines.append(line)
    return lines
