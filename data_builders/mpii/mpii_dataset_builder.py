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
from jaxpose.keypoints import source

_FILE = r"(mpii_human_pose_v1_u12_\d+)\.mat"
_VALID = r"(valid)\.json"
_NEAR = (1.5, 1.5, 0.01)  # pixels between a person's centre in the two files, and between scales


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads mpii_human_pose_v1_u12_1.mat and, where they are at hand, the images; one clip of one frame a person."""

  VERSION = tfds.core.Version("2.0.0")
  RELEASE_NOTES = {
    "2.0.0": "Pixels with centres at + 0.5; images='crops'; split valid.",
    "1.0.0": "2D clips of one frame, mpii_16, pixels from 0 on; splits train and test.",
  }
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
    """images: "path", "bytes" or "crops"; occluded: of hidden joints; archive: a zip, not a folder."""
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
    raw = sources.files(folder, self._archive, (".mat", ".json", *still_images.SUFFIXES), self)
    skipped = self.info.metadata["skipped"]
    names = list(sources.chosen(raw, _FILE, skipped).values())
    if not names:
      raise ValueError(f"{folder or self._archive} holds no mpii_human_pose_v1_u12_1.mat")
    release = matlab.read(raw[names[0]], ("RELEASE",), where=names[0])["RELEASE"]
    people: dict[str, list[annotations.Reference]] = {}
    for reference in annotations.references(release, names[0]):
      people.setdefault(reference.image, []).append(reference)
    images: dict[str, str] = {}
    for name in raw:
      images.setdefault(pathlib.PurePosixPath(name).name, name)

    held_out = _held_out(raw, people, skipped)

    def read(name: str) -> list[Clip]:
      image = name.removeprefix("valid/")
      chosen = held_out.get(image, set())
      references = [r for r in people[image] if (r.number in chosen) == (name != image)]
      if self._images == "crops":  # without a scale there is no box to crop
        references = [r for r in references if annotations.person(r).scale > 0]
      return [self._clip(reference, raw, images.get(image)) for reference in references]

    train = [i for i, r in people.items() if r[0].train and len(held_out.get(i, ())) < len(r)]
    test = [i for i, r in people.items() if not r[0].train]
    wanted = {"train": train, "valid": [f"valid/{i}" for i in held_out], "test": test}
    return sources.splits({k: v for k, v in wanted.items() if v}, read, skipped, to_example=features.clip_to_example)

  def _clip(self, reference: annotations.Reference, files: sources.Files, image: str | None) -> Clip:
    person = annotations.person(reference)
    path = None if image is None else files[image]
    size, encoded = still_images.look_up(path, image or reference.image, self._images)
    clip = still_images.clip(
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
    if self._images != "crops":
      return clip
    # As published: the box is 200 scale high, and its middle 15 scale lower, since few feet are annotated.
    return still_images.cropped(clip, person.center + (0, 15 * person.scale), 200 * person.scale)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def _held_out(
  files: sources.Files, people: dict[str, list[annotations.Reference]], skipped: dict[str, str]
) -> dict[str, set[int]]:
  """{image: numbers of its people that valid.json, if it is there, holds out of training}, in the file's order."""
  names = list(sources.chosen(files, _VALID, skipped).values())
  if not names:
    return {}
  listed = annotations.validation(source.parse_json(files[names[0]].read_bytes(), names[0]), names[0])
  numbers: dict[str, set[int]] = {}
  for image, places in listed.items():
    there = [(r.number, annotations.person(r)) for r in people.get(image, ()) if r.train]
    for place in places:
      for number, person in there:
        near = (np.abs(place - (*person.center, person.scale)) < _NEAR).all()
        if near and number not in numbers.get(image, ()):
          numbers.setdefault(image, set()).add(number)
          break
  missing = sum(map(len, listed.values())) - sum(map(len, numbers.values()))
  if missing:
    skipped[names[0]] = f"{missing} of its people are not among the training images"
  return numbers


def checks(config: str = "") -> tuple[verification.Check, ...]:
  """People with joints among the training images, and people in the test images, whose joints are withheld."""
  del config
  return (
    verification.Check(
      "people with joints in training images",
      28883,  # 25,925 to train on and 2,958 to validate on
      "bearpaw/pytorch-pose#25, from convolutional-pose-machines' genJSON.m",
      lambda examples: sum(e.valid for e in examples if e.split in ("train", "valid")),
      note=True,
    ),
    verification.Check(
      "people of valid.json",
      2958,
      "SimpleBaseline's and HRNet's annotations (Tompson et al. 2014)",
      lambda examples: sum(e.split == "valid" for e in examples),
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
