"""From the arrays of one file to a Motion or a Clip; README.md lists the arrays. Errors leave out the file's name."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip, Motion, with_gaps
from jaxpose.geometry import camera as cameras

# Shapes of what a file must hold, and may.
_BOTH = {"joint_names": (None,), "fps": ()}
MOTION = {"positions_world": (None, None, 3), "up": (), **_BOTH}
CLIP = {"keypoints_2d": (None, None, 2), "joints_3d": (None, None, 3), "K": (3, 3), "size": (2,), **_BOTH}
MAY_MOTION = {"subject": (), "action": (), "sequence": ()}
MAY_CLIP = {
  **MAY_MOTION, "camera_id": (), "confidence": (None, None), "valid": (None,), "distortion": (None,), "R": (3, 3),
  "t": (3,),
}  # fmt: skip
_TEXT = ("joint_names", "up", "camera_id", *MAY_MOTION)

_PERSON_M = (0.1, 10.0)  # the diagonal of a person's box; beyond it something else than metres is likely
_APART = 0.05  # of the image's width: how far keypoints may lie from where the camera sees the joints, at the median

Joints = Mapping[str, list[str]]  # {joint of the target: names in the files whose mean it is}


def motion(arrays: Mapping[str, Any], target: skeletons.Skeleton, joints: Joints, sequence: str) -> Motion:
  """A Motion of the target's joints; a frame in which one is NaN is not valid. sequence: its name if none is given."""
  made = _checked(arrays, MOTION, MAY_MOTION)
  positions = joint_map(_names(made, "positions_world"), target, joints)(made["positions_world"])
  _check_metres(positions)
  texts = {key: _text(made, key) for key in ("up", "subject", "action")}
  sequence = _text(made, "sequence") or sequence
  return with_gaps(positions, skeleton=target, fps=float(made["fps"]), sequence=sequence, **texts)


def clip(arrays: Mapping[str, Any], target: skeletons.Skeleton, joints: Joints, sequence: str) -> Clip:
  """A Clip of the target's joints; NaN keypoints are missing joints, and frames with NaN in joints_3d not valid."""
  made = _checked(arrays, CLIP, MAY_CLIP)
  frames = made["keypoints_2d"].shape[:2]
  if made["joints_3d"].shape[:2] != frames:
    raise ValueError(f"joints_3d {made['joints_3d'].shape} are not those of keypoints_2d {made['keypoints_2d'].shape}")
  mapped = joint_map(_names(made, "keypoints_2d"), target, joints)
  pixels, body = mapped(made["keypoints_2d"]), mapped(made["joints_3d"])
  _check_metres(body)
  present, known = np.asarray(np.isfinite(pixels).all(2)), np.asarray(np.isfinite(body).all((1, 2)))
  confidence = mapped.confidence(made.get("confidence", np.ones(frames)))
  distortion, translation = made.get("distortion", np.zeros(4)), made.get("t", np.zeros(3))
  body = np.where(known[:, None, None], body, 0).astype(np.float32)
  seen = Clip(
    keypoints_2d=np.where(present[..., None], pixels, 0).astype(np.float32),
    confidence=np.where(present, confidence, 0).astype(np.float32),
    joints_3d=body,
    valid=known & made.get("valid", np.ones(len(known), bool)),
    camera=cameras.from_opencv(made["K"], distortion, made["size"], made.get("R"), translation),
    skeleton=target,
    fps=float(made["fps"]),
    subject=_text(made, "subject"),
    action=_text(made, "action"),
    sequence=_text(made, "sequence") or sequence,
    camera_id=_text(made, "camera_id"),
  )
  _check_projection(seen, body)
  return seen


def joint_map(names: tuple[str, ...], target: skeletons.Skeleton, joints: Joints) -> skeletons.JointMap:
  """The map from joints of these names to `target`: those in `joints` as the means that it says, others by name."""
  lacking = sorted({n for means in joints.values() for n in means} - set(names))
  if lacking:
    raise ValueError(f"the option joints asks for {lacking}, which it lacks; it has {', '.join(names)}")
  source = skeletons.Skeleton("file", names, (-1, *(0,) * (len(names) - 1)))  # its bones play no part
  mapped = skeletons.joint_map(source, target)
  missing = [n for n in mapped.missing if n not in joints]
  if missing:
    raise ValueError(
      f"nothing stands for {', '.join(missing)} of {target.name}; it has {', '.join(names)}. Say what does in a file "
      'such as {"pelvis": ["LHip", "RHip"]} and give --option=joints=FILE, or choose another --option=skeleton'
    )
  matrix = mapped.matrix.copy()
  for joint, means in joints.items():
    matrix[target.index(joint)] = [means.count(n) / len(means) for n in names]
  return skeletons.JointMap(source, target, matrix, {}, ())


def _checked(arrays: Mapping[str, Any], must: Mapping[str, tuple], may: Mapping[str, tuple]) -> dict[str, np.ndarray]:
  lacking, unknown = sorted(set(must) - set(arrays)), sorted(set(arrays) - set(must) - set(may))
  if lacking or unknown:
    raise ValueError(
      f"it lacks {lacking or 'nothing'} and has unknown {unknown or 'nothing'}; needed are {', '.join(must)}, "
      f"possible {', '.join(may)}"
    )
  made = {key: np.asarray(value) for key, value in arrays.items()}
  for key, array in made.items():
    shape = {**must, **may}[key]
    kinds, kind = ("U", "text") if key in _TEXT else ("b", "truth values") if key == "valid" else ("iuf", "numbers")
    fits = len(shape) == array.ndim and all(n in (None, m) for n, m in zip(shape, array.shape))
    if not fits or array.dtype.kind not in kinds:
      axes = ", ".join("..." if n is None else str(n) for n in shape)
      raise ValueError(f"{key} has dtype {array.dtype} and shape {array.shape}; expected {kind} [{axes}]")
  return made


def _names(made: Mapping[str, np.ndarray], key: str) -> tuple[str, ...]:
  names = tuple(map(str, made["joint_names"]))
  if len(names) != made[key].shape[1]:
    raise ValueError(f"{len(names)} joint_names for the {made[key].shape[1]} joints of {key}")
  return names


def _text(made: Mapping[str, np.ndarray], key: str) -> str:
  return str(made.get(key, ""))


def _check_metres(joints: np.ndarray) -> None:
  whole = joints[np.isfinite(joints).all((1, 2))]
  size = float(np.median(np.linalg.norm(np.ptp(whole, axis=1), axis=-1))) if len(whole) else 1.0
  if not _PERSON_M[0] < size < _PERSON_M[1]:
    raise ValueError(f"its joints make a person of {size:.4g} m; give them in metres")


def _check_projection(seen: Clip, joints: np.ndarray) -> None:
  scored = seen.valid[:, None] & (seen.confidence > 0)
  if not scored.any():
    return
  away = np.linalg.norm(np.asarray(cameras.project(joints, seen.camera)) - seen.keypoints_2d, axis=-1)
  off = float(np.median(np.where(joints[..., 2] > 0, away, np.inf)[scored]))
  if not off < _APART * float(seen.camera.size[0]):
    raise ValueError(
      f"its camera sees joints_3d {off:.4g} px from keypoints_2d at the median; expected are absolute metres in the "
      "camera's axes (x right, y down, z forward), R @ X_world + t"
    )
