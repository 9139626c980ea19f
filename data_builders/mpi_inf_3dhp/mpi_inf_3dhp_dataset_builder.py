"""MPI-INF-3DHP: eight people before the video cameras to train on, and the six test sequences; see README.md."""

import contextlib
import functools
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow_datasets as tfds
from absl import logging
from etils import epath

from data_builders import sources, verification
from data_builders.mpi_inf_3dhp import official, pstmo, published
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.data.clip import Clip
from jaxpose.formats import skeletool

_VERSION = "1.0.0"
_TRAIN = r"S([1-8])/Seq([12])/annot\.mat"
_CALIBRATION = r"S([1-8])/Seq([12])/camera\.calibration"
_TEST = r"(TS[1-6])/annot_data\.mat"


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads annot.mat and camera.calibration of the training set, annot_data.mat of the test set, or P-STMO's npz."""

  VERSION = tfds.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: "Clips of 17 joints in metres, camera axes; splits train and test."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "The data set's own download, or P-STMO's data_train_3dhp.npz and data_test_3dhp.npz; see README.md."
  )
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(
      name="univ",
      version=_VERSION,
      description="univ_annot3: scaled about the pelvis to a universal height, as the evaluation takes it.",
    ),
    tfds.core.BuilderConfig(
      name="metric", version=_VERSION, description="annot3: true sizes, which project onto the keypoints."
    ),
    tfds.core.BuilderConfig(
      name="pstmo", version=_VERSION, description="P-STMO's two files: univ_annot3 and pixels, without activities."
    ),
  ]

  def __init__(
    self,
    *,
    cameras: Sequence[int] = published.VIDEO_CAMERAS,
    skeleton: str = "mpi_inf_3dhp_17",
    archive: str | os.PathLike | None = None,
    **kwargs: Any,
  ):
    """cameras: of the training set, 0 to 13; skeleton: the joint set to store; archive: a zip instead of the folder."""
    self.cameras, self._archive = tuple(cameras), archive
    wrong = [c for c in self.cameras if c not in range(published.CAMERAS)]
    if wrong or len(set(self.cameras)) != len(self.cameras) or not self.cameras:
      raise ValueError(f"mpi_inf_3dhp: cameras={list(cameras)}; name each once, from 0 to {published.CAMERAS - 1}")
    self._map = skeletons.joint_map(official.RELEVANT, skeletons.get(skeleton))
    made = [n for n, parts in self._map.averaged.items() if len(parts) > 1] + list(self._map.missing)
    if made:
      raise ValueError(f"mpi_inf_3dhp: skeleton={skeleton!r} has joints that the data set lacks: {', '.join(made)}")
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    annotation = "metric" if self.builder_config.name == "metric" else "universal"
    return self.dataset_info_from_configs(
      features=features.clip_features(
        self._map.target, extra={"activity": tfds.features.Sequence(tfds.features.Text())}
      ),
      homepage="https://vcai.mpi-inf.mpg.de/3dhp-dataset/",
      metadata=tfds.core.MetadataDict(
        skeleton=self._map.target.name, annotation=annotation, ts6_release="absent", skipped={}
      ),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    folder = None if self._archive is not None else epath.Path(dl_manager.manual_dir)
    from_originals = self.builder_config.name != "pstmo"
    suffixes = (".mat", ".calibration") if from_originals else (pstmo.TRAIN, pstmo.TEST)
    raw = sources.files(folder, self._archive, suffixes, self)
    skipped = self.info.metadata["skipped"]
    train, test = (_official if from_originals else _pstmo)(self, raw, skipped)
    if not train and not test:
      wanted = "S1/Seq1/annot.mat, TS1/annot_data.mat" if from_originals else f"{pstmo.TRAIN}, {pstmo.TEST}"
      raise ValueError(f"{folder or self._archive} holds no file of the data set ({wanted}, ... are looked for)")
    readers = {**train, **test}
    splits = {name: list(part) for name, part in (("train", train), ("test", test)) if part}
    same = self._map.target == official.RELEVANT

    def read(name: str) -> list[Clip]:
      return [clip if same else _mapped(clip, self._map) for clip in readers[name]()]

    return sources.splits(splits, read, skipped, to_example=features.clip_to_example)

  def note_ts6(self, valid: int) -> None:
    """Says in the metadata which release of TS6 this is, and warns of another than the original."""
    release = published.ts6_release(valid)
    self.info.metadata["ts6_release"] = release
    if valid != published.TEST["TS6"].valid:
      logging.warning("TS6: %s; published results are of the original release", release)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


Readers = dict[str, Callable[[], list[Clip]]]  # a sequence's name -> its clips


def _official(builder: Builder, files: sources.Files, skipped: dict[str, str]) -> tuple[Readers, Readers]:
  annotation = builder.builder_config.name
  calibrations = sources.chosen(files, _CALIBRATION, {})

  def train(key: tuple[str, ...], name: str) -> list[Clip]:
    if key not in calibrations:
      raise ValueError(f"{name}: there is no camera.calibration beside it")
    text, number = calibrations[key], (int(key[0]), int(key[1]))
    cameras = skeletool.parse(files[text].read_bytes(), text)
    return official.train_clips(files[name], name, cameras, number, annotation, builder.cameras)

  def test(key: tuple[str, ...], name: str) -> list[Clip]:
    return [official.test_clip(files[name], name, key[0], annotation)]

  tests = dict(sorted(sources.chosen(files, _TEST, skipped).items()))
  if ("TS6",) in tests:
    with contextlib.suppress(ValueError):  # a file that cannot be read is left out below, with the reason
      builder.note_ts6(official.valid_frames(files[tests[("TS6",)]]))
  return (
    {n: functools.partial(train, key, n) for key, n in sources.chosen(files, _TRAIN, skipped).items()},
    {n: functools.partial(test, key, n) for key, n in tests.items()},
  )


def _pstmo(builder: Builder, files: sources.Files, skipped: dict[str, str]) -> tuple[Readers, Readers]:
  train: Readers = {}
  test: Readers = {}
  for which in (pstmo.TRAIN, pstmo.TEST):
    for name in sources.chosen(files, re.escape(which), skipped).values():
      try:
        content = pstmo.read(files[name], name)
      except ValueError as error:
        skipped[name] = str(error)
        continue
      for key in sorted(content, key=sources.natural):
        where, value = f"{name} {key}", content[key]
        if which == pstmo.TRAIN:
          train[where] = functools.partial(pstmo.train_clips, where, key, value, builder.cameras)
        elif key in published.TEST:
          test[where] = functools.partial(pstmo.test_clips, where, key, value)
  if name_of_ts6 := next((n for n in test if n.endswith(" TS6")), None):
    with contextlib.suppress(ValueError):
      builder.note_ts6(int(test[name_of_ts6]()[0].valid.sum()))
  return train, test


def _mapped(clip: Clip, to: skeletons.JointMap) -> Clip:
  """The clip in another joint set."""
  assert clip.joints_3d is not None  # the data set has them
  return clip.replace(
    keypoints_2d=to(clip.keypoints_2d),
    confidence=to.confidence(clip.confidence),
    joints_3d=to(clip.joints_3d),
    skeleton=to.target,
  )


def checks(config: str = "") -> tuple[verification.Check, ...]:
  """The published counts, the same for all configs."""
  del config
  return published.checks()
