"""MPII Human Pose: people in photographs, with 16 joints in pixels; see README.md."""

import os
import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from data_builders import sources, still_images, verification
from data_builders.mpii import annotations
from jaxpose.data import features
from jaxpose.data.clip import Clip
from jaxpose.formats import matlab

_FILE = r"(mpii_human_pose_v1_u12_\d+)\.mat"
_SPLITS = {"train": True, "test": False}


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads mpii_human_pose_v1_u12_1.mat and, where they are at hand, the images; one clip of one frame a person."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "2D clips of one frame, mpii_16, pixels from 0 on; splits train and test."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "mpii_human_pose_v1_u12_2.zip and, for the images, mpii_human_pose_v1.tar.gz, unpacked, from "
    "http://human-pose.mpi-inf.mpg.de"
  )

  def __init__(
    self,
    *,
    images: str = "path",
    occluded: float = 1.0,
    archive: str | os.PathLike | None = None,
    **kwargs: Any,
  ):
    """images: "path" or "bytes"; occluded: confidence of hidden joints; archive: a zip instead of the folder."""
    still_images.check_options("mpii", images, occluded)
    self._images, self._occluded, self._archive = images, float(occluded), archive
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=still_images.clip_features(
        annotations.SKELETON,
        self._images,
        head_rectangle=tfds.features.Tensor(shape=(4,), dtype=np.float32),
        head_size=tfds.features.Scalar(np.float32),
        single_person=tfds.features.Scalar(np.bool_),
      ),
      homepage="http://human-pose.mpi-inf.mpg.de",
      metadata=tfds.core.MetadataDict(skeleton=annotations.SKELETON.name, skipped={}),
      disable_shuffling=True,  # the order of the file
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    folder = None if self._archive is not None else epath.Path(dl_manager.manual_dir)
    found = sources.files(folder, self._archive, (".mat", *still_images.SUFFIXES), self)
    skipped = self.info.metadata["skipped"]
    names = list(sources.chosen(found, _FILE, skipped).values())
    if not names:
      raise ValueError(f"{folder or self._archive} holds no mpii_human_pose_v1_u12_1.mat")
    release = matlab.read(found[names[0]], ("RELEASE",), where=names[0])["RELEASE"]
    people: dict[str, list[annotations.Reference]] = {}
    for reference in annotations.references(release, names[0]):
      people.setdefault(reference.image, []).append(reference)
    images: dict[str, str] = {}
    for name in found:
      images.setdefault(pathlib.PurePosixPath(name).name, name)

    def read(image: str) -> list[Clip]:
      return [self._clip(reference, found, images.get(image)) for reference in people[image]]

    wanted = {name: [i for i, r in people.items() if r[0].train == train] for name, train in _SPLITS.items()}
    return sources.splits({k: v for k, v in wanted.items() if v}, read, skipped, to_example=features.clip_to_example)

  def _clip(self, reference: annotations.Reference, found: sources.Files, image: str | None) -> Clip:
    person = annotations.person(reference)
    path = None if image is None else found[image]
    size, encoded = still_images.look_up(path, image or reference.image, self._images)
    return still_images.clip(
      annotations.SKELETON,
      person.keypoints,
      person.annotated,
      person.visible,
      occluded=self._occluded,
      image=image or f"images/{reference.image}",
      size=size,
      encoded=encoded,
      extra={
        "center": person.center,
        "scale": person.scale,
        "head_rectangle": person.head,
        "head_size": person.head_size,
        "single_person": reference.single,
      },
      subject=str(reference.number),
      sequence=pathlib.PurePosixPath(reference.image).stem,
      action=reference.activity,
    )

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def checks(config: str = "") -> tuple[verification.Check, ...]:
  """People with joints among the training images, and people in the test images, whose joints are withheld."""
  del config
  return (
    verification.Check(
      "people with joints in training images",
      28883,  # 25,925 to train on and 2,958 to validate on
      "bearpaw/pytorch-pose#25, from convolutional-pose-machines' genJSON.m",
      lambda examples: sum(e.valid for e in examples if e.split == "train"),
      note=True,
    ),
    verification.Check(
      "people in test images",
      11823,
      "anibali/eval-mpii-pose#18",
      lambda examples: sum(e.split == "test" for e in examples),
      note=True,
    ),
  )
