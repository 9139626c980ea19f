"""Screen coordinates and metric camera space: VideoPose3D's normalisation."""

import jax.numpy as jnp
from jaxtyping import Array

from jaxpose.codec.base import Codec, over
from jaxpose.geometry.camera import Camera


class Screen(Codec):
  """inputs = pixels / w * 2 - (1, h / w); targets = root-relative metres, decode is the identity.

  Both axes are divided by the width, which keeps the aspect ratio: x spans [-1, 1]. The network sees where in the
  image the person stands, so it learns the training cameras' intrinsics and heights along with the poses.
  """

  name = "screen"

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    return jnp.where(present, on_screen(points, camera), 0)


def on_screen(points: Array, camera: Camera) -> Array:
  """points / w * 2 - (1, h / w)."""
  size = over(camera.size, points)
  return points * 2 / size[..., :1] - size / size[..., :1]
