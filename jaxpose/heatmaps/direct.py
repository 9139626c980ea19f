"""Direct regression: the coordinates themselves, in widths and heights of the image (Toshev & Szegedy 2014)."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.heatmaps import argmax, gaussian

AnyArray = Array | np.ndarray


def target(keypoints: Float[AnyArray, "B J 2"], like: Any, size: gaussian.Size) -> Float[Array, "B J 2"]:
  """The place in widths and heights of the image."""
  del like
  return jnp.asarray(keypoints) / np.array([[size]], np.float32)


def loss(output: Float[AnyArray, "B J 2"], target: Float[AnyArray, "B J 2"]) -> Float[Array, "B J"]:
  """L1, the mean of both axes."""
  return jnp.mean(jnp.abs(jnp.asarray(output) - target), -1)


def decode(output: Float[AnyArray, "B J 2"], size: gaussian.Size) -> argmax.Decoded:
  """In pixels. The coding knows no confidence: 1 always."""
  output = jnp.asarray(output)
  return output * np.array([[size]], np.float32), jnp.ones(output.shape[:-1])
