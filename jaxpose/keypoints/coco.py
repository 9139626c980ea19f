"""COCO's results, a list of one entry a person, and its annotations, which also hold the images' sizes.

A result is {"image_id": int, "category_id", "keypoints": [x, y, v] * 17, "score"}, in pixels from the top left corner
(cocodataset.org, results format). It says neither the images' size nor who is who.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxpose.keypoints import joints, source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections
from jaxpose.skeleton import Skeleton

LAYOUT = 'COCO: [{"image_id": 1, "keypoints": [x, y, v, ...]}, ...], or {"annotations": ..., "images": ...}'


def matches(file: Source) -> bool:
  value = file.only
  if isinstance(value, dict):
    return "annotations" in value
  return is_list(value, int)


def is_list(value: Any, kind: type) -> bool:
  """Whether a JSON value is a list of people whose first has an image_id of a kind, and keypoints."""
  first = value[0] if isinstance(value, list) and value else None
  return isinstance(first, dict) and "keypoints" in first and isinstance(first.get("image_id"), kind)


def parse(file: Source, *, image: int | None = None, skeleton: str | None = None) -> Detections:
  """The people of a results or annotations file.

  image: an image's id, to have its people alone. skeleton: the joint set, if not COCO's. Images whose ids do not count
  up are taken as photographs: each is a frame, in order of the ids, and nobody is followed. Raises ValueError for
  images of different sizes.
  """
  value, where = file.only, file.where
  entries = value["annotations"] if isinstance(value, dict) else value
  entries = people(entries, where)
  if isinstance(value, dict):
    entries = [e for e in entries if not e.get("iscrowd") and any(e["keypoints"])]
  ids = np.array([source.whole(e.get("image_id"), f"{where}, entry {i}: image_id") for i, e in enumerate(entries)])
  if image is not None:
    if image not in ids:
      raise ValueError(f"{where}: nobody in image {image}; --image= takes one of {np.unique(ids)[:20].tolist()}")
    entries, ids = [e for e, i in zip(entries, ids) if i == image], ids[ids == image]
  keypoints, confidence = triples(entries, where)
  its, notes = body(keypoints.shape[1], where, skeleton)
  if confidence.max() == 2 and np.isin(confidence, (0, 1, 2)).all():
    confidence = np.minimum(confidence, 1)
    notes += ("v is COCO's flag (0 missing, 1 hidden, 2 visible), no confidence: 1 and 2 count as 1",)
  size = _size(value, np.unique(ids), where) if isinstance(value, dict) else None
  still = image is not None
  if len(ids) and np.ptp(ids) >= 100 * len(np.unique(ids)):
    photographs, ids = np.unique(ids, return_inverse=True)
    still = True
    notes += (f"image ids {photographs[0]} to {photographs[-1]} do not count up: {len(photographs)} photographs",)
  return Detections(
    frames=ids.astype(np.int64),
    keypoints=keypoints[:, : its.num_joints],
    confidence=confidence[:, : its.num_joints],
    ids=given_ids(entries, "track_id", where),
    skeleton=its,
    image_size=size,
    still=still,
    notes=notes,
  )


def body(count: int, where: str, name: str | None) -> tuple[Skeleton, tuple[str, ...]]:
  """The joint set of entries of `count` joints, of which 17 are COCO's if no name says otherwise, and a note."""
  name = name or ("coco_17" if count == 17 else None)
  skeleton = joints.named(name, count, where) if name else joints.by_count(count, where)
  rest = count - skeleton.num_joints
  return skeleton, (f"{skeleton.name}, the first {skeleton.num_joints} of {count} joints",) if rest else ()


def people(entries: Any, where: str) -> list[Mapping[str, Any]]:
  """The entries of a list of people; a ValueError says which is none."""
  if not isinstance(entries, list):
    raise ValueError(f"{where}: expected a list of people, got {str(entries)[:60]!r}")
  for i, entry in enumerate(entries):
    if not isinstance(entry, dict) or not isinstance(entry.get("keypoints"), list):
      raise ValueError(f"{where}, entry {i}: expected a person with keypoints, got {str(entry)[:60]!r}")
  return entries


def triples(entries: Sequence[Mapping[str, Any]], where: str) -> tuple[np.ndarray, np.ndarray]:
  """keypoints [D, K, 2] and third values [D, K] of entries whose keypoints are x, y, v, x, y, v, ...; 0 is missing."""
  flat = source.table([e["keypoints"] for e in entries], lambda i: f"{where}, entry {i}: keypoints")
  if not len(flat):
    raise ValueError(f"{where}: nobody in it; there is nothing to lift")
  if flat.shape[1] % 3:
    raise ValueError(f"{where}: {flat.shape[1]} numbers a person; expected x, y and confidence of every joint")
  joined = flat.reshape(len(flat), -1, 3)
  missing = np.isnan(joined).any(-1) | (joined == 0).all(-1)
  return np.where(missing[..., None], np.nan, joined[..., :2]), np.where(missing, 0, joined[..., 2])


def given_ids(entries: Sequence[Mapping[str, Any]], key: str, where: str) -> np.ndarray:
  """The people's ids [D]; -1 for everyone unless all entries have one."""
  if not all(key in e for e in entries):
    return np.full(len(entries), -1, np.int64)
  values = [e[key][0] if isinstance(e[key], list) and len(e[key]) == 1 else e[key] for e in entries]
  return np.array([source.whole(v, f"{where}, entry {i}: {key}", -1) for i, v in enumerate(values)], np.int64)


def _size(value: Mapping[str, Any], ids: np.ndarray, where: str) -> tuple[int, int] | None:
  images = value.get("images", [])
  if not isinstance(images, list) or not all(isinstance(i, dict) for i in images):
    raise ValueError(f"{where}: images is {str(images)[:60]!r}; expected a list of images with id, width and height")
  sizes = {
    (source.whole(i.get("width"), f"{where}: width", 1), source.whole(i.get("height"), f"{where}: height", 1))
    for i in images
    if i.get("id") in ids
  }
  if len(sizes) > 1:
    one, other = sorted(sizes)[:2]
    raise ValueError(
      f"{where}: its images have different sizes ({one[0]}x{one[1]}, {other[0]}x{other[1]}); choose one by --image=ID, "
      f"of {ids[:20].tolist()}"
    )
  return next(iter(sizes), None)
