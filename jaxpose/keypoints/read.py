"""Any detector's files in, tracks of people out: the format is recognised by its content, and said."""

import inspect
import os
from collections.abc import Mapping
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike

from jaxpose import video as videos
from jaxpose.keypoints import (
  alphapose,
  check,
  coco,
  deeplabcut,
  gaps,
  link,
  mediapipe,
  mmpose,
  npz_file,
  openpose,
  pose_file,
  source,
  tracks,
  yolo,
)
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections, Tracks

FORMATS: dict[str, ModuleType] = {
  "coco": coco,
  "alphapose": alphapose,
  "openpose": openpose,
  "mmpose": mmpose,
  "mediapipe": mediapipe,
  "yolo": yolo,
  "deeplabcut": deeplabcut,
  "pose": pose_file,
  "npz": npz_file,
}
ASSUMED_FPS = 30.0


def read(
  path: str | os.PathLike,
  format: str | None = None,
  *,
  video: str | os.PathLike | None = None,
  image_size: tuple[int, int] | None = None,
  fps: float | int | None = None,
  frames: int | None = None,
  skeleton: str | None = None,
  joints: Mapping[str, str] | None = None,
  confidence: float | int | str = check.THRESHOLD,
  keypoint_scale: int | None = None,
  image: int | None = None,
  person: str | int = "all",
  fill_s: float | int = gaps.FILL_S,
) -> Tracks:
  """The people of a file or folder of keypoints, linked, with short gaps filled.

  format: of FORMATS, recognised if None. video, image_size (width, height), fps, frames (of the whole recording): what
  the file does not say; a video says all three. skeleton: the joint set, for files without names. joints: {their name:
  ours}. confidence: the threshold, or "ignore". keypoint_scale: OpenPose's. image: of a COCO file. person: "all",
  "largest" or an id. fill_s: seconds of the longest gap that is filled.

  Raises OSError for files that are not there, ValueError for files that are no keypoints of people, are damaged, or
  leave open what only the caller knows; each names the file, the frame or the value, and the flag that mends it.
  """
  where = os.fspath(path)
  file = source.load(where)
  name = recognise(file) if format is None else format
  if name not in FORMATS:
    raise ValueError(f"unknown format {name!r}; known are {', '.join(FORMATS)}")
  options = {"skeleton": skeleton, "joints": joints, "keypoint_scale": keypoint_scale, "image": image}
  detections = _parse(file, name, {k: v for k, v in options.items() if v is not None})
  if video is not None:
    facts = videos.probe(video)
    image_size, fps, frames = image_size or facts.size, fps or facts.fps, frames or facts.frames
  if frames is not None:
    detections = _lasting(detections, frames, where)
  detections = detections._replace(fps=fps or detections.fps)
  return _tracks(detections, name, where, image_size, confidence, person, fill_s)


def arrays(
  keypoints: ArrayLike,
  confidence: ArrayLike | None = None,
  *,
  image_size: tuple[int, int] | None,
  joints: str = "coco_17",
  fps: float | int | None = None,
  threshold: float | int | str = check.THRESHOLD,
  fill_s: float | int = gaps.FILL_S,
) -> Tracks:
  """As `read`, of plain arrays: keypoints [T, K, 2] or [T, N, K, 2], NaN where missing, of any type of number.

  confidence: [T, K] or [T, N, K], 1 if None. joints: a skeleton's name. image_size: (width, height); None only if
  nothing asks for it. threshold: as `confidence` of `read`.
  """
  given = {"keypoints": np.asarray(keypoints, np.float64), "skeleton": np.array(joints)}
  if confidence is not None:
    given["confidence"] = np.asarray(confidence, np.float64)
  detections = npz_file.from_arrays(given, "keypoints")._replace(fps=fps)
  return _tracks(detections, "arrays", "keypoints", image_size, threshold, "all", fill_s)


def _tracks(
  detections: Detections,
  name: str,
  where: str,
  image_size: tuple[int, int] | None,
  confidence: float | int | str,
  person: str | int,
  fill_s: float | int,
) -> Tracks:
  """Detections in pixels, above the threshold, linked, chosen, filled and looked over."""
  detections = check.pixels(detections, image_size, where)
  detections = check.confidences(detections, confidence, where)
  rate = detections.fps or ASSUMED_FPS
  if detections.fps is None and len(np.unique(detections.frames)) > 1 and not detections.still:
    detections = detections.noted(f"frames a second unknown, {rate:g} assumed; --fps= or --video= says it")
  ids, notes = link.ids(detections, rate)
  chosen = _chosen(detections, ids, person, where)
  result = tracks.dense(detections.noted(*notes).kept(chosen), ids[chosen], source=where, format=name)
  if not detections.still:
    result = gaps.fill(result, rate, fill_s)
  result = result.noted(*check.limbs(result), *check.orientation(result))
  return result if detections.still else result.noted(*link.jumps(result))


def recognise(file: Source) -> str:
  """The name of a file's format. Raises ValueError, listing what was looked for, if it is none or several."""
  formats = [name for name, module in FORMATS.items() if module.matches(file)]
  if len(formats) == 1:
    return formats[0]
  if formats:
    raise ValueError(f"{file.where} could be {' or '.join(formats)}; say which by --format=NAME")
  listed = "; ".join(module.LAYOUT for module in FORMATS.values())
  raise ValueError(f"{file.where} is in no format of keypoints that is known. Looked for {listed}")


def _parse(file: Source, name: str, options: Mapping[str, object]) -> Detections:
  """The file by its format's reader. Raises ValueError for an option that says nothing about the format."""
  parse = FORMATS[name].parse
  for option in options:
    if option not in inspect.signature(parse).parameters:
      raise ValueError(f"--{option}= says nothing about {file.where}, which is in the format {name}; leave it out")
  return parse(file, **options)


def _lasting(detections: Detections, count: int, where: str) -> Detections:
  """Detections of a recording of so many frames, counted from 0 or 1 where the format does not say."""
  last = int(detections.frames.max(initial=0))
  first = (1 if last == count else 0) if detections.first is None else detections.first
  if last - first >= count:
    raise ValueError(
      f"{where}: somebody in frame {last}, but the recording has {count} frames from {first}; is it the video of these "
      f"keypoints? --frames= overrules it"
    )
  return detections._replace(count=count, first=first)


def _chosen(detections: Detections, ids: np.ndarray, person: str | int, where: str) -> np.ndarray:
  """The rows of the people asked for; "largest" is who covers the greatest area, summed over frames."""
  if person == "all" or not len(ids):
    return np.ones(len(ids), bool)
  people = [int(i) for i in np.unique(ids)]
  if person == "largest":
    extent = np.nanmax(detections.keypoints, 1) - np.nanmin(detections.keypoints, 1)
    area = np.nan_to_num(extent.prod(-1))
    return ids == max(people, key=lambda i: float(area[ids == i].sum()))
  try:
    number = int(person)
  except ValueError:
    number = -1
  if number not in people:
    raise ValueError(f"{where}: --person={person}; expected all, largest, or one of {people[:50]}")
  return ids == number
