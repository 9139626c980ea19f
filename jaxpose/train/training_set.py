"""What a run trains on: the windows of its data sets in one joint set, and the order in which rows take them."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxpose.config import Config, PartConfig
from jaxpose.data import mixture, pipeline, source
from jaxpose.data.clip import Clip
from jaxpose.skeleton import Skeleton


class TrainingSet(NamedTuple):
  """windows: of all data sets, end to end; labelled: int [L], those with 3D; rows: (start, stop) -> window indices."""

  windows: pipeline.Windows
  labelled: np.ndarray
  rows: pipeline.Order


def joined(
  config: Config, clips: Sequence[Clip] | Mapping[str, Sequence[Clip]], skeleton: Skeleton
) -> dict[str, list[Clip]]:
  """The clips of each data set of config.parts, in `skeleton` by joint name; without joints_3d where it is not used.

  clips: a list is that of a single data set. Raises ValueError if the names are not the config's, a data set is empty
  or lacks 3D that it must have, or joints cannot be mapped.
  """
  parts = config.parts
  given = clips if isinstance(clips, Mapping) else {"train": clips}
  if set(given) != set(parts):
    raise ValueError(f"clips of the data sets {sorted(given)}, but config.train names {list(parts)}")
  return {name: _mapped(name, part, given[name], skeleton) for name, part in parts.items()}


def _mapped(name: str, part: PartConfig, clips: Sequence[Clip], skeleton: Skeleton) -> list[Clip]:
  if not clips:
    raise ValueError(f"no clips to train on in train.{name} ({part.dataset}); check the data set's name and splits")
  if not part.use_3d:
    clips = [clip.replace(joints_3d=None) for clip in clips]
  elif lacking := [clip.name for clip in clips if clip.joints_3d is None]:
    raise ValueError(
      f"clip {lacking[0]} of {part.dataset} has no joints_3d: training needs 3D targets, but for data sets with "
      "use_3d=False and method 'masked'"
    )
  try:
    return [source.mapped(clip, skeleton) for clip in clips]
  except ValueError as error:
    raise ValueError(f"train.{name} does not fit the validation clips' joints {skeleton.name!r}: {error}") from error


def build(config: Config, clips: Mapping[str, Sequence[Clip]]) -> TrainingSet:
  """Windows and order of the clips of `joined`. Raises ValueError if a data set holds no window of config.window."""
  every = [clip for name in config.parts for clip in clips[name]]
  allow_2d = any(clip.joints_3d is None for clip in every)
  data = pipeline.windows(every, config.window, config.stride, pad_short=config.pad_short, allow_2d=allow_2d)
  owner = np.repeat(np.arange(len(config.parts)), [len(clips[name]) for name in config.parts])
  sizes = np.bincount(owner[data.clip], minlength=len(config.parts))
  for (name, part), size in zip(config.parts.items(), sizes):
    if not size:
      raise ValueError(f"no clip of train.{name} ({part.dataset}) holds a window of {config.window} valid frames")
  parts = [
    mixture.Part(int(size), float(size) if part.share is None else part.share, part.start_step * config.batch_size)
    for part, size in zip(config.parts.values(), sizes)
  ]
  labelled = data.frames["labelled"][data.start] if "labelled" in data.frames else np.ones(len(data.start), bool)
  rows = functools.partial(_rows, parts=tuple(parts), seed=config.seed)
  return TrainingSet(data, np.flatnonzero(labelled), rows)


def _rows(start: int, stop: int, *, parts: tuple[mixture.Part, ...], seed: int) -> np.ndarray:
  return mixture.order(parts, start, stop, seed)
