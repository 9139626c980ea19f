"""A small COCO in the files of its download: procedural people in images that hold nothing but noise."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_builders import photographs_fixture as photographs
from data_builders.coco_keypoints import coco_keypoints_dataset_builder as builder

_SIZE = (640, 480)


def write(folder: str | os.PathLike, *, seed: int = 0, train: int = 4, val: int = 2) -> None:
  """Writes annotations and images of two people each, the second with hidden and missing joints; a crowd, too."""
  root = pathlib.Path(folder)
  for part, count, first in (("train", train, 9), ("val", val, 139)):
    images, annotations = [], []
    for at in range(count):
      number = first + 16 * at
      images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": _SIZE[0], "height": _SIZE[1]})
      poses = photographs.poses(builder.SKELETON, 2, seed + at, _SIZE)
      annotations += [person(pose, 10 * number + n, number, missing=n == 1) for n, pose in enumerate(poses)]
      annotations.append({**annotations[-1], "id": 10 * number + 2, "iscrowd": 1})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    path = root / "annotations" / f"person_keypoints_{part}2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    photographs.write_images(root / f"{part}2017", [i["file_name"] for i in images], _SIZE, seed)


def person(keypoints: np.ndarray, identity: int, image: int, missing: bool = False) -> Mapping[str, Any]:
  """An annotation, from pixels [17, 2] with centres at + 0.5: whole numbers, as COCO's are."""
  flags = np.full(17, 2)
  if missing:
    flags[[3, 4]], flags[[9, 10]] = 0, 1
  values = np.concatenate([np.floor(keypoints), flags[:, None]], -1).astype(int)
  values[flags == 0] = 0
  low, high = keypoints[flags > 0].min(0) - 10, keypoints[flags > 0].max(0) + 10
  return {
    "id": identity, "image_id": image, "category_id": 1, "iscrowd": 0, "num_keypoints": int((flags > 0).sum()),
    "keypoints": values.ravel().tolist(), "bbox": [*low.tolist(), *(high - low).tolist()],
    "area": float((high - low).prod() / 2),
  }  # fmt: skip
