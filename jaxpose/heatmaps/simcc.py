"""SimCC: x and y apart, each a classification of bins finer than a pixel (Li et al. 2022)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.geometry import pixels
from jaxpose.heatmaps import argmax, gaussian

AnyArray = Array | np.ndarray
SIGMA = 6.0  # bins


class Bins(NamedTuple):
  """Logits, or probabilities, of the bins of columns and of rows."""

  x: Float[AnyArray, "B J X"]
  y: Float[AnyArray, "B J Y"]


def target(keypoints: Float[AnyArray, "B J 2"], like: Bins, size: gaussian.Size, sigma: float = SIGMA) -> Bins:
  """Probabilities: Gaussians of `sigma` bins around the joint, of sum 1."""

  def axis(place: Array, bins: int, extent: float | int) -> Array:
    distance = (pixels.centers(bins, extent).reshape(1, 1, -1) - place[..., None]) * (bins / extent)
    return jax.nn.softmax(-(distance**2) / (2 * sigma**2), -1)

  keypoints = jnp.asarray(keypoints)
  return Bins(axis(keypoints[..., 0], like.x.shape[-1], size[0]), axis(keypoints[..., 1], like.y.shape[-1], size[1]))


def loss(output: Bins, target: Bins) -> Float[Array, "B J"]:
  """KL(target | softmax(output)), the mean of both axes."""

  def divergence(logits: AnyArray, probability: AnyArray) -> Array:
    entropy = jnp.sum(jax.scipy.special.xlogy(probability, probability), -1)
    return entropy - jnp.sum(probability * jax.nn.log_softmax(jnp.asarray(logits), -1), -1)

  return (divergence(output.x, target.x) + divergence(output.y, target.y)) / 2


def decode(output: Bins, size: gaussian.Size) -> argmax.Decoded:
  """The centre of the likeliest bin of each axis, as published.

  Confidence is the lesser of the two probabilities, in units of a perfect output's: from 0 to 1.
  """
  place, high = [], []
  for logits, extent in zip(output, size):
    logits = jnp.asarray(logits)
    place.append(pixels.centers(logits.shape[-1], extent)[jnp.argmax(logits, -1)])
    high.append(jnp.max(jax.nn.softmax(logits, -1), -1))
  perfect = 1 / (SIGMA * np.sqrt(2 * np.pi))
  return jnp.stack(place, -1), jnp.clip(jnp.minimum(*high) / perfect, 0, 1)


def spread(output: Bins, size: gaussian.Size) -> Float[Array, "B J"]:
  """The standard deviation of the bins' distribution, in pixels: root of the mean of both axes' variances."""

  def variance(logits: AnyArray, extent: float | int) -> Array:
    probability = jax.nn.softmax(jnp.asarray(logits), -1)
    centers = pixels.centers(probability.shape[-1], extent).reshape(1, 1, -1)
    mean = jnp.sum(probability * centers, -1, keepdims=True)
    return jnp.sum(probability * (centers - mean) ** 2, -1)

  return jnp.sqrt((variance(output.x, size[0]) + variance(output.y, size[1])) / 2)
