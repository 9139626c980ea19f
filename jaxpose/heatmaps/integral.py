"""Integral regression: the mean place under a heatmap's softmax (Sun et al. 2018), which has a gradient."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from jaxpose.geometry import pixels
from jaxpose.heatmaps import argmax, gaussian

AnyArray = Array | np.ndarray
BETA = 30.0  # of unit peaks; see `soft_argmax`
PLACE_WEIGHT = 0.01  # of the error in image widths, beside the heatmap's; a map of zeros costs 0.003


class Target(NamedTuple):
  maps: Float[AnyArray, "B H W J"]
  place: Float[AnyArray, "B J 2"]  # in widths and heights of the image


def soft_argmax(maps: Float[AnyArray, "B H W J"], beta: float = BETA) -> Float[Array, "B J 2"]:
  """sum c softmax(beta h): the mean of the cells' centres, in widths and heights of the image.

  Trap: the background weighs, and draws to the middle. On unit peaks of sigma 2 in 64 x 64 cells, beta 1 is 16.7 cells
  off in the mean, 10 still 1.0, and 30 0.1.
  """
  maps = jnp.asarray(maps)
  height, width = maps.shape[1:3]
  weights = jax.nn.softmax(beta * maps.reshape(maps.shape[0], -1, maps.shape[-1]), 1).reshape(maps.shape)
  x = jnp.sum(weights.sum(1) * pixels.centers(width, 1)[None, :, None], 1)
  y = jnp.sum(weights.sum(2) * pixels.centers(height, 1)[None, :, None], 1)
  return jnp.stack([x, y], -1)


def target(keypoints: Float[AnyArray, "B J 2"], like: Shaped[AnyArray, "B H W C"], size: gaussian.Size) -> Target:
  """The heatmap, and the place itself."""
  return Target(gaussian.target(keypoints, like, size), jnp.asarray(keypoints) / np.array([[size]], np.float32))


def loss(output: Float[AnyArray, "B H W J"], target: Target) -> Float[Array, "B J"]:
  """The heatmap's loss and 0.01 of the place's L1. Without the heatmap's, maps have no confidence to tell."""
  place = jnp.mean(jnp.abs(soft_argmax(output) - target.place), -1)
  return gaussian.loss(output, target.maps) + PLACE_WEIGHT * place


def decode(maps: Float[AnyArray, "B H W J"], size: gaussian.Size, beta: float = BETA) -> argmax.Decoded:
  """`soft_argmax` in pixels. Confidence is the peak, clipped to 0 to 1."""
  high = jnp.max(jnp.asarray(maps), (1, 2))
  return soft_argmax(maps, beta) * np.array([[size]], np.float32), jnp.clip(high, 0, 1)
