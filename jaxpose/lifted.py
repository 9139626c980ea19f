"""What lifting gives: people's poses over time in 3D, with everything that says how far to trust them."""

import dataclasses
from typing import Any

import numpy as np

from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton


@dataclasses.dataclass(frozen=True)
class Lifted:
  """Poses of people over a recording.

  positions: float32 [T, N, J, 3], metres, relative to the root, camera axes (x right, y down, z forward); NaN where a
  person is not there. status: uint8 [T, N, J], of `keypoints.Status`: of the 2D joint that a joint was lifted from.
  ids: a number for each person. frames: int64 [T], consecutive. positions_world: float32 [T, N, J, 3], metres, z up,
  the floor at 0; None where the camera moved. raw, raw_world: both before smoothing, where they were smoothed.
  keypoints_2d: float32 [T, N, J, 2], pixels, what was lifted, NaN where missing; confidence: float32 [T, N, J].
  camera: whose axes and pixels these are; its rotation and translation lead from the world. provenance: what made it.
  """

  positions: np.ndarray
  status: np.ndarray
  ids: tuple[int, ...]
  frames: np.ndarray
  fps: float | int
  skeleton: Skeleton
  keypoints_2d: np.ndarray
  confidence: np.ndarray
  camera: Camera
  positions_world: np.ndarray | None = None
  raw: np.ndarray | None = None
  raw_world: np.ndarray | None = None
  provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    shape = (len(self.frames), len(self.ids), self.skeleton.num_joints)
    arrays = {
      "positions": 3, "positions_world": 3, "raw": 3, "raw_world": 3, "keypoints_2d": 2, "confidence": 0, "status": 0
    }  # fmt: skip
    for name, width in arrays.items():
      array, expected = getattr(self, name), (*shape, *(width,) * (width > 0))
      dtype = np.uint8 if name == "status" else np.float32
      if array is not None and (array.shape != expected or array.dtype != dtype):
        raise ValueError(f"lifted: {name} has shape {array.shape}, dtype {array.dtype}; expected {expected}, {dtype}")
    if not 0 < self.fps < float("inf"):
      raise ValueError(f"lifted: fps={self.fps}; the frame rate is a positive number of frames a second")
    if (np.diff(self.frames) != 1).any():
      raise ValueError("lifted: frames must be consecutive numbers; NaN stands where nobody is")

  def __len__(self) -> int:
    return len(self.frames)

  @property
  def size(self) -> tuple[int, int]:
    """(width, height) of the image, in pixels."""
    width, height = np.asarray(self.camera.size)
    return int(width), int(height)

  @property
  def present(self) -> np.ndarray:
    """bool [T, N]: whose pose is known when."""
    return np.asarray(np.isfinite(self.positions).all((-1, -2)))

  @property
  def shown(self) -> np.ndarray:
    """Positions [T, N, J, 3] with y up and z to the viewer, metres: of the world, or root-relative without one.

    The axes of BVH, TRC and viewers, right-handed.
    """
    if self.positions_world is None:
      return self.positions * np.array([1, -1, -1], np.float32)
    return self.positions_world[..., [0, 2, 1]] * np.array([1, 1, -1], np.float32)


def reprojected(lifted: Lifted) -> np.ndarray | None:
  """The poses' joints in pixels [T, N, J, 2], as the camera sees them; None without a place in the world."""
  if lifted.positions_world is None:
    return None
  points = geometry.world_to_camera(lifted.positions_world, lifted.camera)
  return np.asarray(geometry.project(points, lifted.camera))


def reprojection_px(lifted: Lifted) -> float | None:
  """The median distance of the poses' joints, seen by the camera again, from the keypoints; None without a world."""
  pixels = reprojected(lifted)
  if pixels is None:
    return None
  away = np.linalg.norm(pixels - lifted.keypoints_2d, axis=-1)
  return float(np.median(away[np.isfinite(away)]))


def bone_variation(lifted: Lifted) -> float:
  """How much bones change their length, which real ones do not: the mean of their coefficients of variation, 0 to 1.

  Of the poses before smoothing, which would hide it.
  """
  positions = lifted.positions if lifted.raw is None else lifted.raw
  child, parent = np.array(lifted.skeleton.bones).T
  lengths = np.linalg.norm(positions[..., child, :] - positions[..., parent, :], axis=-1)
  people = [lengths[lifted.present[:, n], n] for n in range(len(lifted.ids)) if lifted.present[:, n].any()]
  return float(np.mean([its.std(0) / np.maximum(its.mean(0), 1e-9) for its in people]))


def quality(lifted: Lifted) -> str:
  """What shows how far to trust the poses without knowing the truth, in a sentence."""
  off = reprojection_px(lifted)
  seen = "" if off is None else f"seen again, joints are {off:.1f} px from the keypoints (median); "
  return f"{seen}bones change their length by {100 * bone_variation(lifted):.1f} %"
