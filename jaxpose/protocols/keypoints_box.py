"""Keypoints in 2D against the truth, in any joint set: PCK of the person's box, and pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxpose import bootstrap
from jaxpose.data.clip import Clip

NAME, VERSION, THRESHOLD = "keypoints_box", 1, 0.1
METRICS = ("pck_10_box", "median_px", "mean_px")


def score(clips: Sequence[Clip], detected: Sequence[Clip]) -> dict[str, float]:
  """{"pck_10_box", "median_px", "mean_px"}: of each clip's joints in valid frames, averaged over clips by their frames.

  pck_10_box: per cent of joints nearer to the truth than a tenth of the box, whose side is the longer one of that of
  the true keypoints. Joints of confidence 0 in the truth are left out. Raises ValueError where no joint is left.
  """
  _, values, frames = _per_clip(clips, detected)
  return dict(zip(METRICS, map(float, bootstrap.average(values, frames))))


def evaluate(
  clips: Sequence[Clip], detected: Sequence[Clip], *, facts: Mapping[str, Any], seed: int = 0
) -> dict[str, Any]:
  """`score` as a report, with intervals over motions and the fingerprint; found: `clips` with detected keypoints."""
  kept, values, frames = _per_clip(clips, detected)
  clusters = [f"{c.subject}/{c.sequence}" for c in kept]
  rows = {
    c.name: {**dict(zip(METRICS, map(float, v))), "frames": int(n), "cluster": cluster, "action": c.action}
    for c, v, n, cluster in zip(kept, values, frames, clusters)
  }
  return {
    "metrics": dict(zip(METRICS, map(float, bootstrap.average(values, frames)))),
    "intervals": dict(zip(METRICS, bootstrap.intervals(values, frames, clusters, seed=seed))),
    "per_sequence": rows,
    "fingerprint": {
      "protocol": NAME, "protocol_version": VERSION, "joint_set": clips[0].skeleton.name, "averaging": "frames",
      "threshold": "a tenth of the longer side of the true keypoints' box", "frames": int(frames.sum()),
      "sequences": len(kept), "clusters": len(set(clusters)), **facts,
      "oracles": sorted({*facts.get("oracles", ()), "box"}),
    },
  }  # fmt: skip


def _per_clip(clips: Sequence[Clip], detected: Sequence[Clip]) -> tuple[list[Clip], np.ndarray, np.ndarray]:
  """The clips with a joint to score, their metrics [S, M] and their valid frames [S]."""
  pairs = [(clip, *_errors(clip, other)) for clip, other in zip(clips, detected)]
  kept = [pair for pair in pairs if len(pair[1])]
  if not kept:
    raise ValueError("no valid frame with keypoints in these clips; check their camera rig")
  values = np.array([_metrics(errors, sides) for _, errors, sides in kept])
  return [clip for clip, *_ in kept], values, np.array([clip.valid.sum() for clip, *_ in kept])


def _errors(clip: Clip, detected: Clip) -> tuple[np.ndarray, np.ndarray]:
  """Distance of each labelled joint in valid frames [n], px, and the side of the box it belongs to."""
  there = clip.confidence > 0
  points = np.where(there[..., None], clip.keypoints_2d, np.nan)
  labelled = clip.valid & there.any(-1)
  points, there, seen = points[labelled], there[labelled], detected.keypoints_2d[labelled]
  if not len(points):
    return np.zeros(0), np.zeros(0)
  side = (np.nanmax(points, 1) - np.nanmin(points, 1)).max(-1)
  error = np.linalg.norm(points - seen, axis=-1)
  return error[there], np.repeat(side, there.sum(-1))


def _metrics(errors: np.ndarray, sides: np.ndarray) -> list[float]:
  return [float(100 * np.mean(errors < THRESHOLD * sides)), float(np.median(errors)), float(errors.mean())]
