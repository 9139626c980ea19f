"""The 2.5D image space of MotionBERT: pixels in x and y, depth in pixels too, and a factor to metres."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.codec.base import AnyArray, Codec, centred, over, usable
from jaxpose.codec.screen import on_screen
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as cameras
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton


class Image25D(Codec):
  """inputs as `screen`; targets = 2 / w * (u - u_root, v - v_root, s (Z - Z_root)), decode: outputs * w / 2 * factor.

  u, v is the pinhole projection without distortion; s in pixels a metre is (box + 1) / 2 with box the image width of
  root +- 1 m at the root's depth (LCN's data generator, which MotionBERT's files come from).

  The trap: this space is not metric. A pose in it times ANY factor differs from the true pose, by perspective inside
  the body. `factor(joints_3d, camera)` is the best one, and an oracle, since it needs the ground truth: published
  numbers in this space use it. Without it, decode scales each frame to `bone_length_m`, the training clips' mean sum
  of bone lengths.
  """

  name = "image_25d"
  measured = ("bone_length_m",)

  def encode_target(
    self,
    joints_3d: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """See the class; keypoints_2d and confidence play no part, the projection is that of joints_3d."""
    del keypoints_2d, confidence
    return self._image_pose(joints_3d, camera) * 2 / over(camera.size, joints_3d)[..., :1]

  def factor(self, joints_3d: Float[AnyArray, "*b J 3"], camera: Camera) -> Float[Array, "*b"]:
    """argmin over lambda of |lambda P_image - P_camera|^2 per frame, both root-relative: metres a pixel.

    A thousandth of the published `2.5d_factor`, which is in millimetres a pixel (Ci et al., LCN, PAMI 2020, 6.2.1).
    """
    image = self._image_pose(joints_3d, camera)
    length = jnp.sum(image**2, (-2, -1))
    return jnp.sum(image * self._root_relative(joints_3d), (-2, -1)) / jnp.where(length > 0, length, 1)

  def decode(
    self,
    outputs: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
    factor: Float[AnyArray, "*b"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """outputs * w / 2 * factor in metres. `factor` [*b] in metres a pixel; when None, from the mean bone length.

    Raises ValueError when there is neither a factor nor the constant `bone_length_m`.
    """
    del keypoints_2d, confidence
    self._check_shape("outputs", outputs, 3)
    image = jnp.asarray(outputs) * over(camera.size, outputs)[..., :1] / 2
    if factor is None:
      if "bone_length_m" not in self.constants:
        raise ValueError(
          "codec 'image_25d' decodes to metres with factor= (metres a pixel, [*b]; `factor(joints_3d, camera)` is the "
          "published oracle) or with the constant 'bone_length_m'; build it from training clips to have that measured"
        )
      factor = self.constants["bone_length_m"] / _sum_of_bones(image, self.skeleton)
    return image * jnp.asarray(factor)[..., None, None]

  @classmethod
  def fit(cls, skeleton: Skeleton, clips: Iterable[Clip], options: dict[str, Any]) -> dict[str, Any]:
    del options
    total, count = 0.0, 0
    children, parents = np.array(skeleton.bones).T
    for _, joints in usable(skeleton, clips, cls.name):
      total += np.linalg.norm(joints[:, children] - joints[:, parents], axis=-1).sum()
      count += len(joints)
    return {"bone_length_m": total / count}

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    return jnp.where(present, on_screen(points, camera), 0)

  def _image_pose(self, joints: AnyArray, camera: Camera) -> Array:
    """(u, v, s Z) in pixels, root-relative."""
    self._check_shape("joints", joints, 3)
    joints = jnp.asarray(joints)
    depth = joints[..., self.skeleton.root : self.skeleton.root + 1, 2:]
    scale = over(camera.focal, joints)[..., :1] / depth + 1 / 2  # (box + 1) / 2 m, box = 2 m * fx / depth
    pixels = cameras.project(joints, camera, distortion=False)
    return centred(jnp.concatenate([pixels, scale * joints[..., 2:]], -1), self.skeleton.root)


def _sum_of_bones(pose: Array, skeleton: Skeleton) -> Array:
  """[*b]; no bone counts as shorter than 1e-4, so that a collapsed pose has a finite factor and gradient."""
  children, parents = np.array(skeleton.bones).T
  bones = pose[..., children, :] - pose[..., parents, :]
  return jnp.sum(jnp.sqrt(jnp.sum(bones**2, -1) + 1e-8), -1)
