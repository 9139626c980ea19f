"""AMASS in Human3.6M's joints: world-space motion of many motion capture data sets; see README.md."""

import collections
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from data_builders import archives, body_models, sources
from data_builders.amass_h36m import motion_file, subsets
from data_builders.verification import Check, Example
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras, features
from jaxpose.data.clip import Motion, with_gaps

H36M = skeletons.get("h36m_17")
_VERSION = "1.0.0"
_WITHOUT = "AMASS holds no joints, so there is nothing to store without them"


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads `DATASET/SUBJECT/MOTION_poses.npz` (SMPL+H) or `_stageii.npz` (SMPL-X), unpacked or in the archives."""

  VERSION = tfds.core.Version(_VERSION)
  RELEASE_NOTES = {_VERSION: "World-space h36m_17 of the skinned mesh, metres, z up."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "Archives from https://amass.is.tue.mpg.de/ or what they unpack to, "
    f"{body_models.FOLDER}/ and {body_models.REGRESSOR}; see README.md."
  )

  def __init__(
    self,
    *,
    body_models: str | os.PathLike | None = None,
    regressor: str | os.PathLike | None = None,
    fps: float | None = 60.0,
    subsets: Sequence[str] = (),
    splits: str = "official",
    **kwargs: Any,
  ):
    """body_models: folder of the SMPL+H or SMPL-X files; regressor: a .npy [17, vertices] for their mesh.

    fps: the highest rate to store, null for each file's own; subsets: data sets to take, all when empty; splits:
    official (train, validation, test as AMASS recommends) or subset (one split a data set).
    """
    self._body_models, self._regressor, self._fps, self._splits = body_models, regressor, fps, splits
    if fps is not None and not fps > 0:
      raise ValueError(f"amass_h36m: fps={fps}; give frames a second, or null for each file's own")
    if splits not in ("official", "subset"):
      raise ValueError(f"amass_h36m: splits={splits!r}; choose official or subset")
    self._subsets = _canonical(subsets)
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=features.motion_features(H36M),
      homepage="https://amass.is.tue.mpg.de/",
      metadata=tfds.core.MetadataDict(
        skeleton=H36M.name, annotation="joints regressed from the gendered mesh", notes=[], skipped={}
      ),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    folder = pathlib.Path(dl_manager.manual_dir)
    not_motions = {folder / body_models.FOLDER, pathlib.Path(self._body_models or folder / body_models.FOLDER)}
    raw = sources.files(folder, None, (".npz",), self, lambda name: name.endswith(archives.ZIPS + archives.TARS))
    raw = {n: path for n, path in raw.items() if not_motions.isdisjoint((folder / n).parents)}
    skipped, aside = self.info.metadata["skipped"], {}
    motions = self._chosen(raw, folder, aside)
    bodies = body_models.load(folder, self._body_models, self._regressor, joints=(52, 55), without=_WITHOUT)
    self.info.metadata["notes"] += bodies.notes

    def read(name: str) -> Motion:
      subset, subject, stem = motions[name]
      parameters = motion_file.read(raw[name], name)
      joints, fps = joints_at(parameters, bodies, self._fps, name)
      return with_gaps(
        np.ascontiguousarray(joints, np.float32),
        skeleton=H36M,
        fps=fps,
        subject=f"{subset}/{subject}",
        sequence=f"{subset}/{subject}/{stem}",
        up="z",
      )

    by_split: dict[str, list[str]] = {split: [] for split in subsets.OFFICIAL} if self._splits == "official" else {}
    for name, (subset, _, _) in motions.items():
      by_split.setdefault(self._split_of(subset) or subset, []).append(name)
    # What was put aside joins later: if no motion can be read, the first reason shall be a motion's.
    generators = sources.splits({s: n for s, n in by_split.items() if n}, read, skipped)
    skipped |= aside
    return generators

  def _split_of(self, subset: str) -> str | None:
    return subsets.split_of(subset) if self._splits == "official" else subset

  def _chosen(
    self, files: sources.Files, folder: pathlib.Path, skipped: dict[str, str]
  ) -> dict[str, tuple[str, str, str]]:
    """{file: (data set, subject, motion)} of the files to read; the others go to `skipped`, whole data sets as one."""
    motions, first, unsplit = {}, {}, collections.Counter()
    for name in files:
      place = subsets.of_path(name, folder.resolve().name)
      if place is None:
        skipped[name] = "no folder above it has the name of one of AMASS's data sets"
      elif self._subsets and place[0] not in self._subsets:
        continue  # not asked for
      elif place[2] == "shape" or place[2].endswith("_stagei"):
        skipped[name] = "the shape of a subject, not a motion"
      elif self._split_of(place[0]) is None:
        unsplit[place[0]] += 1
      elif place in first:
        skipped[name] = f"a second copy of {first[place]}"
      else:
        first[place] = name
        motions[name] = place
    for subset, count in unsplit.items():
      skipped[subset] = f"motions: {count}; in no recommended split, splits=subset stores them"
    if not motions:
      reason = next((f"; the first: {n}: {r}" for n, r in skipped.items()), "")
      raise ValueError(
        f"no motion of AMASS to store from {folder} ({len(files)} .npz files found{reason}); expected "
        "DATASET/SUBJECT/MOTION_poses.npz, or the archives as they were downloaded"
      )
    return motions

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def joints_at(
  parameters: motion_file.Parameters, bodies: body_models.Bodies, fps: float | None, name: str
) -> tuple[np.ndarray, float]:
  """World joints [T', 17, 3] at `fps`, or at the file's own rate where that is lower or fps is None; and the rate.

  Where the rates divide only the frames that stay are posed; else joints, not angles, are interpolated.
  """
  pose, translation, rate = parameters.pose, parameters.translation, parameters.fps
  if fps is not None and fps < rate:
    stride = max(round(rate / fps), 1)
    if abs(rate / fps - stride) < 1e-3 * stride:
      pose, translation, rate = pose[::stride], translation[::stride], fps
  joints = body_models.h36m_joints(bodies, parameters.gender, pose, parameters.betas, translation, name)
  if fps is None or fps >= rate:
    return joints, rate
  return cameras.resample(joints, rate, fps), float(fps)


def _canonical(names: Sequence[str]) -> tuple[str, ...]:
  if isinstance(names, str):
    raise ValueError(f"amass_h36m: subsets={names!r}; give a list of data sets, as [{names!r}]")
  return tuple(subsets.canonical(name) for name in names)


def checks(config: str = "") -> tuple[Check, ...]:
  """What AMASS's own page counts, for the one data set whose row could be confirmed.

  It is in no recommended split: only a build with splits=subset that holds it can be verified.
  """
  del config
  page = "AMASS's table, as github.com/jaypasnagasai/smplminitask quotes it"

  def accad(examples: Sequence[Example]) -> list[str]:
    return [e.subject for e in examples if e.subject.startswith("ACCAD/")]

  return (
    Check("ACCAD motions", 252, page, lambda examples: len(accad(examples)) or None),
    Check("ACCAD subjects", 20, page, lambda examples: len(set(accad(examples))) or None),
  )
