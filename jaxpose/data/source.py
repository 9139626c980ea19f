"""Reads built data sets back: TFDS folder -> motions or clips."""

import fnmatch
import os
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from jaxpose import skeleton as skeletons
from jaxpose.data import cameras, features
from jaxpose.data.clip import Clip, Motion
from jaxpose.skeleton import Skeleton


def directory(dataset: str, data_dir: str | os.PathLike) -> epath.Path:
  """The folder of the newest built version of a data set, by "name" or "name/config".

  A name without a configuration is the one that was built. Raises ValueError if several were, listing them, and
  FileNotFoundError, saying how to build it, if none was.
  """
  root = epath.Path(data_dir) / dataset
  data_sets = (
    [p.parent for depth in ("*", "*/*") for p in root.glob(f"{depth}/dataset_info.json")] if root.exists() else []
  )
  # A build that was killed leaves a folder incomplete.XXXX_1.0.0 behind.
  data_sets = [p for p in data_sets if "incomplete" not in p.name]
  if not data_sets:
    raise FileNotFoundError(
      f"no data set {dataset!r} in {os.fspath(data_dir)!r}; "
      f"build it with: jaxpose build_data --dataset={dataset} --data_dir={os.fspath(data_dir)}"
    )
  configs = sorted({p.parent.name for p in data_sets if p.parent != root})
  if len(configs) > 1:
    names = ", ".join(f"{dataset}/{config}" for config in configs)
    raise ValueError(f"data set {dataset!r} in {os.fspath(data_dir)!r} was built in several forms; name one of {names}")
  return max(data_sets, key=lambda p: tfds.core.Version(p.name))


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


def facts(dataset: str, data_dir: str | os.PathLike) -> dict[str, Any]:
  """What a report must say about a built data set.

  {"dataset": its name, with its configuration; "dataset_version"; "fixture": whether it was built of made-up files; and
  where its builder states them in its metadata, "keypoints_source" and "annotation"}.
  """
  folder = directory(dataset, data_dir)
  metadata = tfds.builder_from_directory(folder).info.metadata or {}
  config = "" if "/" in dataset or folder.parent.name == dataset else f"/{folder.parent.name}"
  stated = {name: metadata[name] for name in ("keypoints_source", "annotation") if name in metadata}
  fixture = bool(metadata.get("fixture", False))
  return {"dataset": dataset + config, "dataset_version": folder.name, "fixture": fixture, **stated}


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
  skeleton: str = "",
  fraction: float = 1.0,
  seed: int = 0,
) -> list[Clip]:
  """Clips of a data set; world-space motions are seen through the virtual `rig` first, at `fps`.

  Clips of real cameras keep every n-th frame to come to `fps`; a ValueError where their own rate is no multiple of it.
  `include` and `exclude` select sequences by name, or by patterns of names as a shell's (all, and none, when empty).
  `skeleton`: the joint set to map clips to, by joint name; their own when empty. `fraction`: of the clips (a sequence
  seen by a camera is one), rounded and at least one, drawn by `seed`, in their order.
  """
  records = load(dataset, splits, data_dir)
  names = {r.sequence for r in records}
  for name in (*include, *exclude):
    if not any(fnmatch.fnmatchcase(n, name) for n in names):
      raise ValueError(
        f"data set {dataset!r} has no sequence {name!r} in splits {list(splits)}; it has {sorted(names)}"
      )
  chosen = {n for n in names if not include or matches(n, include)} - {n for n in names if matches(n, exclude)}
  records = [r for r in records if r.sequence in chosen]
  if records and isinstance(records[0], Motion):
    if not rig:
      raise ValueError(f"data set {dataset!r} holds world-space motion: name a camera rig, one of {list(cameras.RIGS)}")
    built = cameras.build(rig, **(rig_options or {}))
    records = [c for r in records for c in cameras.clips_from_motion(r, built, fps=fps, seed=seed)]
  elif rig:
    raise ValueError(f"data set {dataset!r} was filmed by real cameras: leave out the rig {rig!r}")
  elif fps is not None:
    records = [_at_rate(clip, fps) for clip in records]
  if fraction < 1:
    count = max(1, round(fraction * len(records)))
    records = [records[i] for i in sorted(np.random.default_rng(seed).permutation(len(records))[:count])]
  return [mapped(c, skeletons.get(skeleton)) for c in records] if skeleton else records


def matches(sequence: str, patterns: Sequence[str]) -> bool:
  """Whether a sequence's name is one of these, or fits one of them that is a pattern."""
  return any(fnmatch.fnmatchcase(sequence, pattern) for pattern in patterns)


def mapped(clip: Clip, target: Skeleton) -> Clip:
  """The clip in another joint set, by `skeleton.joint_map`; joints without a stand-in get confidence 0.

  Raises ValueError for a joint that 3D ground truth would have to make up. Trap: a keypoint that averages others is
  the average of their images, which is not quite the image of their average.
  """
  if clip.skeleton == target:
    return clip
  to = skeletons.joint_map(clip.skeleton, target)
  if to.missing and clip.joints_3d is not None:
    raise ValueError(
      f"clip {clip.name} has joints {clip.skeleton.name!r}, which lack {', '.join(to.missing)} of {target.name!r}: "
      "there is no 3D ground truth of those"
    )
  return clip.replace(
    keypoints_2d=to(clip.keypoints_2d),
    confidence=to.confidence(clip.confidence),
    joints_3d=None if clip.joints_3d is None else to(clip.joints_3d),
    skeleton=target,
  )


def _at_rate(clip: Clip, fps: float) -> Clip:
  every = round(clip.fps / fps)
  if every < 1 or abs(clip.fps - every * fps) > 0.01 * fps:
    raise ValueError(f"clip {clip.name} has {clip.fps} frames a second, which is no multiple of fps={fps}")
  return clip.subsample(every)
