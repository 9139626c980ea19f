"""Standardised coordinates: Martinez et al.'s normalisation."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.codec.base import AnyArray, Codec, clip_rays, usable
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as cameras
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton


class ZScore(Codec):
  """inputs = (x - mean_2d) / std_2d, targets = (X - X_root - mean_3d) / std_3d, per joint and coordinate.

  `space` says what x is: "pixels" (Martinez et al., ICCV 2017) or "rays" (x/z, y/z, undistorted: intrinsics removed).
  Means and standard deviations [J, 2] and [J, 3] are those of the training clips' valid frames; 3D in metres. A
  coordinate that never varies, as the root's, has standard deviation 1 here.
  """

  name = "zscore"
  defaults = {"space": "pixels"}
  measured = required = ("mean_2d", "std_2d", "mean_3d", "std_3d")

  def encode_target(
    self,
    joints_3d: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """(X - X_root - mean_3d) / std_3d."""
    del keypoints_2d, camera, confidence
    pose = self._root_relative(joints_3d)
    return (pose - self._constant("mean_3d", pose)) / self._constant("std_3d", pose)

  def decode(
    self,
    outputs: Float[AnyArray, "*b J 3"],
    keypoints_2d: Float[AnyArray, "*b J 2"],
    camera: Camera,
    confidence: Float[AnyArray, "*b J"] | None = None,
  ) -> Float[Array, "*b J 3"]:
    """outputs * std_3d + mean_3d."""
    outputs = super().decode(outputs, keypoints_2d, camera, confidence)
    return outputs * self._constant("std_3d", outputs) + self._constant("mean_3d", outputs)

  @classmethod
  def fit(cls, skeleton: Skeleton, clips: Iterable[Clip], options: dict[str, Any]) -> dict[str, Any]:
    _check_space(options["space"])
    flat, solid = _Moments(), _Moments()
    for clip, joints in usable(skeleton, clips, cls.name):
      points = clip.keypoints_2d if options["space"] == "pixels" else clip_rays(clip, list(range(skeleton.num_joints)))
      flat.add(points[clip.valid], clip.confidence[clip.valid] > 0)
      solid.add(joints, np.ones(joints.shape[:-1], bool))
    (mean_2d, std_2d), (mean_3d, std_3d) = flat.mean_and_std(), solid.mean_and_std()
    return {"mean_2d": mean_2d, "std_2d": std_2d, "mean_3d": mean_3d, "std_3d": std_3d}

  def _encode(self, points: Array, present: Array, camera: Camera) -> Array:
    if self.constants["space"] == "rays":
      points = cameras.unproject(points, camera)
    return jnp.where(present, (points - self._constant("mean_2d", points)) / self._constant("std_2d", points), 0)

  def _constant(self, name: str, points: Array) -> Array:
    value = jnp.asarray(self.constants[name], jnp.float32)
    return value.reshape((1,) * (points.ndim - 2) + value.shape)

  def _check_constants(self) -> None:
    _check_space(self.constants["space"])
    for key in self.measured:
      shape = (self.skeleton.num_joints, int(key[-2]))
      value = np.asarray(self.constants[key])
      if value.shape != shape or not np.isfinite(value).all() or (key.startswith("std") and not (value > 0).all()):
        raise ValueError(
          f"codec 'zscore': constant {key!r} has shape {value.shape}, expected {shape} finite numbers"
          + (", all positive" if key.startswith("std") else "")
        )


class _Moments:
  """Running mean and standard deviation in float64 over frames, about the first values seen."""

  def __init__(self):
    self.shift, self.count, self.total, self.squares = None, 0, 0, 0

  def add(self, values: np.ndarray, present: np.ndarray) -> None:
    """values [T, J, C], present bool [T, J]."""
    if not len(values):
      return
    if self.shift is None:
      self.shift = values[0].astype(np.float64)
    values = np.where(present[..., None], values - self.shift, 0)
    self.count = self.count + present.sum(0)[:, None]
    self.total, self.squares = self.total + values.sum(0), self.squares + (values**2).sum(0)

  def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
    count = np.maximum(self.count, 1)
    mean = self.total / count
    std = np.sqrt(np.maximum(self.squares / count - mean**2, 0))
    return self.shift + mean, np.where(std > 1e-6 * std.max(), std, 1.0)


def _check_space(space: str) -> None:
  if space not in ("pixels", "rays"):
    raise ValueError(f"codec 'zscore': space={space!r}; known are 'pixels' and 'rays'")
