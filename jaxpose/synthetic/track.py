"""A track: a whole body's angles and place over time. Tracks cross-fade, and bodies settle on the ground."""

import dataclasses

import numpy as np
from jaxtyping import Float

from jaxpose.synthetic import kinematics
from jaxpose.synthetic.body import Body


@dataclasses.dataclass(frozen=True)
class Track:
  """root [T, 3] metres; root_angles [T, 4] and angles [T, D] radians (kinematics.forward); settled [T] in [0, 1].

  `settled` says how far the root's height is that at which the body's lowest point touches the ground, instead of
  `root`'s own: 1 for who lies or crawls, 0 for who walks on planted feet, jumps or climbs.
  """

  root: np.ndarray
  root_angles: np.ndarray
  angles: np.ndarray
  settled: np.ndarray

  def __len__(self) -> int:
    return len(self.root)


def cross_fade(first: Track, second: Track, weight: Float[np.ndarray, " T"]) -> Track:
  """(1 - weight) first + weight second in joint-angle space, the short way round for headings; weight [T] in [0, 1]."""
  w = weight[:, None]
  turns = np.round((second.root_angles - first.root_angles) / (2 * np.pi)) * 2 * np.pi
  between = np.maximum(first.settled, second.settled) * np.clip(16 * weight * (1 - weight), 0, 1)
  return Track(
    first.root + w * (second.root - first.root),
    first.root_angles + w * (second.root_angles - turns - first.root_angles),
    first.angles + w * (second.angles - first.angles),
    np.maximum(first.settled + weight * (second.settled - first.settled), between),
  )


def support_points(body: Body) -> tuple[list[int], np.ndarray]:
  """Indices into kinematics.POINTS of what can touch the ground, and the flesh [P] in metres below each."""
  flesh = {
    "pelvis": body.depth, "left_hip": 0.85 * body.depth, "right_hip": 0.85 * body.depth, "spine": body.depth,
    "thorax": 0.85 * body.depth, "nose": 0.03, "head_top": 0.055 * body.stature,
    "left_shoulder": 0.45 * body.depth, "right_shoulder": 0.45 * body.depth,
  }  # fmt: skip
  for side in kinematics.SIDES:
    thin = {"knee": 0.03, "ankle": 0.022, "elbow": 0.024, "wrist": 0.022, "heel": 0.0, "ball": 0.0}
    flesh |= {f"{side}_{name}": thickness * body.stature for name, thickness in thin.items()}
  return [kinematics.POINTS.index(n) for n in flesh], np.array(list(flesh.values()))


def clearance(body: Body, points: Float[np.ndarray, "T P 3"]) -> Float[np.ndarray, " T"]:
  """Height [T] of a body's lowest surface over the ground; points [T, P, 3] as of kinematics.forward."""
  index, flesh = support_points(body)
  return (points[:, index, 1] - flesh[None]).min(-1)


def settle(body: Body, track: Track) -> Track:
  """Clamps the joints, then puts the body on the ground where it is settled, and out of the ground everywhere."""
  angles = kinematics.clamp(track.angles)
  points = kinematics.forward(body, track.root, track.root_angles, angles).points
  gap = clearance(body, points)
  drop = np.where(gap < 0, gap, track.settled * gap)
  root = track.root - np.stack([np.zeros_like(drop), drop, np.zeros_like(drop)], -1)
  return dataclasses.replace(track, root=root, angles=angles)


def anchor(body: Body, track: Track, weight: Float[np.ndarray, " T"]) -> Track:
  """Moves the root so that what touches the ground stays put, where weight [T] is 1; the rest of the path shifts along.

  For cross-fades: interpolated angles alone would let the hands and feet skate.
  """
  points = kinematics.forward(body, track.root, track.root_angles, track.angles).points
  index, flesh = support_points(body)
  height = points[:, index, 1] - flesh[None]
  share = np.exp(-(height - height.min(1, keepdims=True)) / 0.01)
  share = (share[1:] + share[:-1]) / 2
  step = ((points[1:] - points[:-1])[:, index] * (share / share.sum(1, keepdims=True))[..., None]).sum(1)
  shift = np.zeros_like(track.root)
  shift[1:] = np.cumsum(-step * weight[1:, None], 0)
  shift[:, 1] = 0
  return dataclasses.replace(track, root=track.root + shift)
