"""Root-centred rays of unit root mean square: no camera distance, focal length or image position remains."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxpose.codec.base import AnyArray, Codec, centred, fill_missing
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import projection
from jaxpose.geometry.camera import Camera


class RootRms(Codec):
  """inputs = (ray - ray_root) / rms, rms over the 2 J numbers of each frame; targets = root-relative metres.

  Rays are (x/z, y/z) after removing distortion. `project` puts the root at `depth_m` on the optical axis, takes the
  perspective and divides by its own rms.

  In which sense no rotation reproduces the input: exactly (to rounding) for a body whose root is on the optical axis
  at `depth_m`, and for a body with all joints at one depth anywhere. Otherwise the two differ to first order in body
  depth over camera distance: by perspective strength (the true distance is not `depth_m`) and by the parallax of a
  root off the axis, (x/z, y/z)_root * depth of the joint / distance. The codec `canonical` removes the latter.
  """

  name = "root_rms"
  defaults = {"depth_m": 5.0}

  def present(self, inputs: Float[AnyArray, "*n J C"]) -> Bool[Array, "*n J"]:
    """As for any codec; whether the root is among them is told by the sum of squares, twice the number of joints."""
    inputs, seen = jnp.asarray(inputs), super().present(inputs)
    if inputs.shape[-1] == 3:
      return seen
    squares = jnp.sum(inputs**2, (-2, -1)) / 2
    return seen.at[..., self.skeleton.root].set(squares > seen.sum(-1) + 0.5)

  def project(
    self, outputs: Float[AnyArray, "*n J 3"], present: Bool[AnyArray, "*n J"] | None = None
  ) -> Float[Array, "*n J 2"]:
    """(x, y) / z with the root at `depth_m`, each pose divided by the rms of its joints that are present."""
    self._check_shape("outputs", outputs, 3)
    pose, root = centred(jnp.asarray(outputs), self.skeleton.root), self.skeleton.root
    there = jnp.ones((*pose.shape[:-1], 1), bool) if present is None else jnp.asarray(present)[..., None]
    flat = projection.perspective(self._aimed(pose, there), self.constants["depth_m"])
    points, there = fill_missing(flat, there, root)
    return unit_rms(centred(points, root), there)

  def _aimed(self, pose: Array, present: Array) -> Array:
    """The pose as it stands before the canonical camera: its root on the axis."""
    del present
    return pose

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    return unit_rms(centred(cameras.unproject(points, camera), self.skeleton.root), present)


def unit_rms(points: Float[Array, "*b J 2"], present: Array) -> Float[Array, "*b J 2"]:
  """points / sqrt(mean of the squares of the present joints' numbers); missing joints must be 0 already.

  A pose within 1e-6 of a point (a thousandth of a pixel) is returned as it is: its direction is noise, and dividing
  would make the gradient infinite.
  """
  square = jnp.sum(points**2, (-2, -1), keepdims=True) / (2 * jnp.maximum(jnp.sum(present, -2, keepdims=True), 1))
  tiny = square < 1e-12
  return points / jnp.where(tiny, 1, jnp.sqrt(jnp.where(tiny, 1, square)))
