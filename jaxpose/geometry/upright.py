"""Which way is up, and where the floor is, from people in a camera's axes: feet that stand, bodies that are upright.

NumPy in float64: it is done once for a recording. Positions are absolute, metres, camera axes (x right, y down, z
forward), NaN where nobody is; the camera does not move.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from jaxpose.skeleton import Skeleton

STILL = 0.25  # metres a second below which a foot may stand; a walking one swings at 3
_LEVEL_M = 0.03  # how well feet that stand keep to the floor
_LEAN = np.radians(5)  # how well upright bodies tell the vertical
_WITHIN = np.cos(np.radians(60))  # of the image's upward direction, or a body lies
_LEAST = 4  # contacts, below which they say nothing


class Upright(NamedTuple):
  """The world of a camera: z up, the floor at z = 0 (where the lowest joints are), the camera above the origin.

  rotation [3, 3], translation [3]: world -> camera, as `geometry.camera.Camera` has them. pitch_rad: how far the camera
  looks down. contacts: frames of standing feet that were used. source: "contacts", "upright" or "given".
  """

  rotation: np.ndarray
  translation: np.ndarray
  pitch_rad: float
  contacts: int
  source: str

  def world(self, positions: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
    """Positions in camera axes [..., 3] to the world."""
    return ((positions - self.translation) @ self.rotation).astype(positions.dtype)


def find(
  positions: Float[np.ndarray, "T N J 3"], skeleton: Skeleton, fps: float | int, up: str | float | int = "auto"
) -> Upright:
  """The upright world. up: "auto"; "camera", a camera that is level; or the degrees by which it looks down.

  The vertical is that of upright bodies, corrected by the plane through the feet that stand, each as far as it can
  tell: feet of who walks along a line say nothing of the tilt across it. Raises ValueError if nobody is ever upright.
  """
  pitch = given_pitch_rad(up)
  if pitch is None:
    vertical = upright_bodies(positions, skeleton)
    if vertical is None:
      raise ValueError("nobody ever stands upright in this recording; give --up=camera, or --up=DEGREES")
    standing = contacts(positions, skeleton, fps, vertical)
    places, count = _places(positions[:, :, _feet(skeleton)], standing)
    source = "contacts" if len(places) >= _LEAST else "upright"
    if source == "contacts":
      vertical = _plane(places, vertical)
  else:
    vertical, count, source = np.array([0, -np.cos(pitch), -np.sin(pitch)]), 0, "given"
  rotation = _level(vertical)
  height = positions @ rotation[:, 2]
  low = np.where(np.isfinite(height), height, np.inf).min(-1)
  floor = np.percentile(low[np.isfinite(low)], 1) if np.isfinite(low).any() else 0.0
  return Upright(rotation, floor * rotation[:, 2], float(np.arcsin(np.clip(-vertical[2], -1, 1))), count, source)


def given_pitch_rad(up: str | float | int) -> float | None:
  """How far a camera looks down that `up` is the word of; None for "auto"."""
  if up in ("auto", "camera"):
    return None if up == "auto" else 0.0
  try:
    degrees = float(up)
  except ValueError:
    degrees = np.nan
  if not -90 < degrees < 90:
    raise ValueError(f"--up={up}; expected auto, camera, or the degrees by which the camera looks down, within 90")
  return float(np.radians(degrees))


def upright_bodies(positions: Float[np.ndarray, "T N J 3"], skeleton: Skeleton) -> np.ndarray | None:
  """The mean direction [3], in camera axes, from ankles to thorax of people who stand or walk; None if nobody does.

  Someone does whose trunk is in line with the legs, within 30 degrees, with a straight knee, above 150, within 60
  degrees of the image's upward direction.
  """
  joint = {name: positions[:, :, skeleton.index(name)].astype(np.float64) for name in _needed(skeleton)}
  top = joint["thorax"] if "thorax" in joint else joint["neck"]
  ankles = (joint["left_ankle"] + joint["right_ankle"]) / 2
  hips = (joint["left_hip"] + joint["right_hip"]) / 2
  straight = np.zeros(positions.shape[:2], bool)
  for side in ("left", "right"):
    hip, knee, ankle = (joint[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
    straight |= _cosine(knee - hip, ankle - knee) > np.cos(np.radians(30))
  standing = straight & (_cosine(top - hips, hips - ankles) > np.cos(np.radians(30)))
  axes = _unit((top - ankles)[standing])
  axes = axes[-axes[:, 1] > _WITHIN]
  if not len(axes):
    return None
  vertical = _unit(np.median(axes, 0))
  for _ in range(5):  # without who bends down or leans
    near = axes @ vertical > np.cos(np.radians(20))
    if not near.any():
      return None
    vertical = _unit(axes[near].mean(0))
  return vertical


def contacts(
  positions: Float[np.ndarray, "T N J 3"], skeleton: Skeleton, fps: float | int, vertical: Float[np.ndarray, "3"]
) -> Bool[np.ndarray, "T N F"]:
  """Frames in which a foot (left ankle, right ankle) stands: it is still, and not 10 cm above the other."""
  feet = positions[:, :, _feet(skeleton)].astype(np.float64)
  if len(feet) < 3:
    return np.zeros(feet.shape[:3], bool)
  ahead = max(1, round(fps / 15))  # over an eighth of a second
  moved = np.full(feet.shape[:3], np.nan)
  moved[ahead:-ahead] = np.linalg.norm(feet[2 * ahead :] - feet[: -2 * ahead], axis=-1) * fps / (2 * ahead)
  height = feet @ vertical
  with np.errstate(invalid="ignore"):
    return (moved < STILL) & (height - height.min(-1, keepdims=True) < 0.10)


def _places(feet: np.ndarray, standing: np.ndarray) -> tuple[np.ndarray, int]:
  """The mean place [C, 3] of each time that a foot stands, and how many frames went into them."""
  places, count = [], 0
  for person in range(feet.shape[1]):
    for foot in range(feet.shape[2]):
      edges = np.flatnonzero(np.diff(np.r_[0, standing[:, person, foot].astype(np.int8), 0]))
      for start, stop in zip(edges[::2], edges[1::2]):
        if stop - start >= 2:
          places.append(feet[start:stop, person, foot].mean(0))
          count += int(stop - start)
  return np.array(places).reshape(-1, 3), count


def _plane(places: np.ndarray, prior: np.ndarray) -> np.ndarray:
  """The unit normal n that minimises sum_i rho((n . p_i - d) / s) + |n - prior|^2 / s0^2, by reweighted least squares.

  rho is Huber's: a step on a stair moves it little.
  """
  normal, weight = prior, np.ones(len(places))
  for _ in range(20):
    across = _level(normal)[:, :2]
    # The normal turned by small angles a, b: n + a e1 + b e2; unknowns a, b and the floor's height d.
    rows = np.concatenate([places @ across, -np.ones((len(places), 1))], -1)
    scale = np.sqrt(weight) / _LEVEL_M
    left = np.concatenate([rows * scale[:, None], np.eye(2, 3) / _LEAN])
    right = np.r_[-(places @ normal) * scale, across.T @ (prior - normal) / _LEAN]
    a, b, height = np.linalg.lstsq(left, right, rcond=None)[0]
    normal = _unit(normal + across @ (a, b))
    off = np.abs(places @ normal - height) / _LEVEL_M
    weight = 1 / np.maximum(off / 1.345, 1)
  return normal


def _level(vertical: np.ndarray) -> np.ndarray:
  """World -> camera [3, 3] of a z along `vertical` whose x is the camera's own right, made level."""
  right = np.array([1.0, 0, 0]) if abs(vertical[0]) < 0.9 else np.array([0, 0, 1.0])
  right = _unit(right - (right @ vertical) * vertical)
  return np.stack([right, np.cross(vertical, right), vertical], -1)


def _needed(skeleton: Skeleton) -> tuple[str, ...]:
  top = "thorax" if "thorax" in skeleton.names else "neck"
  return (top, *(f"{side}_{n}" for side in ("left", "right") for n in ("hip", "knee", "ankle")))


def _feet(skeleton: Skeleton) -> list[int]:
  return [skeleton.index("left_ankle"), skeleton.index("right_ankle")]


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """Of the angle between vectors; NaN, which compares as False, where one is missing."""
  return (_unit(a) * _unit(b)).sum(-1)


def _unit(vectors: np.ndarray) -> np.ndarray:
  return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
