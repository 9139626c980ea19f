"""What a sample is. Every builder, reader and simulator ends in a Motion (world space) or a Clip (seen by a camera)."""

import dataclasses
import zlib
from typing import Any

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.geometry.camera import Camera


@dataclasses.dataclass(frozen=True)
class Motion:
  """World-space motion of one person. `positions_world`: float32 [T, J, 3], metres; `up` names the vertical axis.

  valid: bool [T], the frames whose positions are known, all unless given; `with_gaps` makes one of positions with NaN.
  """

  positions_world: np.ndarray
  skeleton: skeletons.Skeleton
  fps: float
  subject: str = ""
  action: str = ""
  sequence: str = ""
  up: str = "y"  # "y" or "z"
  valid: Any = None

  def __post_init__(self):
    where = f"motion {self.subject}/{self.sequence}"
    _check_array(f"{where}: positions_world", self.positions_world, (None, self.skeleton.num_joints, 3))
    valid = np.ones(len(self.positions_world), bool) if self.valid is None else np.asarray(self.valid)
    if valid.dtype != np.bool_ or valid.shape != self.positions_world.shape[:1]:
      raise ValueError(f"{where}: valid has dtype {valid.dtype} and shape {valid.shape}, expected bool [T]")
    if len(valid) and not valid.any():
      raise ValueError(f"{where}: none of its {len(valid)} frames is valid")
    object.__setattr__(self, "valid", valid)
    if self.up not in ("y", "z"):
      raise ValueError(f"{where}: up={self.up!r}; the vertical axis is 'y' or 'z'")
    _check_fps(where, self.fps)


def with_gaps(positions: np.ndarray, **fields: Any) -> Motion:
  """A Motion of positions [T, J, 3] in which a joint may be NaN or infinite: such a frame is not valid.

  It stands where the nearest valid frame does. Raises ValueError where no frame is valid.
  """
  positions = np.asarray(positions, np.float32)
  valid = np.isfinite(positions).all((1, 2))
  known = np.flatnonzero(valid)
  if not len(known):
    name = f"motion {fields.get('subject', '')}/{fields.get('sequence', '')}"
    raise ValueError(f"{name}: in each of its {len(positions)} frames a joint is NaN or infinite")
  frames = np.arange(len(positions))
  after = np.minimum(np.searchsorted(known, frames), len(known) - 1)
  before = np.maximum(after - 1, 0)
  nearest = np.where(frames - known[before] <= np.abs(known[after] - frames), known[before], known[after])
  return Motion(positions[np.where(valid, frames, nearest)], valid=valid, **fields)


@dataclasses.dataclass(frozen=True)
class Clip:
  """One person seen by one camera: the only sample.

  keypoints_2d: float32 [T, J, 2], pixels, x right, y down. confidence: float32 [T, J], 1 for ground truth, 0 for a
  missing joint. joints_3d: float32 [T, J, 3], metres, camera axes x right, y down, z forward; None in 2D-only sets.
  valid: bool [T], the frames that a protocol scores. The rest is provenance, carried to the report.
  """

  keypoints_2d: np.ndarray
  confidence: np.ndarray
  joints_3d: np.ndarray | None
  valid: np.ndarray
  camera: Camera
  skeleton: skeletons.Skeleton
  fps: float
  subject: str = ""
  action: str = ""
  sequence: str = ""
  camera_id: str = ""
  extra: dict[str, Any] = dataclasses.field(default_factory=dict)  # what one protocol alone needs, as frame labels

  def __post_init__(self):
    frames, joints = len(self.valid), self.skeleton.num_joints
    _check_array(f"clip {self.name}: keypoints_2d", self.keypoints_2d, (frames, joints, 2))
    _check_array(f"clip {self.name}: confidence", self.confidence, (frames, joints))
    if self.joints_3d is not None:
      _check_array(f"clip {self.name}: joints_3d", self.joints_3d, (frames, joints, 3))
    if self.valid.ndim != 1:
      raise ValueError(f"clip {self.name}: valid has shape {self.valid.shape}, expected [T], one value a frame")
    if self.valid.dtype != np.bool_:
      raise ValueError(f"clip {self.name}: valid has dtype {self.valid.dtype}, expected bool, one per frame")
    _check_fps(f"clip {self.name}", self.fps)

  @property
  def name(self) -> str:
    """subject/sequence/camera_id, unique in a data set."""
    return f"{self.subject}/{self.sequence}/{self.camera_id}"

  def __len__(self) -> int:
    return len(self.valid)

  def replace(self, **changes) -> "Clip":
    return dataclasses.replace(self, **changes)

  def subsample(self, every: int) -> "Clip":
    """Every `every`-th frame, at the lower frame rate; frame labels in `extra` (sequences of length T) go along."""
    if every < 1:
      raise ValueError(f"clip {self.name}: cannot keep every {every}-th frame; give a number from 1")
    return self.replace(
      keypoints_2d=self.keypoints_2d[::every],
      confidence=self.confidence[::every],
      joints_3d=None if self.joints_3d is None else self.joints_3d[::every],
      valid=self.valid[::every],
      fps=self.fps / every,
      extra={k: v[::every] if np.ndim(v) and len(v) == len(self) else v for k, v in self.extra.items()},
    )


def _check_array(what: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
  expected = ", ".join("T" if n is None else str(n) for n in shape)
  if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape)):
    raise ValueError(f"{what} has shape {array.shape}, expected [{expected}]")
  if array.dtype != np.float32:
    raise ValueError(f"{what} has dtype {array.dtype}, expected float32")
  if not np.isfinite(array).all():
    frame = int(np.argwhere(~np.isfinite(array))[0][0])
    raise ValueError(f"{what} holds NaN or infinity, first at frame {frame}; repair or drop that frame")


def _check_fps(what: str, fps: float) -> None:
  if not fps > 0:
    raise ValueError(f"{what}: fps={fps}; the frame rate is a positive number of frames a second")


def noisy(clip: Clip, std_px: float, seed: int = 0) -> Clip:
  """The clip with normal noise of `std_px` pixels on its keypoints, missing joints excepted.

  The same for one seed, name and length, whatever other clips there are. Raises ValueError for a negative `std_px`.
  """
  if std_px < 0:
    raise ValueError(f"noise of {std_px} pixels; give a standard deviation of 0 or more")
  if not std_px:
    return clip
  rng = np.random.default_rng([seed, zlib.crc32(clip.name.encode())])
  noise = rng.normal(0, std_px, clip.keypoints_2d.shape) * (clip.confidence > 0)[..., None]
  return clip.replace(keypoints_2d=(clip.keypoints_2d + noise).astype(np.float32))
