"""Limb-length ratios of poses (the paper's Figure 5): do predictions have the target's body, and is it symmetric?"""

import numpy as np
from jaxtyping import Float

from jaxpose.skeleton import Skeleton

# (upper bone, lower bone), each two joints; {side} is left or right.
PARTS = {
  "upper / lower arm": (("{side}_shoulder", "{side}_elbow"), ("{side}_elbow", "{side}_wrist")),
  "upper / lower leg": (("{side}_hip", "{side}_knee"), ("{side}_knee", "{side}_ankle")),
}
TORSO = {"upper / lower torso": (("thorax", "spine"), ("spine", "pelvis"))}


def ratios(poses: Float[np.ndarray, "N J 3"], skeleton: Skeleton) -> dict[str, Float[np.ndarray, " N"]]:
  """The ratio of upper to lower bone of each pose: arms and legs by side ("upper / lower arm, left"), and the torso.

  Raises ValueError where the skeleton lacks one of the joints.
  """
  named = {
    f"{part}, {side}": [[joint.format(side=side) for joint in bone] for bone in bones]
    for part, bones in PARTS.items()
    for side in ("left", "right")
  }
  named |= {part: [list(bone) for bone in bones] for part, bones in TORSO.items()}
  return {
    name: _length(poses, upper, skeleton) / _length(poses, lower, skeleton) for name, (upper, lower) in named.items()
  }


def summary(predicted: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
  """Of each ratio: median, 5th and 95th percentile, and the mean distance of a pose's ratio from its true one."""
  result = {}
  for name, values in predicted.items():
    low, median, high = (float(q) for q in np.quantile(values, [0.05, 0.5, 0.95]))
    error = float(np.abs(values - truth[name]).mean())
    result[name] = {"median": median, "p05": low, "p95": high, "error": error}
  return result


def asymmetry(ratios: dict[str, np.ndarray]) -> dict[str, float]:
  """The mean of |log(left ratio / right ratio)| over poses, by part: 0 for a body whose sides are alike."""
  return {part: float(np.abs(np.log(ratios[f"{part}, left"] / ratios[f"{part}, right"])).mean()) for part in PARTS}


def _length(poses: np.ndarray, bone, skeleton: Skeleton) -> np.ndarray:
  start, end = (skeleton.index(name) for name in bone)
  return np.linalg.norm(poses[:, start] - poses[:, end], axis=-1)
