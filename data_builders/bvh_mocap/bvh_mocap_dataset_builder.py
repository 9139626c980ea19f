"""Any folder of BVH files: world-space motion, one split."""

import dataclasses
import os
from typing import Any

import tensorflow_datasets as tfds

from data_builders import sources
from data_builders.bvh_mocap import joint_maps
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from jaxpose.data.clip import Motion, with_gaps
from jaxpose.formats import bvh


class Builder(tfds.core.GeneratorBasedBuilder):
  """Reads all .bvh files below the manual folder, by a joint map that is given or known."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "World-space motion, metres; one split, `train`."}
  MANUAL_DOWNLOAD_INSTRUCTIONS = "A folder of .bvh files, at any depth."

  def __init__(self, *, joint_map: str | os.PathLike | None = None, **kwargs: Any):
    """`joint_map`: a JSON file as README.md describes; without it each file's joint names choose a known map."""
    self._map = None if joint_map is None else joint_maps.read(joint_map)
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    target = self._map.target if self._map else "h36m_17"
    return self.dataset_info_from_configs(
      features=features.motion_features(skeletons.get(target)),
      metadata=tfds.core.MetadataDict(
        skeleton=target, joint_map=dataclasses.asdict(self._map) if self._map else "by joint names", skipped={}
      ),
      disable_shuffling=True,  # the order of the files
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    try:
      folder = dl_manager.manual_dir
    except AssertionError:  # TFDS's way to say that there is no manual folder, or nothing in it
      raise FileNotFoundError("bvh_mocap reads a folder of .bvh files; give it as manual_dir") from None
    files = sources.files(folder, None, (".bvh",), self, packed=lambda name: False)
    if not files:
      raise FileNotFoundError(f"no .bvh file in {os.fspath(folder)} or below it; give the folder that holds them")

    def read(name: str) -> Motion:
      motion = bvh.parse(files[name].read_bytes(), name)
      chosen = self._map or joint_maps.choose(motion.skeleton.names, name)
      lacking = sorted(chosen.sources - set(motion.skeleton.names))
      if lacking:
        joints = ", ".join(motion.skeleton.names)
        raise ValueError(f"{name}: the joint map asks for {lacking}, which it lacks; it has {joints}")
      positions = chosen(motion)
      if not len(positions):
        raise ValueError(f"{name}: its only frame is the rest pose that its conversion added")
      return with_gaps(
        positions,
        skeleton=skeletons.get(chosen.target),
        fps=motion.fps,
        subject=_subject(name, cmu=self._map is None),
        sequence=name.rpartition(".")[0],
        up=chosen.up,
      )

    return sources.splits({"train": list(files)}, read, self.info.metadata["skipped"])

  def _generate_examples(self):
    raise AssertionError("the split carries its own generator")


def _subject(name: str, cmu: bool) -> str:
  """131 of 131_02.bvh in the conversions of the CMU database; else the top folder, which is all that is known."""
  return name.rpartition("/")[2].partition("_")[0] if cmu else name.rpartition("/")[0].partition("/")[0]
