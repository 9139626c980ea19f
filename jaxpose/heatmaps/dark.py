"""DARK: the peak of a Gaussian through the heatmap's highest cell (Zhang et al. 2020, section 3.1)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.geometry.rotation import einsum
from jaxpose.heatmaps import argmax, gaussian

AnyArray = Array | np.ndarray
_KERNEL = 11  # cells, for targets of sigma 2
_BLUR = 2.0  # cells
_LEAST = 1e-10


def decode(maps: Float[AnyArray, "B H W J"], size: gaussian.Size) -> argmax.Decoded:
  """One Newton step on the logarithm of the smoothed map, from its highest cell: -(D2 log h)^-1 D log h.

  On targets of unbiased Gaussians it is exact to 0.01 cells. As published, cells within two of a side are not moved;
  nor are those where the logarithm has no maximum, as noise may have it. Confidence is the peak, clipped to 0 to 1.
  Trap: smoothing counts the cells beyond a side as 0, so close to it the place is a little less exact.
  """
  cell, high = argmax.peak(maps)
  log = jnp.log(jnp.maximum(_smooth(jnp.asarray(maps)), _LEAST))
  at = lambda dx, dy: argmax.value(log, cell, dx, dy)  # noqa: E731
  dx, dy = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
  dxx = (at(2, 0) - 2 * at(0, 0) + at(-2, 0)) / 4
  dyy = (at(0, 2) - 2 * at(0, 0) + at(0, -2)) / 4
  dxy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
  determinant = dxx * dyy - dxy**2
  inside = jnp.all((cell > 1) & (cell < np.array([[[maps.shape[2] - 2, maps.shape[1] - 2]]])), -1)
  usable = inside & (determinant > 0) & (dxx < 0)
  divisor = jnp.where(usable, determinant, 1)
  step = jnp.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], -1) / divisor[..., None]
  place = cell + 0.5 + jnp.where(usable[..., None], step, 0)
  return place * gaussian.strides(maps, size), jnp.clip(high, 0, 1)


def _smooth(maps: Array) -> Array:
  """The maps convolved with a Gaussian, cut off at the kernel's width, rows and columns one after the other."""
  rows, columns = _blur(maps.shape[1]), _blur(maps.shape[2])
  return einsum("xw,bywj->byxj", columns, einsum("yh,bhwj->bywj", rows, maps))


def _blur(count: int) -> np.ndarray:
  """The convolution of `count` cells as a matrix."""
  distance = np.subtract.outer(np.arange(count), np.arange(count))
  weights = np.where(np.abs(distance) <= _KERNEL // 2, np.exp(-(distance**2) / (2 * _BLUR**2)), 0)
  span = np.arange(-(_KERNEL // 2), _KERNEL // 2 + 1)
  return (weights / np.exp(-(span**2) / (2 * _BLUR**2)).sum()).astype(np.float32)
