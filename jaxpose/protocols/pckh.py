"""MPII's PCKh: the share of joints within a part of the head's size, 0.6 of the diagonal of the head's box.

Published tables differ twice. "PCKh@0.1" is at 0.11 of the head in SimpleBaseline's and HRNet's code, which read entry
11 of thresholds 0, 0.01, ..., and at 0.10 in MMPose's, which reads entry 10: 33.9 and 28.6 for nearly the same network.
And the first two count an error of just the threshold, the third does not. RULES names both.
"""

from typing import NamedTuple

import numpy as np

from jaxpose import skeleton as skeletons

SKELETON = skeletons.get("mpii_16")
NOT_SCORED = ("pelvis", "thorax")
# The groups that tables show; left and right are averaged without weights.
GROUPS = {
  "head": ("head_top",),
  **{name: (f"left_{name}", f"right_{name}") for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")},
}


class Rule(NamedTuple):
  """strict: the threshold itself is too far; fine: what is published as PCKh@0.1."""

  strict: bool
  fine: float


RULES = {"simple_baseline": Rule(strict=False, fine=0.11), "mmpose": Rule(strict=True, fine=0.10)}


def pckh(
  predicted: np.ndarray, target: np.ndarray, annotated: np.ndarray, head_size: np.ndarray, rule: str = "simple_baseline"
) -> dict[str, float]:
  """{"pckh_50": at half the head, "pckh_10": what is published as "@0.1", and "pckh_50_GROUP"}, 0 to 100.

  predicted, target: [N, 16, 2] pixels; annotated: bool [N, 16]; head_size: [N] pixels, `extra["head_size"]` of the data
  set mpii. The mean is over all annotated joints but pelvis and thorax, so that a joint weighs as often as it is
  annotated; a group without any is left out. Raises ValueError for shapes that do not fit, a head without size, an
  unknown rule, coordinates of annotated joints that are not finite, and for nothing to score.
  """
  if rule not in RULES:
    raise ValueError(f"unknown rule {rule!r} of PCKh; known are {', '.join(RULES)}")
  shape = (len(target), SKELETON.num_joints)
  shapes = (np.shape(predicted), np.shape(target), np.shape(annotated), np.shape(head_size))
  if shapes != ((*shape, 2), (*shape, 2), shape, shape[:1]):
    raise ValueError(f"PCKh of shapes {shapes}; expected [N, 16, 2], [N, 16, 2], [N, 16] and [N]")
  scored = np.array([name not in NOT_SCORED for name in SKELETON.names])
  counted = np.asarray(annotated, bool) & scored
  if not counted.any():
    raise ValueError("PCKh of no annotated joint; MPII's test people have none, take the split valid")
  if not (np.asarray(head_size)[counted.any(1)] > 0).all():
    raise ValueError(f"person {int(np.argmin(head_size))} has a head of {np.min(head_size)} px; leave it out")
  away = np.linalg.norm(np.asarray(predicted, np.float64) - target, axis=-1)
  if not np.isfinite(away[counted]).all():
    person = int(np.argwhere(counted & ~np.isfinite(away))[0][0])
    raise ValueError(f"person {person}: a joint's prediction or annotation is NaN or infinite")
  relative = np.where(counted, away / np.where(head_size > 0, head_size, 1)[:, None], 0)
  near = lambda threshold: (relative < threshold) if RULES[rule].strict else (relative <= threshold)  # noqa: E731
  hits = near(0.5) & counted
  result = {"pckh_50": _share(hits, counted), "pckh_10": _share(near(RULES[rule].fine) & counted, counted)}
  for group, names in GROUPS.items():
    joints = [SKELETON.index(name) for name in names]
    if counted[:, joints].any(0).all():
      result[f"pckh_50_{group}"] = float(np.mean([_share(hits[:, j], counted[:, j]) for j in joints]))
  return result


def _share(hits: np.ndarray, counted: np.ndarray) -> float:
  return float(100 * hits.sum() / counted.sum())
