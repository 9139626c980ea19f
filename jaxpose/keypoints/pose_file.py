"""`.pose` files (sign-language-processing/pose, specifications 0.1 and 0.2): binary, and they name their own points.

Little-endian. A header: version (float), width, height, depth, number of components; of each component its name, its
point format ("XYC"), the numbers of its points, limbs and colours, then the points' names, pairs and triples. A body:
frames a second, number of frames and of people, the coordinates of all points of all people of all frames, then their
confidences. A string is its length (ushort) and its bytes. 0.1 has ushorts for the rate and for the number of frames,
which overflows: there the length of the file counts.
"""

import struct

import numpy as np

from jaxpose.keypoints import joints as joint_sets
from jaxpose.keypoints.source import LARGEST, Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = ".pose: binary, beginning with the number 0.1 or 0.2"
_VERSIONS = {struct.pack("<f", version): version for version in (0.1, 0.2)}


def matches(file: Source) -> bool:
  return not file.folder and file.bytes[:4] in _VERSIONS


def parse(file: Source) -> Detections:
  """The people of a file, by index; the joints are found by their points' names, over all components."""
  where, data = file.where, file.bytes
  try:
    version = _VERSIONS[data[:4]]
    (width, height, _, components), at = struct.unpack_from("<4H", data, 4), 12
    names, formats = [], []
    for _ in range(components):
      points, form, at = _component(data, at)
      names += points
      formats.append(form)
    if not names:
      raise ValueError("it names no points")
    fps, frames, people = struct.unpack_from("<fIH" if version == 0.2 else "<HHH", data, at)
  except (struct.error, ValueError, KeyError) as error:
    raise ValueError(f"{where}: its header is damaged or cut short ({error}); get the file again") from error
  at += 10 if version == 0.2 else 6
  axes = max(len(form) for form in formats) - 1
  size = people * len(names) * (axes + 1) * 4
  if version == 0.1 and size:
    frames = (len(data) - at) // size
  if axes < 2 or frames * size != len(data) - at or not frames * size:
    raise ValueError(
      f"{where}: {len(data) - at} bytes, not those of {frames} frames of {people} people of {len(names)} points; "
      f"it is cut short, get it again"
    )
  if not 0 < fps < 1e5:
    raise ValueError(f"{where}: {fps} frames a second; get the file again")
  split = at + frames * people * len(names) * axes * 4
  points = np.frombuffer(data[at:split], "<f4").reshape(frames, people, len(names), axes)[..., :2]
  confidence = np.frombuffer(data[split:], "<f4").reshape(points.shape[:3])
  skeleton, order, notes = joint_sets.from_names(names, where)
  with np.errstate(invalid="ignore"):  # signalling NaNs of a damaged file
    points, confidence = points[:, :, order].astype(np.float64), confidence[:, :, order].astype(np.float64)
  missing = ~np.isfinite(points).all(-1) | np.isnan(confidence) | ((points == 0).all(-1) & ~(confidence > 0))
  wrong = ~missing & ((np.abs(points).max(-1) > LARGEST) | (np.abs(confidence) > LARGEST))
  if wrong.any():
    raise ValueError(f"{where}: a point of frame {np.argwhere(wrong)[0][0]} is no pixel; get the file again")
  seen = ~missing.all(-1)
  number, person = np.nonzero(seen)
  return Detections(
    frames=number,
    keypoints=np.where(missing[..., None], np.nan, points)[seen],
    confidence=np.where(missing, 0, confidence)[seen],
    ids=person + 1,
    skeleton=skeleton,
    first=0,
    count=frames,
    fps=float(fps),
    image_size=(width, height) if width and height else None,
    notes=notes,
  )


def _string(data: bytes, at: int) -> tuple[str, int]:
  (length,) = struct.unpack_from("<H", data, at)
  if at + 2 + length > len(data):
    raise ValueError("a name ends after the file")
  return data[at + 2 : at + 2 + length].decode("utf-8"), at + 2 + length


def _component(data: bytes, at: int) -> tuple[list[str], str, int]:
  """Names of the points, point format, and where the next component begins."""
  _, at = _string(data, at)  # the component's name
  form, at = _string(data, at)
  points, limbs, colours = struct.unpack_from("<3H", data, at)
  at, names = at + 6, []
  for _ in range(points):
    point, at = _string(data, at)
    names.append(point)
  return names, form, at + 4 * limbs + 6 * colours
