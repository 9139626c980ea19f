"""Keypoints in 2D against the truth, in any joint set: PCK of the person's box, and pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxpose import bootstrap
from jaxpose.data.clip import Clip

NAME, VERSION, THRESHOLD = "keypoints_box", 1, 0.1
METRICS = ("pck_10_box", "median_px", "mean_px")


def score(clips: Sequence[Clip], found: Sequence[Clip]) -> dict[str, float]:
  """{"pck_10_box", "median_px", "mean_px"} over all joints of all valid frames of all clips.

  pck_10_box: per cent of joints nearer to the truth than a tenth of the box, whose side is the longer one of that of
  the true keypoints. The median is of joints; joints of confidence 0 in the truth are left out.
  """
  errors, sides = (np.concatenate(x) for x in zip(*(_errors(a, b) for a, b in zip(clips, found))))
  return dict(zip(METRICS, _metrics(errors, sides)))


def evaluate(
  clips: Sequence[Clip], found: Sequence[Clip], *, facts: Mapping[str, Any], seed: int = 0
) -> dict[str, Any]:
  """`score` as a report, with intervals over motions and the fingerprint; found: `clips` with detected keypoints.

  An interval of the median resamples the motions' medians, each weighted by its frames.
  """
  pairs = [_errors(a, b) for a, b in zip(clips, found)]
  kept = [i for i, (errors, _) in enumerate(pairs) if len(errors)]
  if not kept:
    raise ValueError("no valid frame with keypoints in these clips; check their camera rig")
  values = np.array([_metrics(*pairs[i]) for i in kept])
  frames = np.array([clips[i].valid.sum() for i in kept])
  clusters = [f"{clips[i].subject}/{clips[i].sequence}" for i in kept]
  actions = [clips[i].action for i in kept]
  rows = {
    clips[i].name: {**dict(zip(METRICS, map(float, v))), "frames": int(n), "cluster": c, "action": a}
    for i, v, n, c, a in zip(kept, values, frames, clusters, actions)
  }
  metrics = score([clips[i] for i in kept], [found[i] for i in kept])
  return {
    "metrics": metrics,
    "intervals": dict(zip(METRICS, bootstrap.intervals(values, frames, clusters, seed=seed))),
    "per_sequence": rows,
    "fingerprint": {
      "protocol": NAME, "protocol_version": VERSION, "joint_set": clips[0].skeleton.name, "averaging": "frames",
      "threshold": "a tenth of the longer side of the true keypoints' box", "frames": int(frames.sum()),
      "sequences": len(kept), "clusters": len(set(clusters)), **facts, "oracles": ["box"],
    },
  }  # fmt: skip


def _errors(clip: Clip, found: Clip) -> tuple[np.ndarray, np.ndarray]:
  """Distance of each labelled joint in valid frames [n], px, and the side of the box it belongs to."""
  there = clip.confidence > 0
  points = np.where(there[..., None], clip.keypoints_2d, np.nan)
  labelled = clip.valid & there.any(-1)
  points, there, seen = points[labelled], there[labelled], found.keypoints_2d[labelled]
  if not len(points):
    return np.zeros(0), np.zeros(0)
  side = (np.nanmax(points, 1) - np.nanmin(points, 1)).max(-1)
  error = np.linalg.norm(points - seen, axis=-1)
  return error[there], np.repeat(side, there.sum(-1))


def _metrics(errors: np.ndarray, sides: np.ndarray) -> list[float]:
  return [float(100 * np.mean(errors < THRESHOLD * sides)), float(np.median(errors)), float(errors.mean())]
