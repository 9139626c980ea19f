"""`root_rms` as seen by a virtual camera that looks straight at the root: nothing of the image position remains."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxpose.codec.base import AnyArray, centred
from jaxpose.codec.root_rms import RootRms, unit_rms
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import projection
from jaxpose.geometry.camera import Camera


class Canonical(RootRms):
  """inputs = `root_rms` of R ray; targets = R (X - X_root); decode = R^T outputs.

  R is the least rotation that turns the root's ray into the optical axis. A camera's rotation about its own centre
  maps images by a homography, so the rotated rays are exactly what the turned camera would see. Such canonicalisation
  of the view is proposed against domain gaps in arXiv 2501.16146.

  `project` without rotation reproduces the input exactly for a body at the distance `depth_m`, wherever in the image
  it stands; at another distance the perspective strength differs, and nothing else.

  The trap: R comes from the observed root, so decode needs the keypoints (and confidence) that encode was given.
  """

  name = "canonical"

  def encode_target(
    self,
    joints_3d: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """R (X - X_root)."""
    points, _ = self._observed(keypoints_2d, camera, confidence)
    return _rotate(self._rotation(cameras.unproject(points, camera)), self._root_relative(joints_3d))

  def decode(
    self,
    outputs: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """R^T outputs: back to the axes of the true camera."""
    self._check_shape("outputs", outputs, 3)
    points, _ = self._observed(keypoints_2d, camera, confidence)
    rotation = self._rotation(cameras.unproject(points, camera))
    return _rotate(jnp.swapaxes(rotation, -1, -2), jnp.asarray(outputs))

  def up(
    self,
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b 3"]:
    """R times the world's z axis in camera space."""
    points, _ = self._observed(keypoints_2d, camera, confidence)
    vertical = super().up(keypoints_2d, camera)[..., None, :]
    return _rotate(self._rotation(cameras.unproject(points, camera)), vertical)[..., 0, :]

  def _aimed(self, pose: Array, present: Array) -> Array:
    """Where the root is missing, R turned the mean ray of the others into the axis: that mean is 0 here too."""
    root, depth = self.skeleton.root, self.constants["depth_m"]
    near = jnp.where(present, 1 / jnp.maximum(depth + pose[..., 2:], projection.NEAREST * depth), 0)
    count = jnp.maximum(near.sum(-2, keepdims=True), 1 / (100 * depth))  # 0 when no joint is present
    shift = -(near * pose[..., :2]).sum(-2, keepdims=True) / count
    return pose.at[..., :2].add(jnp.where(present[..., root : root + 1, :], 0, shift))

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    rays = cameras.unproject(points, camera)
    turned = _rotate(self._rotation(rays), jnp.concatenate([rays, jnp.ones_like(rays[..., :1])], -1))
    # A joint more than 84 degrees from the root's ray cannot be in a real image; the bound keeps gradients finite.
    flat = turned[..., :2] / jnp.maximum(turned[..., 2:], 0.1)
    return unit_rms(centred(flat, self.skeleton.root), present)

  def _rotation(self, rays: Array) -> Array:
    """R [*b, 3, 3] with R (x, y, 1) / norm = (0, 0, 1) for the root's ray, about the axis normal to both."""
    ray = rays[..., self.skeleton.root, :]
    z = jax.lax.rsqrt(1 + jnp.sum(ray**2, -1))
    x, y = ray[..., 0] * z, ray[..., 1] * z
    entries = [1 - x * x / (1 + z), -x * y / (1 + z), -x, -x * y / (1 + z), 1 - y * y / (1 + z), -y, x, y, z]
    return jnp.stack(entries, -1).reshape((*z.shape, 3, 3))


def _rotate(rotation: Array, points: Array) -> Array:
  # In full precision: an accelerator's default would round the rotation to 10 bits or fewer, some millimetres of a
  # body.
  return jnp.einsum("...ij,...nj->...ni", rotation, points, precision=jax.lax.Precision.HIGHEST)
