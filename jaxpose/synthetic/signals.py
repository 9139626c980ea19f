"""Signals in time: ramps, windows, keyed curves, and noise of a natural spectrum. Seconds in, a value per frame out."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy import interpolate, ndimage


def ease(x: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
  """0 to 1 for x from 0 to 1, without speed or acceleration at the ends: minimum jerk (Flash & Hogan 1985)."""
  x = np.clip(x, 0, 1)
  return x**3 * (10 - 15 * x + 6 * x**2)


def ramp(t: Float[np.ndarray, " T"], start: float, end: float) -> Float[np.ndarray, " T"]:
  """0 before `start`, 1 after `end`, eased in between."""
  return ease((t - start) / (end - start))


def window(
  t: Float[np.ndarray, " T"], start: float, end: float, rise: float, fall: float | None = None
) -> Float[np.ndarray, " T"]:
  """Rises to 1 within `rise` seconds after `start` and is back at 0 at `end`."""
  return ramp(t, start, start + rise) * (1 - ramp(t, end - (rise if fall is None else fall), end))


def keyed(
  t: Float[np.ndarray, " T"], times: Sequence[float | int] | np.ndarray, values: Sequence[float | int] | np.ndarray
) -> Float[np.ndarray, "T ..."]:
  """A curve through keys (time, value [...]) that rests at every key; constant outside."""
  times, values = np.asarray(times), np.asarray(values, np.float64)
  at = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(times) - 2)
  share = ease((t - times[at]) / (times[at + 1] - times[at]))
  share = share.reshape(share.shape + (1,) * (values.ndim - 1))
  return values[at] + share * (values[at + 1] - values[at])


def hermite(
  t: Float[np.ndarray, " T"], times: Sequence[float | int], values: Sequence[float | int], slopes: Sequence[float | int]
) -> Float[np.ndarray, " T"]:
  """The cubic through keys with given slopes; constant outside."""
  return interpolate.CubicHermiteSpline(times, values, slopes)(np.clip(t, times[0], times[-1]))


def drift(
  rng: np.random.Generator,
  t: Float[np.ndarray, " T"],
  channels: int,
  low: float = 0.08,
  high: float = 2.0,
  exponent: float = 1.0,
) -> Float[np.ndarray, "T C"]:
  """Noise [T, channels] of about unit deviation, whose power falls as 1 / f^(2 exponent) from `low` to `high` Hz."""
  frequency = np.geomspace(low, high, 12) * rng.uniform(0.9, 1.1, (channels, 12))
  amplitude = frequency**-exponent * rng.rayleigh(1.0, (channels, 12))
  amplitude /= np.sqrt((amplitude**2).sum(1, keepdims=True) / 2)
  phase = rng.uniform(0, 2 * np.pi, (channels, 12))
  angle = 2 * np.pi * frequency[None] * t[:, None, None] + phase[None]
  return (amplitude[None] * np.sin(angle)).sum(-1)


def blur(x: Float[np.ndarray, "T ..."], deviation_s: float, fps: float) -> Float[np.ndarray, "T ..."]:
  """Gaussian smoothing along the frames."""
  return ndimage.gaussian_filter1d(x, deviation_s * fps, axis=0, mode="nearest")


def soft_min(*curves: Float[np.ndarray, "*n"], softness: float) -> Float[np.ndarray, "*n"]:
  """A smooth minimum, never above the least curve."""
  stacked = np.stack(curves)
  least = stacked.min(0)
  return least - softness * np.log(np.exp(-(stacked - least[None]) / softness).sum(0))
