"""What a run that is resumed must have in common with the one that began: whatever moves its parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

import jaxpose
from jaxpose import config as configs
from jaxpose import report
from jaxpose.codec import Codec
from jaxpose.config import Config
from jaxpose.data import pipeline

# Fields of a Config that move no parameter: how often one looks, what is kept, where rows live, what is scored.
MOVES_NOTHING = ("log_every", "eval_every", "eval_max_frames", "keep_best", "patience", "resident", "workers")
MOVES_NOTHING += ("targets", "protocol", "overlap", "select")
CLOSE = 1e-4  # relative; constants and means are measured, and another machine rounds them otherwise


def describe(config: Config, codec: Codec, data: pipeline.Windows) -> dict[str, Any]:
  """What a checkpoint says of how it was trained: {"config", "codec", "data", "library"}, for JSON."""
  means = {name: float(np.mean(data.frames[name], dtype=np.float64)) for name in ("keypoints_2d", "joints_3d")}
  counts = {"windows": len(data.start), "frames": len(data.frames["valid"]), "clips": len(data.camera.focal)}
  return {
    "config": configs.to_dict(config),
    "codec": codec.to_json(),
    "data": {**counts, "mean_keypoint_px": means["keypoints_2d"], "mean_joint_m": means["joints_3d"]},
    "library": jaxpose.__version__,
  }


def check(workdir: str, stored: Mapping[str, Any], now: Mapping[str, Any], allowed: Sequence[str] = ()) -> None:
  """Raises a ValueError that names each field in which `now` is not what a checkpoint of the run in `workdir` says.

  allowed: fields that may differ, as "config.num_steps", or "config.optim" for all that it holds; such are logged. What
  an older version did not store is not compared.
  """
  before = {**stored, "config": configs.to_dict(configs.from_dict(stored["config"]))}
  fields = [n for n in ("config", "codec", "data", "library") if n in stored]
  apart: dict[str, tuple[Any, Any]] = {}
  for name in fields:
    apart |= _differences(before[name], now[name], name)
  apart = {n: v for n, v in apart.items() if not _within(n, [f"config.{field}" for field in MOVES_NOTHING])}
  shown = {n: [report.short(repr(value), 60) for value in pair] for n, pair in apart.items()}
  listed = {n: f"{n}: {there} there, {here} here" for n, (there, here) in shown.items()}
  if refused := [n for n in listed if not _within(n, allowed)]:
    raise ValueError(
      f"the run in {workdir!r} was trained in another way: {'; '.join(listed[n] for n in refused)}. "
      f"Give it what it had, choose another --workdir, or go on all the same with --allow_changed={','.join(refused)}"
    )
  for text in listed.values():
    logging.warning("resumed with a change: %s", text)


def _within(name: str, fields: Sequence[str]) -> bool:
  return any(name == field or name.startswith(f"{field}.") for field in fields)


def _differences(a: Any, b: Any, where: str) -> dict[str, tuple[Any, Any]]:
  if isinstance(a, Mapping) and isinstance(b, Mapping):
    parts = (_differences(a.get(n), b.get(n), f"{where}.{n}") for n in {**a, **b})
    return {name: pair for part in parts for name, pair in part.items()}
  return {} if _equal(a, b, measured=not where.startswith("config.")) else {where: (a, b)}


def _equal(a: Any, b: Any, measured: bool) -> bool:
  if isinstance(a, list | tuple) and isinstance(b, list | tuple):
    return len(a) == len(b) and all(_equal(x, y, measured) for x, y in zip(a, b))
  if measured and isinstance(a, float) and isinstance(b, float):
    return abs(a - b) <= CLOSE * max(abs(a), abs(b))
  return a == b
