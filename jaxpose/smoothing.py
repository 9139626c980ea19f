"""Smoothing over time: Butterworth's low-pass of a whole recording, without delay, and the One-Euro filter, live.

Both leave NaN where it stands: each unbroken stretch of a coordinate is filtered by itself.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import signal

CUTOFF_HZ = 6.0  # of human motion: Winter, Biomechanics and Motor Control of Human Movement, and Sports2D
DEPTH_CUTOFF_HZ = 2.0  # of a person's distance, which keypoints tell many times worse than what is across the image


def butterworth(
  values: Float[np.ndarray, "T ..."], fps: float | int, cutoff_hz: float | int = CUTOFF_HZ
) -> Float[np.ndarray, "T ..."]:
  """Values [T, ...] through a second-order Butterworth low-pass forwards and backwards: of order 4, without delay.

  At the cutoff half of the amplitude is left, since the filter is applied twice. A stretch of fewer than three frames
  stays as it is. Raises ValueError for a cutoff that is not between 0 and half of the frame rate.
  """
  check_cutoff(cutoff_hz, fps)
  sections = signal.butter(2, cutoff_hz, fs=fps, output="sos")
  flat = np.asarray(values).reshape(len(values), -1)
  smooth = flat.astype(np.float64)
  finite = np.isfinite(flat)
  # Columns that are broken at the same frames go through together: usually all of a person's.
  patterns, which = np.unique(finite, axis=1, return_inverse=True)
  for i, pattern in enumerate(patterns.T):
    columns = np.flatnonzero(which == i)
    edges = np.flatnonzero(np.diff(np.r_[0, pattern.astype(np.int8), 0]))
    for start, stop in zip(edges[::2], edges[1::2]):
      if stop - start > 2:
        part = smooth[start:stop, columns]
        rest = signal.detrend(part, 0)  # the filter starts as for a constant: a line would swing in
        smoothed = signal.sosfiltfilt(sections, rest, 0, padlen=min(15, stop - start - 1))
        smooth[start:stop, columns] = part - rest + smoothed
  return smooth.reshape(values.shape).astype(values.dtype)


def check_cutoff(cutoff_hz: float | int, fps: float | int) -> None:
  if not 0 < cutoff_hz < fps / 2:
    raise ValueError(
      f"a cutoff of {cutoff_hz} Hz at {fps:g} frames a second; --smooth= takes more than 0 and less than {fps / 2:g}"
    )


def along_rays(
  translations: Float[np.ndarray, "T *n 3"], fps: float | int, cutoff_hz: float | int = DEPTH_CUTOFF_HZ
) -> Float[np.ndarray, "T *n 3"]:
  """Places in camera space [T, ..., 3] with their distance smoothed and their place in the image kept.

  The logarithm of depth goes through `butterworth`: an error of the keypoints' size is one of depth by a factor.
  Raises ValueError for a place that is not before the camera.
  """
  depth = translations[..., 2]
  if (depth <= 0).any():
    frame = int(np.argwhere(depth <= 0)[0][0])
    raise ValueError(f"frame {frame}: depth {depth.ravel()[np.nanargmin(depth)]:.3g} m is not before the camera")
  smooth = np.exp(butterworth(np.log(depth), fps, min(cutoff_hz, 0.49 * fps)))
  return translations * (smooth / depth)[..., None]


class OneEuro(NamedTuple):
  """What the filter remembers of each coordinate: last value, its speed, and the seconds since; NaN before any."""

  value: np.ndarray
  speed: np.ndarray
  seconds: np.ndarray


def one_euro_start(shape: tuple[int, ...]) -> OneEuro:
  return OneEuro(np.full(shape, np.nan), np.zeros(shape), np.zeros(shape))


def one_euro(
  state: OneEuro,
  values: Float[np.ndarray, "*n"],
  fps: float | int,
  *,
  least_hz: float | int = 1.0,
  beta: float | int = 4.0,
  speed_hz: float | int = 1.0,
) -> tuple[OneEuro, Float[np.ndarray, "*n"]]:
  """One frame through the One-Euro filter (Casiez et al., CHI 2012): the new state and the smoothed values.

  A first-order low-pass whose cutoff is least_hz + beta |speed|, in hertz per metre a second, so that slow motion is
  smooth and fast motion does not lag; the speed itself is low-passed at `speed_hz`. A missing value (NaN) stays
  missing, and the first after a gap counts the more the longer the gap was.
  """
  seconds = state.seconds + 1 / fps
  seen, known = np.isfinite(values), np.isfinite(state.value)
  last = np.where(known, state.value, values)
  speed = np.where(seen, (values - last) / seconds, 0)
  speed = state.speed + _share(speed_hz, seconds) * (speed - state.speed)
  speed = np.where(seen, speed, state.speed)
  smooth = last + _share(least_hz + beta * np.abs(speed), seconds) * (values - last)
  new = OneEuro(
    np.where(seen, smooth, state.value), np.where(known, speed, 0), np.where(seen | ~known, 0, seconds)
  )  # fmt: skip
  return new, np.where(seen, smooth, np.nan).astype(values.dtype)


def _share(cutoff_hz, seconds):
  """How much of a new value a first-order low-pass takes."""
  return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * seconds))
