"""COCO's keypoint challenge: average precision and recall by object keypoint similarity (OKS).

OKS = mean over labelled joints of exp(-d^2 / (2 area (2 sigma)^2)): sigma of each joint, d and area in the image's
pixels. The rules are those of COCO's own evaluation, detail by detail, and so are the numbers: a person without
labelled joints, or of another size than asked, takes a detection away without counting either; a crowd takes any
number of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxpose import skeleton as skeletons

SKELETON = skeletons.get("coco_17")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
AREAS = {"": (0.0, 1e10), "_M": (32.0**2, 96.0**2), "_L": (96.0**2, 1e10)}  # pixels squared
DETECTIONS = 20  # of an image, the best
_RECALLS = np.linspace(0, 1, 101)


class _Image(NamedTuple):
  """One image's people and detections, these by score, and their OKS [D, G]."""

  score: np.ndarray
  detected_area: np.ndarray
  area: np.ndarray
  ignored: np.ndarray
  crowd: np.ndarray
  oks: np.ndarray


def average_precision(annotations: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
  """{"AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L"}, 0 to 1; -1 where nobody is that size.

  annotations: COCO's file, {"images": ..., "annotations": ...}, of people. results: [{"image_id", "keypoints": 17 times
  x, y, anything, "score"}]. Both count pixels as COCO does, from 0; `to_coco` brings them there. Raises ValueError,
  naming the entry, for what is not of that form, for images that the annotations lack, and for no image at all.
  """
  images = _images(annotations, results)
  stats = {}
  for suffix, bounds in AREAS.items():
    precision, recall = _accumulated([_matched(image, bounds) for image in images])
    stats[f"AP{suffix}"], stats[f"AR{suffix}"] = _mean(precision), _mean(recall)
    if not suffix:
      for name, at in (("50", 0), ("75", 5)):
        stats[f"AP{name}"], stats[f"AR{name}"] = _mean(precision[at]), float(recall[at])
  order = ("AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L")
  return {name: stats[name] for name in order}


def to_coco(keypoints: np.ndarray, confidence: np.ndarray, image_id: int, score: float) -> dict[str, Any]:
  """A result of pixels [17, 2] by geometry/pixels.py, whose centres are at + 0.5; COCO's are at whole numbers."""
  triples = np.concatenate([np.asarray(keypoints) - 0.5, np.asarray(confidence)[:, None]], -1)
  return {
    "image_id": int(image_id), "category_id": 1, "score": float(score),
    "keypoints": triples.astype(float).ravel().tolist(),
  }  # fmt: skip


def similarity(
  detected: np.ndarray, keypoints: np.ndarray, labelled: np.ndarray, area: float, box: np.ndarray
) -> np.ndarray:
  """OKS [D] of detections [D, 17, 2] with a person [17, 2]; `labelled`: bool [17].

  Of a person without labelled joints, the distances are those to its box (x, y, width, height), doubled on each side.
  """
  if labelled.any():
    square = ((detected - keypoints) ** 2).sum(-1)
  else:
    low = np.array([box[0] - box[2], box[1] - box[3]])
    high = np.array([box[0] + 2 * box[2], box[1] + 2 * box[3]])
    square = ((np.maximum(low - detected, 0) + np.maximum(detected - high, 0)) ** 2).sum(-1)
  exponent = square / (2 * np.array(SKELETON.oks_sigmas)) ** 2 / (area + np.spacing(1)) / 2
  return np.exp(-exponent[:, labelled] if labelled.any() else -exponent).mean(-1)


def _images(annotations: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> list[_Image]:
  if not isinstance(annotations, Mapping) or not annotations.get("images"):
    raise ValueError("the annotations have no images; expected COCO's file of people as a dict")
  people: dict[Any, list[Mapping[str, Any]]] = {image["id"]: [] for image in annotations["images"]}
  detections: dict[Any, list[Mapping[str, Any]]] = {image: [] for image in people}
  given = (("annotation", annotations.get("annotations", ()), people), ("result", results, detections))
  for kind, entries, by_image in given:
    for at, entry in enumerate(entries):
      if entry.get("category_id", 1) != 1:
        continue  # COCO's keypoint files hold people alone
      if entry.get("image_id") not in by_image:
        raise ValueError(f"{kind} {at} is of image {entry.get('image_id')!r}, which the annotations do not list")
      _check(entry, f"{kind} {at}", ("area", "bbox", "num_keypoints") if kind == "annotation" else ("score",))
      by_image[entry["image_id"]].append(entry)
  return [_image(people[image], detections[image]) for image in sorted(people)]


def _check(entry: Mapping[str, Any], where: str, fields: Sequence[str]) -> None:
  for field in ("keypoints", *fields):
    if field not in entry:
      raise ValueError(f"{where} has no {field!r}")
    numbers = np.asarray(entry[field], np.float64)
    size = {"keypoints": 3 * SKELETON.num_joints, "bbox": 4}.get(field, 1)
    if numbers.size != size or not np.isfinite(numbers).all():
      raise ValueError(f"{where}: {field} is {str(entry[field])[:80]}; expected {size} finite numbers")


def _image(people: Sequence[Mapping[str, Any]], detections: Sequence[Mapping[str, Any]]) -> _Image:
  scores = np.array([entry["score"] for entry in detections], np.float64)
  best = np.argsort(-scores, kind="mergesort")[:DETECTIONS]
  listed = np.array([detections[i]["keypoints"] for i in best], np.float64)
  detected = listed.reshape(-1, SKELETON.num_joints, 3)[..., :2]
  crowd = np.array([bool(entry.get("iscrowd", 0)) for entry in people], bool)
  oks = np.zeros((len(best), len(people)))
  for g, entry in enumerate(people):
    truth = np.array(entry["keypoints"], np.float64).reshape(-1, 3)
    oks[:, g] = similarity(detected, truth[:, :2], truth[:, 2] > 0, float(entry["area"]), np.array(entry["bbox"]))
  return _Image(
    score=scores[best],
    detected_area=np.ptp(detected, axis=1).prod(-1) if len(best) else np.zeros(0),
    area=np.array([entry["area"] for entry in people], np.float64),
    ignored=crowd | np.array([entry["num_keypoints"] == 0 for entry in people], bool),
    crowd=crowd,
    oks=oks,
  )


class _Matches(NamedTuple):
  """Of one image at each threshold [T, D]: which detections have a person, which do not count; and who counts."""

  score: np.ndarray
  matched: np.ndarray
  uncounted: np.ndarray
  people: int


def _matched(image: _Image, bounds: tuple[float, float]) -> _Matches:
  outside = lambda area: (area < bounds[0]) | (area > bounds[1])  # noqa: E731
  ignored = image.ignored | outside(image.area)
  order = np.argsort(ignored, kind="mergesort")  # who counts comes first
  ignored, crowd, oks = ignored[order], image.crowd[order], image.oks[:, order]
  matched, uncounted = np.zeros((2, len(THRESHOLDS), len(image.score)), bool)
  for t, threshold in enumerate(THRESHOLDS):
    taken = np.zeros(len(order), bool)
    for d, similarities in enumerate(oks):
      person = _best(similarities, taken, ignored, crowd, min(threshold, 1 - 1e-10))
      if person is not None:
        matched[t, d], uncounted[t, d], taken[person] = True, ignored[person], True
  uncounted |= ~matched & outside(image.detected_area)
  return _Matches(image.score, matched, uncounted, int((~ignored).sum()))


def _best(oks: np.ndarray, taken: np.ndarray, ignored: np.ndarray, crowd: np.ndarray, least: float) -> int | None:
  """The free person of the highest OKS, the last of equals; one that counts before any that does not."""
  for among in (~ignored, ignored):
    usable = np.flatnonzero(among & (~taken | crowd) & (oks >= least))
    if len(usable):
      return int(usable[::-1][np.argmax(oks[usable][::-1])])
  return None


def _accumulated(matches: Sequence[_Matches]) -> tuple[np.ndarray, np.ndarray]:
  """Precision [T, 101] at the recalls, and the recall reached [T]; -1 without anybody who counts."""
  count = sum(m.people for m in matches)
  if not count:
    return np.full((len(THRESHOLDS), len(_RECALLS)), -1.0), np.full(len(THRESHOLDS), -1.0)
  order = np.argsort(-np.concatenate([m.score for m in matches]), kind="mergesort")
  matched = np.concatenate([m.matched for m in matches], 1)[:, order]
  counted = ~np.concatenate([m.uncounted for m in matches], 1)[:, order]
  right, wrong = np.cumsum(matched & counted, 1), np.cumsum(~matched & counted, 1)
  precisions, recalls = np.zeros((len(THRESHOLDS), len(_RECALLS))), np.zeros(len(THRESHOLDS))
  for t in range(len(THRESHOLDS) if len(order) else 0):
    recall = right[t] / count
    precision = right[t] / (right[t] + wrong[t] + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, _RECALLS)
    precisions[t] = np.where(at < len(recall), precision[np.minimum(at, len(recall) - 1)], 0)
    recalls[t] = recall[-1]
  return precisions, recalls


def _mean(values: np.ndarray) -> float:
  known = values[values > -1]
  return float(known.mean()) if known.size else -1.0
