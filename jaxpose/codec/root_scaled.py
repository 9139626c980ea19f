"""Root-centred rays scaled by one constant of the data set: the space of the random-projection methods."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxpose.codec.base import AnyArray, Codec, centred, clip_rays, fill_missing, usable
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as cameras
from jaxpose.geometry import projection
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton

_HEADS = ("head_top", "head", "upper_neck", "nose", "neck", "thorax")


class RootScaled(Codec):
  """inputs = (ray - ray_root) / (depth * ray_distance); targets = (X - X_root) / head_root_m.

  `ray_distance` is the training clips' mean head-root distance in rays (x/z, y/z, undistorted), so the mean distance
  of the inputs is 1 / depth; `head_root_m` is their mean head-root length in metres, the unit of 3D. A unit body at
  `depth` then projects to the size that inputs have (Drover et al., ECCVW 2018, section 3, with depth 10). The input
  keeps the person's size in the image, so a camera at another distance than in training is a shift of the domain;
  `root_rms` removes it.

  `project` puts the root at exactly `depth`, where rotating it also leaves it: with no rotation it reproduces the
  input of a body on the optical axis at `depth` head-root lengths.
  """

  name = "root_scaled"
  defaults = {"depth": 10.0}
  measured = required = ("ray_distance", "head_root_m")

  def encode_target(
    self,
    joints_3d: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """(X - X_root) / head_root_m."""
    del keypoints_2d, camera, confidence
    return self._root_relative(joints_3d) / self.constants["head_root_m"]

  def decode(
    self,
    outputs: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """outputs * head_root_m."""
    return super().decode(outputs, keypoints_2d, camera, confidence) * self.constants["head_root_m"]

  def present(self, inputs: Float[AnyArray, "*n J C"]) -> Bool[Array, "*n J"]:
    """As for any codec; the root is missing where the others are centred on their mean (no distortion assumed)."""
    inputs, seen = jnp.asarray(inputs), super().present(inputs)
    if inputs.shape[-1] == 3:
      return seen
    centred_on_root = jnp.abs(inputs.sum(-2)).max(-1) > 1e-4 * jnp.abs(inputs).sum((-2, -1))
    return seen.at[..., self.skeleton.root].set(centred_on_root)

  def project(
    self, outputs: Float[AnyArray, "*n J 3"], present: Bool[AnyArray, "*n J"] | None = None
  ) -> Float[Array, "*n J 2"]:
    """(x, y) / z with the root at `depth` on the optical axis; no renormalisation."""
    self._check_shape("outputs", outputs, 3)
    root = self.skeleton.root
    flat = projection.perspective(centred(jnp.asarray(outputs), root), self.constants["depth"])
    if present is None:
      return flat
    points, _ = fill_missing(flat, jnp.asarray(present)[..., None], root)
    return centred(points, root)

  @classmethod
  def fit(cls, skeleton: Skeleton, clips: Iterable[Clip], options: dict[str, Any]) -> dict[str, Any]:
    del options
    joints = [head_joint(skeleton), skeleton.root]
    distances, lengths = [], []
    for clip, body in usable(skeleton, clips, cls.name):
      rays = clip_rays(clip, joints)[clip.valid & (clip.confidence[:, joints] > 0).all(-1)]
      distances.append(np.linalg.norm(rays[:, 0] - rays[:, 1], axis=-1))
      lengths.append(np.linalg.norm(body[:, joints[0]], axis=-1))
    return {
      "ray_distance": float(np.concatenate(distances).mean(dtype=np.float64)),
      "head_root_m": float(np.concatenate(lengths).mean()),
    }

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    del present  # missing joints lie on the root
    rays = centred(cameras.unproject(points, camera), self.skeleton.root)
    return rays / (self.constants["depth"] * self.constants["ray_distance"])


def head_joint(skeleton: Skeleton) -> int:
  """The joint that stands for the head: head_top, or else the first of head, upper_neck, nose, neck, thorax.

  Raises ValueError if the skeleton has none of them, other than as its root.
  """
  for name in _HEADS:
    if name in skeleton.names and skeleton.index(name) != skeleton.root:
      return skeleton.index(name)
  raise ValueError(
    f"codec 'root_scaled' measures head to root, and skeleton {skeleton.name!r} has none of {', '.join(_HEADS)} "
    "beside its root; map it to h36m_17 first (jaxpose.skeleton.joint_map)"
  )
