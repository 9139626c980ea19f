"""Procedural people: world-space motion that needs no download, the same by seed everywhere."""

from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from jaxpose.data import features
from jaxpose.synthetic import kinematics, motion


class Builder(tfds.core.GeneratorBasedBuilder):
  """Simulates its examples; see README.md for the scenarios and the camera rigs that go with them."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES = {"1.0.0": "World-space h36m_17, metres, y up, 30 Hz; splits train, validation, target."}

  def __init__(
    self, *, seed: int = 0, train: int = 84, validation: int = 21, target: int = 40, frames: int = 300, **kwargs: Any
  ):
    """seed: of everything; train, validation, target: how many sequences, of `frames` each."""
    self._seed, self._frames = seed, frames
    self._counts = {"train": train, "validation": validation, "target": target}
    for name, count in {**self._counts, "frames": frames}.items():
      if count < 1:
        raise ValueError(f"synthetic_mocap: {name}={count}; it counts from 1")
    if seed < 0:
      raise ValueError(f"synthetic_mocap: seed={seed}; a seed is at least 0")
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=features.motion_features(kinematics.H36M),
      metadata=tfds.core.MetadataDict(skeleton=kinematics.H36M.name, seed=self._seed, frames=self._frames, skipped={}),
      disable_shuffling=True,  # in the order of their indices
    )

  def _split_generators(self, dl_manager: tfds.download.DownloadManager):
    del dl_manager  # nothing to download
    return {name: self._generate_examples(name, count) for name, count in self._counts.items()}

  def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in motion.motions(split, count, seed=self._seed, frames=self._frames):
      yield one.sequence, features.motion_to_example(one)
