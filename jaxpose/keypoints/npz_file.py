"""npz: our own format, which `write` writes, plain arrays of a user's, and MediaPipe's landmarks.

Ours: keypoints [T, N, K, 2] px, NaN where missing (or [T, K, 2], or a third coordinate, the confidence); and, each only
if known, confidence [T, N, K], ids [N], frames [T], fps, image_size [2] (width, height), names [K] or skeleton.
"""

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose import whole_file
from jaxpose.formats import npz
from jaxpose.keypoints import joints as joint_sets
from jaxpose.keypoints import mediapipe, source
from jaxpose.keypoints.source import LARGEST, Source
from jaxpose.keypoints.tracks import Detections, Tracks

LAYOUT = "npz: keypoints [T, N, K, 2] in pixels, perhaps confidence, ids, frames, fps, image_size, names or skeleton"


def matches(file: Source) -> bool:
  return not file.folder and file.bytes[:2] == b"PK"


def parse(file: Source, *, skeleton: str | None = None, joints: Mapping[str, str] | None = None) -> Detections:
  """The people of an archive. skeleton: the joint set, where it has no names; joints: {their name: ours}."""
  arrays = npz.read(file.bytes, where=file.where)
  arrays = {key: value for key, value in arrays.items() if isinstance(value, np.ndarray)}
  return from_arrays(arrays, file.where, skeleton, joints)


def from_arrays(
  arrays: Mapping[str, np.ndarray], where: str, skeleton: str | None = None, joints: Mapping[str, str] | None = None
) -> Detections:
  """The people of an archive's arrays; `where` names them in errors."""
  fps = arrays.get("fps")
  fps = None if fps is None else source.positive(_number(fps, f"{where}: fps"), f"{where}: fps")
  if "landmarks" in arrays and "keypoints" not in arrays:
    return _landmarks(arrays, where)._replace(fps=fps)
  if "keypoints" not in arrays:
    raise ValueError(
      f"{where} has no array keypoints (or landmarks); it holds {', '.join(sorted(arrays)) or 'nothing'}"
    )
  keypoints, confidence = _arrays(arrays, where)
  length, people, count = keypoints.shape[:3]
  its, order, notes = _skeleton(arrays, keypoints.reshape(-1, count, 2), where, skeleton, joints)
  frames = _integers(arrays, "frames", np.arange(length), where)
  ids = _integers(arrays, "ids", np.arange(1, people + 1) if people > 1 else np.full(people, 1), where)
  keypoints, confidence = keypoints[:, :, order], confidence[:, :, order]
  seen = ~np.isnan(keypoints).any(-1).all(-1)
  return Detections(
    frames=np.broadcast_to(frames[:, None], seen.shape)[seen],
    keypoints=keypoints[seen],
    confidence=confidence[seen],
    ids=np.broadcast_to(ids, seen.shape)[seen],
    skeleton=its,
    unit="",
    first=int(frames.min()),
    count=int(np.ptp(frames)) + 1,
    fps=fps,
    image_size=_size(arrays, where),
    notes=notes,
  )


def write(path: str | os.PathLike, tracks: Tracks) -> None:
  """Writes tracks in our own format, whole or not at all. Filled joints are written as missing: they are no input."""
  seen = tracks.status == 0
  arrays: dict[str, Any] = {
    "keypoints": np.where(seen[..., None], tracks.keypoints, np.nan).astype(np.float32),
    "confidence": np.where(seen, tracks.confidence, 0).astype(np.float32),
    "ids": np.array(tracks.ids, np.int64),
    "frames": tracks.frames,
    "names": np.array(tracks.skeleton.names),
  }
  if tracks.fps is not None:
    arrays["fps"] = np.float64(tracks.fps)
  if tracks.image_size is not None:
    arrays["image_size"] = np.array(tracks.image_size, np.int64)
  file = io.BytesIO()
  np.savez_compressed(file, **arrays)
  whole_file.write(path, file.getvalue())


def _arrays(arrays: Mapping[str, np.ndarray], where: str) -> tuple[np.ndarray, np.ndarray]:
  """keypoints [T, N, K, 2] and confidence [T, N, K], float64."""
  keypoints = arrays["keypoints"]
  if keypoints.ndim == 3:
    keypoints = keypoints[:, None]
  if (
    keypoints.ndim != 4 or keypoints.shape[-1] not in (2, 3) or not keypoints.size or keypoints.dtype.kind not in "iuf"
  ):
    raise ValueError(
      f"{where}: keypoints has shape {arrays['keypoints'].shape} and dtype {arrays['keypoints'].dtype}; expected "
      f"numbers [T, N, K, 2] or [T, K, 2]"
    )
  with np.errstate(invalid="ignore"):  # signalling NaNs of a damaged file
    keypoints = keypoints.astype(np.float64)
  confidence = arrays.get("confidence", keypoints[..., 2] if keypoints.shape[-1] == 3 else np.ones(keypoints.shape[:3]))
  if confidence.ndim == 2:
    confidence = confidence[:, None]
  if confidence.shape != keypoints.shape[:3] or confidence.dtype.kind not in "iuf":
    raise ValueError(f"{where}: confidence has shape {confidence.shape}, expected {keypoints.shape[:3]}")
  with np.errstate(invalid="ignore"):
    confidence, keypoints = confidence.astype(np.float64), keypoints[..., :2]
  missing = np.isnan(keypoints).any(-1) | np.isnan(confidence)
  wrong = ~missing & ((np.abs(keypoints).max(-1) > LARGEST) | (np.abs(confidence) > LARGEST))
  if wrong.any():
    frame = np.argwhere(wrong)[0][0]
    raise ValueError(f"{where}: keypoints of row {frame} hold what is no pixel, or infinity; repair that frame")
  return np.where(missing[..., None], np.nan, keypoints), np.where(missing, 0, confidence)


def _skeleton(
  arrays: Mapping[str, np.ndarray], keypoints: np.ndarray, where: str, name: str | None, renames: Any
) -> tuple[skeletons.Skeleton, list[int], tuple[str, ...]]:
  count = keypoints.shape[1]
  named = arrays.get("names")
  if named is not None and not name:
    if named.shape != (count,) or named.dtype.kind != "U":
      raise ValueError(f"{where}: names has shape {named.shape}, dtype {named.dtype}; expected {count} texts")
    return joint_sets.from_names([str(n) for n in named], where, renames)
  if not name and "skeleton" in arrays:
    name = str(arrays["skeleton"])[:80]
  if name:
    its = joint_sets.named(name, count, where)
    return its, list(range(its.num_joints)), ()
  its, note = joint_sets.guess(keypoints, where)
  return its, list(range(its.num_joints)), (note,)


def _landmarks(arrays: Mapping[str, np.ndarray], where: str) -> Detections:
  marks = arrays["landmarks"]
  marks = marks[:, None] if marks.ndim == 3 else marks
  if marks.ndim != 4 or marks.shape[2] != mediapipe.JOINTS or not 2 <= marks.shape[3] <= 5 or marks.dtype.kind != "f":
    raise ValueError(f"{where}: landmarks has shape {arrays['landmarks'].shape}; expected [T, 33, 4] or [T, N, 33, 4]")
  visibility = marks[..., 3:4] if marks.shape[3] > 3 else np.ones_like(marks[..., :1])
  with np.errstate(invalid="ignore"):
    joined = np.concatenate([marks[..., :2], visibility], -1).astype(np.float64)
  if (np.abs(joined) > LARGEST).any():
    raise ValueError(f"{where}: landmarks beyond any image; get the file again")
  seen = np.isfinite(joined).all(-1).any(-1)
  detections = mediapipe.from_landmarks(np.nonzero(seen)[0], joined[seen], len(marks))
  if "width" not in arrays or "height" not in arrays:
    return detections
  width, height = (source.whole(_number(arrays[k], f"{where}: {k}"), f"{where}: {k}", 1) for k in ("width", "height"))
  return detections._replace(image_size=(width, height))


def _integers(arrays: Mapping[str, np.ndarray], key: str, default: np.ndarray, where: str) -> np.ndarray:
  values = arrays.get(key, default)
  if values.shape != default.shape or values.dtype.kind not in "iu" or len(np.unique(values)) != len(values):
    raise ValueError(
      f"{where}: {key} has shape {values.shape}, dtype {values.dtype}; expected {default.shape} integers"
    )
  if (values > 10**12).any() or (values < 0).any():
    raise ValueError(f"{where}: {key} from {values.min()} to {values.max()}; expected numbers from 0")
  return values.astype(np.int64)


def _number(array: np.ndarray, what: str) -> float:
  if array.size != 1 or array.dtype.kind not in "iuf":
    raise ValueError(f"{what} has shape {array.shape}, dtype {array.dtype}; expected one number")
  return float(array.reshape(()))


def _size(arrays: Mapping[str, np.ndarray], where: str) -> tuple[int, int] | None:
  if "image_size" not in arrays:
    return None
  size = arrays["image_size"]
  if size.shape != (2,) or size.dtype.kind not in "iuf":
    raise ValueError(f"{where}: image_size has shape {size.shape}, dtype {size.dtype}; expected width and height")
  return source.whole(float(size[0]), f"{where}: width", 1), source.whole(float(size[1]), f"{where}: height", 1)
