"""Reads built data sets back: TFDS folder -> motions or clips."""

import os
from collections.abc import Sequence
from typing import Any, cast

import tensorflow_datasets as tfds
from etils import epath

from jaxpose.data import cameras, features
from jaxpose.data.clip import Clip, Motion


def directory(dataset: str, data_dir: str | os.PathLike) -> epath.Path:
  """The folder of the newest built version of a data set; a FileNotFoundError says how to build it."""
  root = epath.Path(data_dir) / dataset
  found = [p.parent for depth in ("*", "*/*") for p in root.glob(f"{depth}/dataset_info.json")] if root.exists() else []
  # A build that was killed leaves a folder incomplete.XXXX_1.0.0 behind.
  versions = sorted((p for p in found if "incomplete" not in p.name), key=lambda p: tfds.core.Version(p.name))
  if not versions:
    raise FileNotFoundError(
      f"no data set {dataset!r} in {os.fspath(data_dir)!r}; "
      f"build it with: python -m launch.build_data --dataset={dataset} --data_dir={os.fspath(data_dir)}"
    )
  return versions[-1]


def load(dataset: str, splits: Sequence[str], data_dir: str | os.PathLike) -> list[Any]:
  """All examples of the splits, in order: Motions of a world-space data set, Clips of one with real cameras.

  Raises FileNotFoundError if it was not built, ValueError for an unknown split (listing those there are).
  """
  builder = tfds.builder_from_directory(directory(dataset, data_dir))
  known = list(builder.info.splits)
  for split in splits:
    if split not in known:
      raise ValueError(f"data set {dataset!r} has no split {split!r}; it has {', '.join(known)}")
  decode = features.example_to_motion if "positions_world" in builder.info.features else features.example_to_clip
  return [decode(example) for split in splits for example in cast(Any, builder.as_data_source(split=split))]


def load_clips(
  dataset: str,
  splits: Sequence[str],
  data_dir: str | os.PathLike,
  *,
  rig: str = "",
  rig_options: dict | None = None,
  fps: float | None = None,
  include: Sequence[str] = (),
  exclude: Sequence[str] = (),
  seed: int = 0,
) -> list[Clip]:
  """Clips of a data set; world-space motions are seen through the virtual `rig` first, at `fps`.

  `include` and `exclude` select sequences by name (all, and none, when empty).
  """
  records = load(dataset, splits, data_dir)
  names = {r.sequence for r in records}
  for name in (*include, *exclude):
    if name not in names:
      raise ValueError(
        f"data set {dataset!r} has no sequence {name!r} in splits {list(splits)}; it has {sorted(names)}"
      )
  records = [r for r in records if (not include or r.sequence in include) and r.sequence not in exclude]
  if records and isinstance(records[0], Motion):
    if not rig:
      raise ValueError(f"data set {dataset!r} holds world-space motion: name a camera rig, one of {list(cameras.RIGS)}")
    built = cameras.build(rig, **(rig_options or {}))
    return [c for r in records for c in cameras.clips_from_motion(r, built, fps=fps, seed=seed)]
  return records
