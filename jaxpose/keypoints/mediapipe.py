"""MediaPipe's 33 pose landmarks, for which there is no file format: JSON and npz as users dump them.

JSON: {"width", "height", "fps", "frames": [...]}, or the list of frames alone. A frame is null or [] where nobody was
found, a list of 33 {"x", "y", "z", "visibility"} (or [x, y, z, visibility]), a list of such lists, one a person, or an
object that holds either under "landmarks" or "pose_landmarks". npz: landmarks [T, 33, 2 to 5] or [T, N, 33, 2 to 5] in
the order x, y, z, visibility, presence, NaN where nobody was found; perhaps width, height, fps.

x and y are of the image's width and height. "visibility" is a sigmoid or an argument of one (NormalizedLandmark): where
a value is outside 0 to 1 the sigmoid is taken.
"""

from typing import Any

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.keypoints import source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = (
  'MediaPipe: {"width", "height", "fps", "frames": [[{"x", "y", "z", "visibility"} * 33] or null, ...]}, '
  "or npz with landmarks [T, 33, 4]"
)
JOINTS = 33


def matches(file: Source) -> bool:
  value = file.only
  if isinstance(value, dict):
    return isinstance(value.get("frames"), list)
  return isinstance(value, list) and any(_people(frame) for frame in value)


def parse(file: Source) -> Detections:
  """The landmarks of a JSON dump."""
  value, where = file.only, file.where
  head = value if isinstance(value, dict) else {}
  frames = head["frames"] if head else value
  numbers, rows = [], []
  for number, frame in enumerate(frames):
    people = _people(frame)
    if people is None:
      raise ValueError(
        f"{where}, frame {number}: expected {JOINTS} landmarks a person, or null, got {str(frame)[:60]!r}"
      )
    numbers += [number] * len(people)
    rows += [_flat(person, f"{where}, frame {number}") for person in people]
  if not rows:
    raise ValueError(f"{where}: nobody in it; there is nothing to lift")
  landmarks = source.table(rows, lambda i: f"{where}, frame {numbers[i]}").reshape(len(rows), JOINTS, 3)
  detections = from_landmarks(np.array(numbers, np.int64), landmarks, len(frames))
  width, height = (source.whole(head[k], f"{where}: {k}", 1) if k in head else None for k in ("width", "height"))
  return detections._replace(
    fps=source.positive(head["fps"], f"{where}: fps") if "fps" in head else None,
    image_size=(width, height) if width and height else None,
  )


def from_landmarks(frames: np.ndarray, landmarks: np.ndarray, count: int) -> Detections:
  """Detections of landmarks [D, 33, 3]: x, y and visibility."""
  visibility, notes = landmarks[..., 2], ()
  finite = visibility[np.isfinite(visibility)]
  if len(finite) and (finite.min() < 0 or finite.max() > 1):
    visibility = 1 / (1 + np.exp(-np.clip(visibility, -60, 60)))
    notes = (f"visibility from {finite.min():.3g} to {finite.max():.3g} is an argument of the sigmoid: it was taken",)
  missing = np.asarray(~np.isfinite(landmarks).all(-1))
  return Detections(
    frames=frames,
    keypoints=np.where(missing[..., None], np.nan, landmarks[..., :2]),
    confidence=np.where(missing, 0, visibility),
    ids=np.full(len(frames), -1, np.int64),
    skeleton=skeletons.get("mediapipe_33"),
    unit="unit",
    first=0,
    count=count,
    notes=notes,
  )


def _people(frame: Any) -> list[list[Any]] | None:
  """The lists of 33 landmarks of a frame; [] where nobody is, None for anything else."""
  if isinstance(frame, dict):
    frame = frame.get("landmarks", frame.get("pose_landmarks", 0))
  if frame is None or frame == []:
    return []
  if not isinstance(frame, list):
    return None
  people = [frame] if isinstance(frame[0], dict) or (isinstance(frame[0], list) and _numbers(frame[0])) else frame
  return people if all(isinstance(p, list) and len(p) == JOINTS for p in people) else None


def _numbers(values: list[Any]) -> bool:
  return bool(values) and not isinstance(values[0], list | dict)


def _flat(person: list[Any], where: str) -> list[Any]:
  """x, y, visibility of every landmark in one list; visibility 1 where there is none."""
  flat = []
  for mark in person:
    if isinstance(mark, dict) and "x" in mark and "y" in mark:
      flat += [mark["x"], mark["y"], mark.get("visibility", 1.0)]
    elif isinstance(mark, list) and 2 <= len(mark) <= 5:
      flat += [mark[0], mark[1], mark[3] if len(mark) > 3 else 1.0]
    else:
      raise ValueError(f"{where}: expected a landmark with x and y, got {str(mark)[:60]!r}")
  return flat
