"""COCO's people: photographs with 17 joints in pixels; see README.md."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_builders import sources, still_images, verification
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.data.clip import Clip
from jaxpose.keypoints import source

SKELETON = skeletons.get("coco_17")
ASPECT = 3 / 4  # width over height, to which a person's box is completed
_FILE = r"person_keypoints(?:_(train|val)20\d\d)?\.json"
_SPLITS = {"train": "train", None: "train", "val": "valid"}


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads COCO's person_keypoints files and the photographs beside them; one clip of one frame a person."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "2D clips of one frame, coco_17, of encoded crops; splits train and valid."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "annotations_trainval2017.zip, and train2017.zip and val2017.zip unpacked, from https://cocodataset.org/#download"
  )

  def __init__(self, *, images: str = "crops", occluded: float = 1.0, **kwargs: Any):
    """images: "crops", "bytes" or "path"; occluded: confidence of hidden joints."""
    still_images.check_options("coco_keypoints", images, occluded)
    self._images, self._occluded = images, float(occluded)
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=still_images.clip_features(
        SKELETON,
        self._images,
        image_id=tfds.features.Scalar(np.int64),
        area=tfds.features.Scalar(np.float32),
        box=tfds.features.Tensor(shape=(4,), dtype=np.float32),
      ),
      homepage="https://cocodataset.org",
      metadata=tfds.core.MetadataDict(skeleton=SKELETON.name, skipped={}),
      disable_shuffling=True,  # the order of the file
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    folder = epath.Path(dl_manager.manual_dir)
    packed = lambda name: "annotations" in name and name.lower().endswith(".zip")  # noqa: E731
    raw = sources.files(folder, None, (".json", *still_images.SUFFIXES), self, packed)
    skipped = self.info.metadata["skipped"]
    files = sources.chosen(raw, _FILE, skipped)
    if not files:
      raise ValueError(f"{folder} holds no person_keypoints_train2017.json, nor one of val2017")
    paths: dict[str, str] = {}
    for name in raw:
      paths.setdefault(pathlib.PurePosixPath(name).name, name)
    people: dict[str, list[Mapping[str, Any]]] = {}
    wanted: dict[str, list[str]] = {}
    for (part,), name in files.items():
      by_image = _people(source.parse_json(raw[name].read_bytes(), name), name)
      wanted.setdefault(_SPLITS[part], []).extend(image for image in by_image if image not in people)
      people |= {image: entries for image, entries in by_image.items() if image not in people}

    def read(image: str) -> list[Clip]:
      path = paths.get(image)
      size, encoded = still_images.look_up(None if path is None else raw[path], path or image, self._images)
      return [self._clip(entry, path or image, size, encoded) for entry in people[image]]

    return sources.splits({k: v for k, v in wanted.items() if v}, read, skipped, to_example=features.clip_to_example)

  def _clip(
    self, entry: Mapping[str, Any], image: str, size: tuple[float, float] | None, encoded: bytes | None
  ) -> Clip:
    where = f"{image}, annotation {entry.get('id')}"
    values = _numbers(entry, "keypoints", 3 * SKELETON.num_joints, where).reshape(-1, 3)
    box = _numbers(entry, "bbox", 4, where)
    center, height = box[:2] + box[2:] / 2, max(box[3], box[2] / ASPECT)
    clip = still_images.clip(
      SKELETON,
      values[:, :2] + 0.5,  # COCO counts pixels from 0
      values[:, 2] > 0,
      values[:, 2] > 1,
      occluded=self._occluded,
      image=image,
      size=size,
      encoded=encoded,
      extra={
        "center": center.astype(np.float32),
        "scale": float(height / 200),
        "image_id": int(entry["image_id"]),
        "area": float(_numbers(entry, "area", 1, where)[0]),
        "box": box.astype(np.float32),
      },
      subject=str(entry.get("id")),
      sequence=pathlib.PurePosixPath(image).stem,
      action="",
    )
    return still_images.cropped(clip, center, height) if self._images == "crops" else clip

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def _people(annotations: Any, name: str) -> dict[str, list[Mapping[str, Any]]]:
  """{file name of an image: its people with a joint, crowds left out}, in the file's order."""
  lists: list[Any] = [
    annotations.get(k) if isinstance(annotations, Mapping) else None for k in ("images", "annotations")
  ]
  if not all(isinstance(part, list) and all(isinstance(e, Mapping) for e in part) for part in lists):
    raise ValueError(f"{name}: expected COCO's annotations, with lists of images and annotations")
  images = {image.get("id"): image.get("file_name") for image in lists[0]}
  people: dict[str, list[Mapping[str, Any]]] = {}
  for entry in lists[1]:
    image = images.get(entry.get("image_id"))
    if not isinstance(image, str):
      raise ValueError(f"{name}: annotation {entry.get('id')} is of image {entry.get('image_id')!r}, which has no name")
    if not entry.get("iscrowd") and entry.get("num_keypoints", 0) > 0:
      people.setdefault(image, []).append(entry)
  return people


def _numbers(entry: Mapping[str, Any], key: str, count: int, where: str) -> np.ndarray:
  try:
    values = np.asarray(entry.get(key), np.float64).ravel()
  except (TypeError, ValueError):
    values = np.zeros(0)
  if len(values) != count or not np.isfinite(values).all():
    raise ValueError(f"{where}: {key} is {str(entry.get(key))[:60]}; expected {count} finite numbers")
  return values


def checks(config: str = "") -> tuple[verification.Check, ...]:
  """People with joints that are no crowds, as the field's loaders count them."""
  del config
  return tuple(
    verification.Check(
      f"people of {split}2017", count, "SimpleBaseline's and MMPose's loaders",
      lambda examples, split=split: sum(e.split == _SPLITS[split] for e in examples), note=True,
    )
    for split, count in (("train", 149813), ("val", 6352))
  )  # fmt: skip
