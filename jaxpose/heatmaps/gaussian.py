"""Heatmaps: for each joint a Gaussian of unit peak, sampled at the centres of the cells."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxpose.geometry import pixels

AnyArray = Array | np.ndarray
Size = tuple[float | int, float | int]  # width, height of the image, pixels

SIGMA = 2.0  # cells
_LEAST_PEAK = 0.01


def strides(maps: Shaped[AnyArray, "B H W C"], size: Size) -> np.ndarray:
  """Pixels of the image a cell, in x and in y: float32 [1, 1, 2]."""
  return np.array([[[size[0] / maps.shape[2], size[1] / maps.shape[1]]]], np.float32)


def target(
  keypoints: Float[AnyArray, "B J 2"], like: Shaped[AnyArray, "B H W C"], size: Size, sigma: float = SIGMA
) -> Float[Array, "B H W J"]:
  """exp(-|c - k|^2 / 2 sigma^2) at every cell's centre c, k the joint's exact place, in cells: the unbiased target.

  Zhang et al. 2020 (DARK), section 3.2. No cell need reach the peak of 1.
  """
  return _gaussian(jnp.asarray(keypoints) / strides(like, size), like, sigma)


def rounded(
  keypoints: Float[AnyArray, "B J 2"], like: Shaped[AnyArray, "B H W C"], size: Size, sigma: float = SIGMA
) -> Float[Array, "B H W J"]:
  """The target as published (Xiao et al. 2018): the peak on a cell's centre, and 0 beyond 3 sigma in x or y.

  Trap: it is the same wherever in the cell the joint is, 0.38 cells off in the mean; no decoder mends that.
  """
  place = jnp.floor(jnp.asarray(keypoints) / strides(like, size)) + 0.5
  x, y = _distances(place, like)
  near = (jnp.abs(x) <= 3 * sigma)[:, None] & (jnp.abs(y) <= 3 * sigma)[:, :, None]
  return jnp.where(near, _gaussian(place, like, sigma), 0)


def loss(output: Float[AnyArray, "B H W J"], target: Float[AnyArray, "B H W J"]) -> Float[Array, "B J"]:
  """Half the squared difference, averaged over the cells."""
  return 0.5 * jnp.mean((jnp.asarray(output) - target) ** 2, (1, 2))


def spread(maps: Float[AnyArray, "B H W J"], size: Size, sigma: float = SIGMA) -> Float[Array, "B J"]:
  """sigma / sqrt(peak) cells, as pixels.

  A network trained on these targets gives their mean over the places that a joint may have: normally distributed with
  variance v, a Gaussian of variance sigma^2 + v and of peak sigma^2 / (sigma^2 + v). A peak below 0.01 counts as that.
  """
  peak = jnp.clip(jnp.max(jnp.asarray(maps), (1, 2)), _LEAST_PEAK, 1)
  return sigma * float(strides(maps, size).mean()) / jnp.sqrt(peak)


def _distances(place: Array, like: AnyArray) -> tuple[Array, Array]:
  """From each place [B, J, 2] to the centres of columns [B, W, J] and of rows [B, H, J], cells."""
  height, width = like.shape[1:3]
  x, y = place[:, None, :, 0], place[:, None, :, 1]
  return pixels.centers(width)[None, :, None] - x, pixels.centers(height)[None, :, None] - y


def _gaussian(place: Array, like: AnyArray, sigma: float) -> Array:
  x, y = (jnp.exp(-(d**2) / (2 * sigma**2)) for d in _distances(place, like))
  return x[:, None] * y[:, :, None]
