"""A small MPII in the file of its download: procedural people in images that hold nothing but noise."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.io

from data_builders import photographs_fixture as photographs
from data_builders.mpii import annotations

FILE = "mpii_human_pose_v1_u12_1.mat"
_SIZE = (1280, 720)


def write(folder: str | os.PathLike, *, seed: int = 0, train: int = 6, test: int = 2, images: int = 4) -> None:
  """Writes the annotation of `train` and `test` images, and the first `images` of them as files.

  What the published file leaves out at will is left out here too: flags of head joints, joints, whole people.
  """
  root, rng = pathlib.Path(folder), np.random.default_rng(seed)
  records, names = [], []
  for at in range(train + test):
    name = f"{15601864 + 7919 * at:09d}.jpg"
    count = (1, 2, 0)[at % 3] if at < train else 1
    poses = photographs.poses(annotations.SKELETON, count, seed + at, _SIZE)
    people = [person(pose, rng, withheld=at >= train) for pose in poses]
    names.append(name)
    records.append({"name": name, "people": people, "train": at < train, "activity": ("yoga", "curling")[at % 2]})
  write_mat(root / "mpii_human_pose_v1_u12_2" / FILE, records)
  photographs.write_images(root / "images", names[:images], _SIZE, seed)


def person(keypoints: np.ndarray, rng: np.random.Generator, withheld: bool = False) -> dict[str, Any]:
  """An annorect, from pixels [16, 2], centres at + 0.5: points in any order, flags in every form that occurs."""
  low, high = keypoints.min(0) + 0.5, keypoints.max(0) + 0.5
  made: dict[str, Any] = {
    "scale": float((high - low).max() / 200),
    "objpos": {"x": float((low + high)[0] / 2), "y": float((low + high)[1] / 2)},
  }
  if withheld:
    return made
  head = keypoints[[annotations.SKELETON.index(n) for n in ("upper_neck", "head_top")]] + 0.5
  left, top = head.min(0) - 15
  right, bottom = head.max(0) + 15
  flags = {8: np.zeros((0, 0)), 9: np.zeros((0, 0)), 2: "0", 3: "1", 10: 0}
  kept = [j for j in rng.permutation(len(keypoints)).tolist() if j != 5]  # the left ankle is not labelled
  points = [
    {"x": float(keypoints[j, 0] + 0.5), "y": float(keypoints[j, 1] + 0.5), "id": j, "is_visible": flags.get(j, 1)}
    for j in kept
  ]
  return {**made, "x1": left, "y1": top, "x2": right, "y2": bottom, "annopoints": {"point": points}}


def write_mat(path: pathlib.Path, records: Sequence[Mapping[str, Any]]) -> None:
  """RELEASE, from images {name, people: annorects, train, activity}, as MATLAB 5."""
  people = [r["people"] for r in records]
  release = {
    "annolist": _structs(
      [
        {
          "image": {"name": r["name"]},
          "annorect": _structs([_annorect(p) for p in r["people"]]) if r["people"] else np.zeros((0, 0)),
          "frame_sec": 11,
          "vididx": 1,
        }
        for r in records
      ]
    ),
    "img_train": np.array([[int(r["train"]) for r in records]], np.uint8),
    "version": "12",
    "single_person": _cells([np.arange(1, len(p) + 1)[:, None] if len(p) == 1 else np.zeros((0, 0)) for p in people]),
    "act": _structs(
      [{"cat_name": "sports", "act_name": r["activity"], "act_id": number} for number, r in enumerate(records)], True
    ),
    "video_list": _cells(["video"]),
  }
  path.parent.mkdir(parents=True, exist_ok=True)
  scipy.io.savemat(path, {"RELEASE": release}, do_compression=True)


_FIELDS = ("x1", "y1", "x2", "y2", "annopoints", "scale", "objpos")


def _annorect(person: Mapping[str, Any]) -> dict[str, Any]:
  """All fields, the absent ones empty: the elements of a struct array share their fields."""
  made = {key: person.get(key, np.zeros((0, 0))) for key in _FIELDS}
  if "annopoints" in person:
    made["annopoints"] = {"point": _structs(person["annopoints"]["point"])}
  return made


def _structs(values: Sequence[Mapping[str, Any]], column: bool = False) -> np.ndarray:
  """A struct array 1 x n, or n x 1."""
  array = np.empty((1, len(values)), [(key, object) for key in values[0]])
  for at, value in enumerate(values):
    array[0, at] = tuple(value.values())
  return array.T if column else array


def _cells(values: Sequence[Any]) -> np.ndarray:
  cell = np.empty((len(values), 1), object)
  for at, value in enumerate(values):
    cell[at, 0] = value
  return cell
