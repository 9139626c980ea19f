"""Positions of joints to rotations of bones of constant length, as animation formats have them.

The rest pose stands upright, y up, facing z, the left side at x, arms out to the sides. A joint with a pair of
children, the pelvis and the thorax, takes the rotation that brings its children's mean offsets closest to where they
are (Kabsch). Another turns its bone by the smallest swing from rest; a hip's or a shoulder's rotation about its own
bone is that of the plane in which the knee or the elbow bends. Where it hardly bends there is no such plane, and the
rotation in between is interpolated.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from jaxpose.skeleton import Skeleton, mirror_name

BENT = np.radians(15)  # below this an elbow or knee does not say in which plane it bends
FASTEST = np.radians(20)  # the most that a limb turns about itself from one frame to the next


class Rig(NamedTuple):
  """offsets [J, 3]: each joint from its parent at rest, metres. rotations [T, J, 3, 3]: of each joint in its parent's
  frame, the identity where a chain ends. root [T, 3]: its place. residual_m [T, J]: how far the rig's joints are off.
  """

  offsets: np.ndarray
  rotations: np.ndarray
  root: np.ndarray
  residual_m: np.ndarray


def fit(positions: Float[np.ndarray, "T J 3"], skeleton: Skeleton) -> Rig:
  """The rig of one person's positions [T, J, 3], metres, y up: bones of median length, joints in tree order.

  A bone aims at where its far joint is from where the rig has its near one, so errors of length do not add up along a
  limb. Raises ValueError for positions that are not finite.
  """
  positions = positions.astype(np.float64)
  if not len(positions) or not np.isfinite(positions).all():
    raise ValueError("a rig needs one frame or more of finite positions; cut the recording where somebody is missing")
  offsets, frames = np.zeros((skeleton.num_joints, 3)), len(positions)
  rotations = np.tile(np.eye(3), (frames, skeleton.num_joints, 1, 1))
  world = rotations.copy()
  placed = positions.copy()  # the root's place is its own
  children = {j: [c for c, p in skeleton.bones if p == j] for j in range(skeleton.num_joints)}
  for joint in _tree_order(skeleton):
    parent = skeleton.parents[joint]
    carrier = world[:, parent] if parent >= 0 else np.tile(np.eye(3), (frames, 1, 1))
    if parent >= 0:
      placed[:, joint] = placed[:, parent] + _turn(carrier, offsets[joint])
    its = children[joint]
    if not its:
      continue
    three = _three(its, skeleton)
    away = positions[:, its] - placed[:, joint, None]
    if three:
      offsets[its] = _mean_shape(positions[:, its] - positions[:, joint, None], *three)
      world[:, joint] = _kabsch(offsets[its], away)
      rotations[:, joint] = _product(carrier, world[:, joint], transposed=True)
    else:
      _swing_children(joint, its, positions, placed, carrier, offsets, rotations, skeleton, children)
      world[:, joint] = _product(carrier, rotations[:, joint])
  return Rig(offsets, rotations, positions[:, skeleton.root], np.linalg.norm(placed - positions, axis=-1))


def _swing_children(joint, its, positions, placed, carrier, offsets, rotations, skeleton, children) -> None:
  """Fills the offsets of a chain's next joint, and the rotation that aims at it and turns with the bend after it."""
  first = its[0]
  rest = rest_direction(skeleton.names[first])
  offsets[first] = rest * np.median(np.linalg.norm(positions[:, first] - positions[:, joint], axis=-1))
  aim = _unit(_turn(carrier, positions[:, first] - placed[:, joint], transposed=True))
  swing = smallest_swing(rest, aim)
  pole = _pole(skeleton.names[first])
  if pole is not None and len(children[first]) == 1:
    beyond = _turn(carrier, positions[:, children[first][0]] - positions[:, first], transposed=True)
    swing = _product(swing, _about(rest, _twist(swing, aim, beyond, pole)))
  rotations[:, joint] = swing
  for other in its[1:]:  # without a pair they are carried along
    local = _turn(_product(carrier, swing), positions[:, other] - positions[:, joint], transposed=True)
    offsets[other] = np.median(local, 0)


def rest_direction(name: str) -> np.ndarray:
  """Where a joint lies from its parent in the rest pose, a unit vector."""
  side = 1.0 if name.startswith("left") else -1.0 if name.startswith("right") else 0.0
  if any(part in name for part in ("toe", "foot")):
    return np.array([0, 0, 1.0])
  if any(part in name for part in ("knee", "ankle", "heel")):
    return np.array([0, -1.0, 0])
  if side and any(part in name for part in ("hip", "shoulder", "elbow", "wrist", "hand", "clavicle", "collar")):
    return np.array([side, 0, 0])
  return np.array([0, 1.0, 0])


def _pole(name: str) -> np.ndarray | None:
  """To which side the limb bends at rest at a knee or an elbow: the shin goes back, the forearm forward."""
  return np.array([0, 0, -1.0]) if "knee" in name else np.array([0, 0, 1.0]) if "elbow" in name else None


def _three(its: list[int], skeleton: Skeleton) -> tuple[int, int, int] | None:
  """Of a joint's children a left one, its right one and one in the middle, if there are such."""
  names = [skeleton.names[c] for c in its]
  left = next((n for n in names if n.startswith("left") and mirror_name(n) in names), None)
  middle = next((n for n in names if not n.startswith(("left", "right"))), None)
  return (names.index(left), names.index(mirror_name(left)), names.index(middle)) if left and middle else None


def _mean_shape(away: np.ndarray, left: int, right: int, middle: int) -> np.ndarray:
  """Median offsets [C, 3] of a joint's children in axes of its own: x to the left one, y to the one in the middle."""
  x = _unit(away[:, left] - away[:, right])
  y = _unit(away[:, middle] - (away[:, middle] * x).sum(-1, keepdims=True) * x)
  axes = np.stack([x, y, np.cross(x, y)], -1)
  return np.median(np.einsum("tji,tcj->tci", axes, away), 0)


def _kabsch(offsets: np.ndarray, away: np.ndarray) -> np.ndarray:
  """The rotations [T, 3, 3] that bring offsets [C, 3] closest to away [T, C, 3]; never a reflection."""
  u, _, vt = np.linalg.svd(np.einsum("tci,cj->tij", away, offsets))
  sign = np.sign(np.linalg.det(u) * np.linalg.det(vt))
  u[:, :, 2] *= sign[:, None]
  return u @ vt


def smallest_swing(rest: Float[np.ndarray, "3"], aim: Float[np.ndarray, "T 3"]) -> Float[np.ndarray, "T 3 3"]:
  """The rotations about axes perpendicular to both that turn one unit vector to others; half a turn to its opposite.

  I + [v] + [v]^2 / (1 + c), v = rest x aim, c = rest . aim.
  """
  cross, cosine = np.cross(rest, aim), aim @ rest
  skew = _skew(cross)
  swing = np.eye(3) + skew + skew @ skew / np.maximum(1 + cosine, 1e-9)[:, None, None]
  axis = _unit(np.cross(rest, np.eye(3)[np.argmin(np.abs(rest))]))
  half_turn = 2 * np.outer(axis, axis) - np.eye(3)
  return np.where((cosine < -1 + 1e-7)[:, None, None], half_turn, swing)


def _twist(swing: np.ndarray, aim: np.ndarray, beyond: np.ndarray, pole: np.ndarray) -> np.ndarray:
  """Angles [T] about the bone that turn the pole at rest to the side to which the limb bends."""
  side = beyond - (beyond * aim).sum(-1, keepdims=True) * aim
  start = swing @ pole
  angle = np.arctan2((np.cross(start, side) * aim).sum(-1), (start * side).sum(-1))
  bend = np.arctan2(np.linalg.norm(side, axis=-1), (beyond * aim).sum(-1))
  known = np.flatnonzero(bend > BENT)
  if not len(known):
    return np.zeros(len(aim))
  angle = np.interp(np.arange(len(aim)), known, np.unwrap(angle[known]))
  turned = angle.copy()
  for t in range(1, len(turned)):
    turned[t] = turned[t - 1] + np.clip(angle[t] - turned[t - 1], -FASTEST, FASTEST)
  return turned


def _about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
  skew = _skew(axis)
  return np.eye(3) + np.sin(angle)[:, None, None] * skew + (1 - np.cos(angle))[:, None, None] * (skew @ skew)


def _skew(v: np.ndarray) -> np.ndarray:
  x, y, z = np.moveaxis(v, -1, 0)
  o = np.zeros_like(x)
  return np.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*v.shape[:-1], 3, 3)


def _turn(rotations: np.ndarray, vectors: np.ndarray, transposed: bool = False) -> np.ndarray:
  return np.einsum(
    "tji,tj->ti" if transposed else "tij,tj->ti", rotations, np.broadcast_to(vectors, (len(rotations), 3))
  )


def _product(a: np.ndarray, b: np.ndarray, transposed: bool = False) -> np.ndarray:
  return (a.transpose(0, 2, 1) if transposed else a) @ b


def _tree_order(skeleton: Skeleton) -> list[int]:
  """Joints, each after its parent."""
  depth = {skeleton.root: 0}
  while len(depth) < skeleton.num_joints:
    depth |= {c: depth[p] + 1 for c, p in skeleton.bones if p in depth}
  return sorted(depth, key=lambda j: (depth[j], j))


def _unit(vectors: np.ndarray) -> np.ndarray:
  return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
