"""Many hypotheses of a pose: scored as one pose is, and by what their spread is worth. Any data in any joint set."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxpose import metrics_many
from jaxpose.data.clip import Clip
from jaxpose.protocols.protocol import Protocol

MANY = Protocol("many", version=1, joint_set=None)
ORACLE = "hypothesis"  # that is chosen by the truth: of the best of N
COUNTS = (1, 5, 20, 40, 200)
_FRAMES = 256  # at once


def measures(clips: Sequence[Clip], hypotheses: Sequence[np.ndarray]) -> dict[str, Any]:
  """Means over the valid frames of all clips, hypotheses [H, T, J, 3] a clip, metres, root-relative.

  best_of_N_mm, best_joints_of_N_mm (oracles), energy_score_mm, calibration_error (0 to 1), coverage_50 and coverage_90
  in per cent, spread_depth_mm, spread_image_mm, hypotheses. Raises ValueError for clips without joints_3d, without a
  valid frame, or that do not match.
  """
  rows: dict[str, list[np.ndarray]] = {}
  for clip, poses in zip(clips, hypotheses, strict=True):
    if clip.joints_3d is None:
      raise ValueError(f"clip {clip.name} has no joints_3d to score hypotheses by")
    if poses.shape[1:] != clip.joints_3d.shape:
      raise ValueError(f"clip {clip.name}: hypotheses {poses.shape} for joints_3d {clip.joints_3d.shape}")
    root = clip.skeleton.root
    target = clip.joints_3d[clip.valid] - clip.joints_3d[clip.valid][:, root : root + 1]
    chosen = poses[:, clip.valid]
    if not np.isfinite(chosen).all():
      raise ValueError(f"clip {clip.name}: hypotheses of valid frames hold NaN or infinity")
    for start in range(0, len(target), _FRAMES):
      block = slice(start, start + _FRAMES)
      for name, value in _frames(chosen[:, block], target[block], root).items():
        rows.setdefault(name, []).append(np.asarray(value))
  if not rows:
    raise ValueError("no valid frame in the clips; there is nothing to score")
  joined = {name: np.concatenate(values) for name, values in rows.items()}
  rank = joined.pop("rank")
  shares = {f"coverage_{p}": 100 * float(metrics_many.coverage(rank, p / 100).mean()) for p in (50, 90)}
  return {
    **{f"{name}_mm": 1000 * float(values.mean()) for name, values in joined.items()},
    "calibration_error": metrics_many.calibration_error(rank),
    **shares,
    "hypotheses": len(hypotheses[0]),
  }


def _frames(poses: np.ndarray, target: np.ndarray, root: int) -> dict[str, jax.Array]:
  values = {}
  for count in (n for n in COUNTS if n <= len(poses)):
    best = metrics_many.best_of_n(poses[:count], target)
    values |= {f"best_of_{count}": best["pose"], f"best_joints_of_{count}": best["joint"]}
  if len(poses) > 1:
    values["energy_score"] = metrics_many.energy_score(poses, target)
  values |= {f"spread_{name}": value for name, value in metrics_many.spread(poses).items()}
  others = np.arange(poses.shape[-2]) != root  # the root is 0 on both sides, and says nothing
  return {**values, "rank": metrics_many.ranks(poses[..., others, :], target[:, others])}
