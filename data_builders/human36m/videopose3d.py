"""VideoPose3D's two npz files: world-space poses, and 2D keypoints of each camera by several detectors."""

import os
from typing import Any, NamedTuple

import numpy as np

from data_builders.human36m import official, takes
from data_builders.human36m.calibration import CAMERA_IDS, Cameras
from data_builders.human36m.joints import HOURGLASS_16
from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip
from jaxpose.formats import npz

FILE_3D = "data_3d_h36m.npz"
H36M_17 = skeletons.get("h36m_17")


def file_2d(config: str) -> str:
  return f"data_2d_h36m_{config}.npz"


class Loaded(NamedTuple):
  """Both files: {subject: {take: [T, 32, 3] metres}} and {subject: {take: [4 x [>= T, J, 2] pixels]}}."""

  positions: dict[str, dict[str, Any]]
  keypoints: dict[str, dict[str, Any]]
  where_2d: str


def load(path_3d: str | os.PathLike, path_2d: str | os.PathLike, name_3d: str, name_2d: str) -> Loaded:
  """Reads both files; a ValueError names the one that is not as expected."""
  poses = npz.read(path_3d, ["positions_3d"], where=name_3d)["positions_3d"]
  keypoints, where = npz.read(path_2d, where=name_2d), os.path.basename(name_2d)
  if "positions_2d" not in keypoints:
    raise ValueError(f"{where}: it holds {sorted(keypoints)}, expected positions_2d")
  _check_symmetry(keypoints.get("metadata"), where)
  return Loaded(_nested(poses, FILE_3D), _nested(keypoints["positions_2d"], where), where)


def names(loaded: Loaded, skipped: dict[str, str]) -> dict[str, list[str]]:
  """{subject: ["S1/Directions 1", ...]} of the takes that both files have; those of one alone are put in `skipped`."""
  paired = {}
  for subject in takes.SUBJECTS:  # the keypoints of others, whose poses are withheld, are of no use
    with_poses, seen = loaded.positions.get(subject, {}), loaded.keypoints.get(subject, {})
    skipped.update(
      {f"{subject}/{take}": f"{loaded.where_2d} has no keypoints of it" for take in with_poses if take not in seen}
    )
    skipped.update({f"{subject}/{take}": f"{FILE_3D} has no poses of it" for take in seen if take not in with_poses})
    both = [f"{subject}/{take}" for take in with_poses if take in seen]
    paired |= {subject: both} if both else {}
  return paired


def clips(loaded: Loaded, name: str, cameras: Cameras) -> list[Clip]:
  """The clips of "S1/Directions 1": keypoints of the 2D file, cut to the poses' length, before the real cameras."""
  subject, _, take = name.partition("/")
  positions = np.asarray(loaded.positions[subject][take], np.float64)
  if positions.ndim != 3 or positions.shape[1:] != (32, 3):
    raise ValueError(f"{FILE_3D}: {name} has shape {positions.shape}, expected [T, 32, 3]")
  views = loaded.keypoints[subject][take]
  if len(views) != len(CAMERA_IDS):
    raise ValueError(f"{loaded.where_2d}: {name} has {len(views)} cameras, expected {len(CAMERA_IDS)}")
  taken = official.clips(positions, subject, takes.canonical(take), cameras, f"{FILE_3D}: {name}")
  return [
    _seen_by(clip, np.asarray(points), f"{loaded.where_2d}: {name}, camera {clip.camera_id}")
    for clip, points in zip(taken, views)
  ]


def _nested(value: Any, where: str) -> dict[str, dict[str, Any]]:
  if not isinstance(value, dict) or not all(isinstance(v, dict) for v in value.values()):
    raise ValueError(f"{where}: expected {{subject: {{action: ...}}}}, found {type(value).__name__}")
  return value


def _check_symmetry(metadata: Any, where: str) -> None:
  """The file's own left and right joints must be those of h36m_17, where it has 17 joints and names them."""
  if not isinstance(metadata, dict) or metadata.get("num_joints") != H36M_17.num_joints:
    return
  if metadata.get("layout_name", "h36m") != "h36m":
    raise ValueError(f"{where}: its joints have the layout {metadata['layout_name']!r}, expected 'h36m'")
  pairs = [sorted(map(int, side)) for side in metadata.get("keypoints_symmetry", [])]
  if pairs and pairs != [sorted(H36M_17.left), sorted(H36M_17.right)]:
    raise ValueError(f"{where}: left and right joints are {pairs}, not those of Human3.6M's 17; another joint order?")


def _seen_by(clip: Clip, points: np.ndarray, where: str) -> Clip:
  """The clip with detected keypoints [>= T, 17 or 16, 2]: videos run a few frames longer than poses."""
  if points.ndim != 3 or points.shape[1] not in (16, 17) or points.shape[2] < 2:
    raise ValueError(f"{where}: shape {points.shape}, expected [T, 17, 2], or [T, 16, 2] of stacked hourglasses")
  if len(points) < len(clip):
    raise ValueError(f"{where}: {len(points)} frames of keypoints for {len(clip)} of poses; the file is cut short")
  points = points[: len(clip), :, :2].astype(np.float32)
  if points.shape[1] == H36M_17.num_joints:
    return clip.replace(keypoints_2d=points)
  to_h36m = skeletons.joint_map(order_of(points), H36M_17)
  confidence = to_h36m.confidence(np.ones(points.shape[:2], np.float32))
  return clip.replace(keypoints_2d=to_h36m(points), confidence=confidence)


def order_of(points: np.ndarray) -> skeletons.Skeleton:
  """The joint order of 16 hourglass keypoints [T, 16, 2]: MPII's (VideoPose3D) or h36m_16 (SemGCN, PoseAug).

  Files of one name circulate in both, and nothing in them tells. The pelvis lies between the hips in the right one.
  """

  def distance(skeleton: skeletons.Skeleton) -> float:
    pelvis, right, left = (points[:, skeleton.index(n)] for n in ("pelvis", "right_hip", "left_hip"))
    return float(np.median(np.linalg.norm(pelvis - (right + left) / 2, axis=-1)))

  return min((HOURGLASS_16, skeletons.get("h36m_16")), key=distance)
