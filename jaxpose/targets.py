"""What a trained run is scored on or adapted to: a target of its config, or any other data set."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from jaxpose.config import DataConfig
from jaxpose.experiment import Trained


def choose(
  trained: Trained, name: str = "", splits: Sequence[str] = (), rig: str = "", fps: float | int | None = None
) -> tuple[str, DataConfig]:
  """The config's target of that name, or the first that uses the data set of that name; the first one when empty.

  splits, rig and fps, where given, take the place of the target's; what comes of it is called by its data set. A data
  set that the config does not name, as "name" or "name/config", is one with `splits`, its joints mapped to the run's by
  name. Raises ValueError, listing the targets, for an unknown name without splits.
  """
  targets = trained.config.targets
  matching = [(k, v) for k, v in targets.items() if name in ("", k, v.dataset)]
  given: dict[str, Any] = {"splits": tuple(splits), "rig": rig, "fps": None if fps is None else float(fps)}
  changes = {key: value for key, value in given.items() if value}
  if matching:
    called, data = matching[0]
    return (data.dataset, _changed(data, changes)) if changes else (called, data)
  if not splits:
    known = ", ".join(f"{k} ({v.dataset})" for k, v in targets.items())
    raise ValueError(f"unknown target {name!r}; the run's config has {known}. Any other data set needs --splits=")
  return name, DataConfig(dataset=name, skeleton=trained.codec.skeleton.name, **changes)


def overlap(a: DataConfig, b: DataConfig) -> bool:
  """Whether two data configs may share a sequence, as far as their names tell: by data set, splits and sequences."""
  if a.dataset.split("/")[0] != b.dataset.split("/")[0] or not {*a.splits} & {*b.splits}:
    return False
  if a.include and b.include and not {*a.include} & {*b.include}:
    return False
  return not any(x.include and {*x.include} <= {*y.exclude} for x, y in ((a, b), (b, a)))


def _changed(data: DataConfig, changes: dict[str, Any]) -> DataConfig:
  """With other splits no sequence of the old ones is named any more; with another rig, no option of the old one."""
  if "splits" in changes and changes["splits"] != tuple(data.splits):
    changes |= {"include": (), "exclude": (), "fraction": 1.0}
  if "rig" in changes and changes["rig"] != data.rig:
    changes |= {"rig_options": {}}
  return dataclasses.replace(data, **changes)
