"""Offsets: heatmaps say in which cell a joint is, and two more maps where from there (Papandreou et al. 2017)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxpose.geometry import pixels
from jaxpose.heatmaps import argmax, gaussian

AnyArray = Array | np.ndarray
_NEAR = 0.5  # of the peak: offsets are learnt where the heatmap is higher, within 1.2 sigma
_WEIGHT = 0.01  # of a cell, beside the heatmap's loss


def target(
  keypoints: Float[AnyArray, "B J 2"], like: Shaped[AnyArray, "B H W C"], size: gaussian.Size
) -> Float[Array, "B H W C"]:
  """[heat, x, y] of all joints one after another: C = 3 J; from each cell's centre to the joint, in cells."""
  heat = gaussian.target(keypoints, like, size)
  height, width = like.shape[1:3]
  place = jnp.asarray(keypoints) / gaussian.strides(like, size)
  x = place[:, None, None, :, 0] - pixels.centers(width)[None, None, :, None]
  y = place[:, None, None, :, 1] - pixels.centers(height)[None, :, None, None]
  return jnp.concatenate([heat, jnp.broadcast_to(x, heat.shape), jnp.broadcast_to(y, heat.shape)], -1)


def loss(output: Float[AnyArray, "B H W C"], target: Float[AnyArray, "B H W C"]) -> Float[Array, "B J"]:
  """The heatmap's loss, and 0.01 of the offsets' L1 over the cells near the joint."""
  heat, x, y = jnp.split(jnp.asarray(output), 3, -1)
  true_heat, true_x, true_y = jnp.split(jnp.asarray(target), 3, -1)
  near = true_heat > _NEAR
  away = jnp.where(near, jnp.abs(x - true_x) + jnp.abs(y - true_y), 0).sum((1, 2)) / jnp.maximum(near.sum((1, 2)), 1)
  return gaussian.loss(heat, true_heat) + _WEIGHT * away


def decode(output: Float[AnyArray, "B H W C"], size: gaussian.Size) -> argmax.Decoded:
  """The highest cell's centre and the offset there. Confidence is the peak, clipped to 0 to 1."""
  heat, x, y = jnp.split(jnp.asarray(output), 3, -1)
  cell, high = argmax.peak(heat)
  place = cell + 0.5 + jnp.stack([argmax.value(x, cell), argmax.value(y, cell)], -1)
  return place * gaussian.strides(heat, size), jnp.clip(high, 0, 1)


def spread(output: Float[AnyArray, "B H W C"], size: gaussian.Size) -> Float[Array, "B J"]:
  """The heatmap's: see `gaussian.spread`."""
  return gaussian.spread(jnp.split(jnp.asarray(output), 3, -1)[0], size)
