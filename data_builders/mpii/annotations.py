"""mpii_human_pose_v1_u12_1.mat: people in images, one at a time, from nested structs that leave fields out at will."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.formats import matlab

SKELETON = skeletons.get("mpii_16")
HEAD_FACTOR = 0.6  # PCKh's head size is this much of the head box's diagonal


class Reference(NamedTuple):
  """Where a person is in the file: the image's name, the number of the person in it from 1 on, and the raw structs."""

  image: str
  number: int
  train: bool
  single: bool
  activity: str
  raw: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Person:
  """One person: keypoints [16, 2] and center [2] in pixels (geometry/pixels.py), annotated and visible bool [16].

  scale: the person's height in units of 200 px. head: x1, y1, x2, y2. Both NaN-free: 0 where the file has none.
  """

  keypoints: np.ndarray
  annotated: np.ndarray
  visible: np.ndarray
  center: np.ndarray
  scale: float
  head: np.ndarray

  @property
  def head_size(self) -> float:
    """The length of which PCKh takes a half: 0.6 of the head box's diagonal."""
    return HEAD_FACTOR * float(np.hypot(self.head[2] - self.head[0], self.head[3] - self.head[1]))


def references(release: Any, name: str) -> Iterator[Reference]:
  """The people of the file's struct RELEASE, image by image. Raises ValueError where its parts do not fit together."""
  if not isinstance(release, Mapping):
    raise ValueError(f"{name}: RELEASE is no struct; is this MPII's annotation file?")
  images = _structs(release.get("annolist"))
  train = np.asarray(release.get("img_train", ())).ravel()
  if not images or len(train) != len(images):
    raise ValueError(f"{name}: {len(images)} images in annolist and {len(train)} in img_train; is it cut short?")
  activities = _structs(release.get("act"))
  singles = release.get("single_person")
  singles = singles if isinstance(singles, list) else []
  for at, image in enumerate(images):
    file = _text((_structs(image.get("image")) or [{}])[0].get("name"))
    if not file:
      raise ValueError(f"{name}: image {at + 1} of annolist has no name")
    alone = _numbers(singles[at]) if at < len(singles) else []
    activity = _text(activities[at].get("act_name")) if at < len(activities) else ""
    for number, raw in enumerate(_structs(image.get("annorect")), 1):
      yield Reference(file, number, bool(train[at]), number in alone, activity, raw)


def person(reference: Reference) -> Person:
  """The person of a reference. Raises ValueError, naming image and person, for a joint that MPII does not have."""
  raw, where = reference.raw, f"{reference.image}, person {reference.number}"
  keypoints = np.zeros((SKELETON.num_joints, 2))
  annotated, visible = np.zeros((2, SKELETON.num_joints), bool)
  for holder in _structs(raw.get("annopoints")):
    for point in _structs(holder.get("point")):
      joint, x, y = (_number(point.get(k)) for k in ("id", "x", "y"))
      if joint not in range(SKELETON.num_joints):
        raise ValueError(f"{where}: joint number {joint}; they are 0 to {SKELETON.num_joints - 1}")
      j = int(joint)
      annotated[j] = np.isfinite((x, y)).all()
      keypoints[j] = (x - 0.5, y - 0.5) if annotated[j] else 0  # MATLAB counts pixels from 1
      visible[j] = _number(point.get("is_visible")) != 0  # left out, mostly at the head, it counts as visible
  place = (_structs(raw.get("objpos")) or [{}])[0]
  center = np.array([_number(place.get(k)) - 0.5 for k in ("x", "y")])
  head = np.array([_number(raw.get(k)) - 0.5 for k in ("x1", "y1", "x2", "y2")])
  return Person(
    keypoints=keypoints,
    annotated=annotated,
    visible=visible,
    center=(center if np.isfinite(center).all() else np.zeros(2)).astype(np.float32),
    scale=float(np.nan_to_num(_number(raw.get("scale")))),
    head=(head if np.isfinite(head).all() else np.zeros(4)).astype(np.float32),
  )


def validation(entries: Any, name: str) -> dict[str, np.ndarray]:
  """{image: centre x, y in pixels, and scale [N, 3], of the people held out of it}, from the field's list valid.json.

  Raises ValueError where it is no such list.
  """
  centers: dict[str, list[np.ndarray]] = {}
  for at, entry in enumerate(entries if isinstance(entries, list) else [None]):
    center = entry.get("center") if isinstance(entry, Mapping) else None
    values = [*center, entry.get("scale")] if isinstance(center, list) else []
    if (
      len(values) != 3 or not all(isinstance(v, int | float) for v in values) or not isinstance(entry.get("image"), str)
    ):
      raise ValueError(
        f"{name}: entry {at} is no person with image, center and scale; is it SimpleBaseline's valid.json?"
      )
    centers.setdefault(entry["image"], []).append(np.array(values, np.float64) - (0.5, 0.5, 0))
  return {image: np.stack(places) for image, places in centers.items()}


def _structs(value: Any) -> list[Mapping[str, Any]]:
  """A struct, a struct array, or nothing: as a list."""
  return [] if value is None else [v for v in matlab.each(value) if isinstance(v, Mapping)]


def _numbers(value: Any) -> list[float]:
  if isinstance(value, list):
    return [n for v in value for n in _numbers(v)]
  if isinstance(value, str):
    try:
      return [float(value)]
    except ValueError:
      return []
  array = np.asarray(value).ravel() if value is not None else np.zeros(0)
  return array.astype(float).tolist() if np.issubdtype(array.dtype, np.number) or array.dtype == bool else []


def _number(value: Any) -> float:
  """A number that may be a matrix, a character '0' or '1', or left out: NaN."""
  numbers = _numbers(value)
  return numbers[0] if numbers else float("nan")


def _text(value: Any) -> str:
  return value if isinstance(value, str) else ""
