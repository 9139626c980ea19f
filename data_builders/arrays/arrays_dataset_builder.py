"""Any folder of npz files: motions in the world, or clips of calibrated cameras. README.md lists their arrays."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from data_builders import sources
from data_builders.arrays import records
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.formats import npz


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads all .npz files below the manual folder; the top folders are the splits."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "Motions or clips of npz files."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder of .npz files, at any depth."
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name="motions", description="positions_world: motion in the world"),
    tfds.core.BuilderConfig(name="clips", description="keypoints_2d and joints_3d, as a camera sees them"),
  ]

  def __init__(
    self,
    *,
    skeleton: str = "h36m_17",
    joints: str | os.PathLike | None = None,
    keypoints_source: str = "ground truth",
    **kwargs: Any,
  ):
    """skeleton: the joint set to store; joints: a JSON file {its joint: [names in the files]}, where names differ.

    keypoints_source: where the keypoints of clips come from, for reports.
    """
    self._target = skeletons.get(skeleton)
    self._joints = {} if joints is None else _read_joints(joints, self._target)
    self._keypoints_source = keypoints_source
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    clips = self.builder_config.name == "clips"
    source = {"keypoints_source": self._keypoints_source} if clips else {}
    return self.dataset_info_from_configs(
      features=(features.clip_features if clips else features.motion_features)(self._target),
      metadata=tfds.core.MetadataDict(skeleton=self._target.name, **source, skipped={}),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    try:
      folder = dl_manager.manual_dir
    except AssertionError:  # TFDS's way to say that there is no manual folder, or nothing in it
      raise FileNotFoundError("arrays reads a folder of .npz files; give it as manual_dir") from None
    files = sources.files(folder, None, (".npz",), self, packed=lambda name: False)
    if not files:
      raise FileNotFoundError(f"no .npz file in {os.fspath(folder)} or below it; give the folder that holds them")
    clips = self.builder_config.name == "clips"
    record = records.clip if clips else records.motion

    def read(name: str) -> Any:
      arrays = npz.read(files[name], where=name)
      try:
        return record(arrays, self._target, self._joints, name.removesuffix(".npz"))
      except ValueError as error:
        raise ValueError(f"{name}: {error}") from None

    by_split: dict[str, list[str]] = {}
    for name in files:
      by_split.setdefault(_split(name), []).append(name)
    to_example = features.clip_to_example if clips else features.motion_to_example
    return sources.splits(by_split, read, self.info.metadata["skipped"], to_example=to_example)

  def _generate_examples(self):
    raise AssertionError("the splits carry their own generators")


def _split(name: str) -> str:
  """The top folder, "train" for files beside no folder. Raises ValueError for a folder that cannot name a split."""
  top = name.partition("/")[0] if "/" in name else "train"
  if not re.fullmatch(r"[A-Za-z]\w*", top, re.ASCII):
    raise ValueError(f"folder {top!r} cannot name a split; rename it to letters, digits and _, as train or S1")
  return top


def _read_joints(path: str | os.PathLike, target: skeletons.Skeleton) -> Mapping[str, list[str]]:
  try:
    joints = json.loads(epath.Path(path).read_text())
  except ValueError as error:
    raise ValueError(f"{os.fspath(path)}: {error}") from None
  lists = isinstance(joints, dict) and all(isinstance(v, list) and v for v in joints.values())
  if not lists or not all(isinstance(n, str) for v in joints.values() for n in v):
    raise ValueError(f'{os.fspath(path)}: expected {{"pelvis": ["LHip", "RHip"], ...}}, a list of names for each joint')
  unknown = sorted(set(joints) - set(target.names))
  if unknown:
    raise ValueError(f"{os.fspath(path)}: {target.name} has no joints {unknown}; it has {', '.join(target.names)}")
  return joints
