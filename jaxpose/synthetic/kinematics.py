"""The articulated skeleton: anatomical joint angles to joint positions, and limbs that reach a point.

World: metres, y up. A person with all angles zero stands upright, faces +z and has the left side at +x. NumPy in
float64: bones keep their length to rounding, and thousands of short motions cost no compilation.

Hips have Cardan angles, flexion then abduction then rotation (Grood & Suntay 1983). Shoulders and the spine are
parametrised by swing and twist, a rotation vector that carries the bone times a rotation about the bone: arms go
everywhere, and it has no gimbal lock but straight overhead; flexion and abduction are the swing's two components.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from jaxpose import skeleton as skeletons
from jaxpose.synthetic.body import Body

SIDES = {"left": 1.0, "right": -1.0}  # the sign of x

_TRUNK_LIMITS = {
  "lumbar_flexion": (-15, 45), "lumbar_lateral": (-18, 18), "lumbar_twist": (-12, 12),
  "thoracic_flexion": (-15, 40), "thoracic_lateral": (-18, 18), "thoracic_twist": (-35, 35),
  "neck_flexion": (-45, 45), "neck_lateral": (-45, 45), "neck_twist": (-60, 60), "head_flexion": (-20, 20),
}  # fmt: skip
_LIMB_LIMITS = {
  "clavicle_elevation": (-10, 30), "clavicle_protraction": (-15, 20),
  "shoulder_flexion": (-60, 180), "shoulder_abduction": (-45, 180), "shoulder_rotation": (-90, 90),
  "elbow_flexion": (0, 150),
  "hip_flexion": (-30, 125), "hip_abduction": (-30, 45), "hip_rotation": (-50, 45), "knee_flexion": (0, 157),
  "ankle_dorsiflexion": (-50, 40),
}  # fmt: skip
# Degrees, from American Academy of Orthopaedic Surgeons 1965, Joint Motion; the trunk's range is split over its two
# joints. Deep flexion is that of people who squat and kneel daily: knee 157 and loaded ankle from Hemmerich 2006.
LIMITS_DEG: dict[str, tuple[float, float]] = {
  **_TRUNK_LIMITS,
  **{f"{side}_{name}": limits for side in SIDES for name, limits in _LIMB_LIMITS.items()},
}
CHANNELS = tuple(LIMITS_DEG)
_LOW, _HIGH = np.radians(np.array(list(LIMITS_DEG.values()))).T

H36M = skeletons.get("h36m_17")
EXTRA_POINTS = ("left_heel", "left_ball", "right_heel", "right_ball")
POINTS = H36M.names + EXTRA_POINTS  # what forward gives: the joints, then the points that touch things


def channel(*names: str) -> list[int]:
  """Indices of angle channels by name; a ValueError lists the known ones."""
  for name in names:
    if name not in LIMITS_DEG:
      raise ValueError(f"unknown joint angle {name!r}; known are {', '.join(CHANNELS)}")
  return [CHANNELS.index(n) for n in names]


def limb_channels(side: str, limb: str) -> list[int]:
  """The four channels that `reach` solves: a ball joint's flexion, abduction and rotation, then the hinge."""
  ball, hinge = {"arm": ("shoulder", "elbow"), "leg": ("hip", "knee")}[limb]
  return channel(*(f"{side}_{ball}_{part}" for part in ("flexion", "abduction", "rotation")), f"{side}_{hinge}_flexion")


def limits(angles: Float[np.ndarray, "T D"]) -> tuple[Float[np.ndarray, "T D"], Float[np.ndarray, "T D"]]:
  """Least and greatest angles [T, D] in radians of poses [T, D].

  The table's, except that near straight overhead all directions of a shoulder's swing, and with them its rotation,
  become one (Codman's paradox): from 120 to 180 degrees of elevation they widen to the full circle.
  """
  low, high = np.tile(_LOW, (len(angles), 1)), np.tile(_HIGH, (len(angles), 1))
  for side in SIDES:
    swing = channel(f"{side}_shoulder_flexion", f"{side}_shoulder_abduction")
    rotation = channel(f"{side}_shoulder_rotation")
    overhead = np.clip(np.linalg.norm(angles[:, swing], axis=-1) / (np.pi / 3) - 2, 0, 1)[:, None]
    low[:, swing + rotation] += overhead * (-np.pi - low[:, swing + rotation])
    high[:, rotation] += overhead * (np.pi - high[:, rotation])
  return low, high


def clamp(angles: Float[np.ndarray, "T D"]) -> Float[np.ndarray, "T D"]:
  """Angles [T, D] within the limits of every joint."""
  return np.clip(angles, *limits(angles))


def about_x(a: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3 3"]:
  c, s, o, e = np.cos(a), np.sin(a), np.zeros_like(a), np.ones_like(a)
  return np.stack([e, o, o, o, c, -s, o, s, c], -1).reshape(*a.shape, 3, 3)


def about_y(a: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3 3"]:
  c, s, o, e = np.cos(a), np.sin(a), np.zeros_like(a), np.ones_like(a)
  return np.stack([c, o, s, o, e, o, -s, o, c], -1).reshape(*a.shape, 3, 3)


def about_z(a: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n 3 3"]:
  c, s, o, e = np.cos(a), np.sin(a), np.zeros_like(a), np.ones_like(a)
  return np.stack([c, -s, o, s, c, o, o, o, e], -1).reshape(*a.shape, 3, 3)


def _swing(x: np.ndarray, z: np.ndarray) -> np.ndarray:
  """The rotation [..., 3, 3] by the rotation vector (x, 0, z), by Rodrigues."""
  angle = np.sqrt(x**2 + z**2)
  a = np.sinc(angle / np.pi)  # sin(angle) / angle
  b = 0.5 * np.sinc(angle / (2 * np.pi)) ** 2  # (1 - cos(angle)) / angle^2
  rows = [1 - b * z * z, -a * z, b * x * z, a * z, 1 - b * (x * x + z * z), -a * x, b * x * z, a * x, 1 - b * x * x]
  return np.stack(rows, -1).reshape(*angle.shape, 3, 3)


def root_rotation(root_angles: Float[np.ndarray, "T 4"]) -> Float[np.ndarray, "T 3 3"]:
  """[T, 4] heading (left positive), pitch (forward), roll (to the left), twist about the own long axis -> [T, 3, 3]."""
  heading, pitch, roll, twist = np.moveaxis(root_angles, -1, 0)
  return about_y(heading) @ about_x(pitch) @ about_z(-roll) @ about_y(twist)


@dataclasses.dataclass(frozen=True)
class Pose:
  """What `forward` gives: points [T, P, 3] in the order of POINTS, and the world rotations of two frames, [T, 3, 3]."""

  points: np.ndarray
  pelvis: np.ndarray
  thorax: np.ndarray

  def __getitem__(self, name: str) -> np.ndarray:
    return self.points[:, POINTS.index(name)]


def forward(
  body: Body, root: Float[np.ndarray, "T 3"], root_angles: Float[np.ndarray, "T 4"], angles: Float[np.ndarray, "T D"]
) -> Pose:
  """Forward kinematics: root [T, 3] metres, root_angles [T, 4], angles [T, D] radians -> Pose. Clamps nothing."""
  a = dict(zip(CHANNELS, angles.T))
  pelvis = root_rotation(root_angles)
  points = {"pelvis": root}

  def hang(parent, rotation, name, offset):
    points[name] = points[parent] + rotation @ np.asarray(offset, np.float64)

  def bend(prefix):
    return _swing(a[f"{prefix}_flexion"], -a[f"{prefix}_lateral"]) @ about_y(a[f"{prefix}_twist"])

  lower = pelvis @ bend("lumbar")
  thorax = lower @ bend("thoracic")
  neck = thorax @ bend("neck")
  head = neck @ about_x(a["head_flexion"])
  hang("pelvis", lower, "spine", (0, body.lower_spine, 0))
  hang("spine", thorax, "thorax", (0, body.upper_spine, 0))
  hang("thorax", neck, "nose", (0, body.neck, body.nose))
  hang("nose", head, "head_top", (0, body.head, -0.5 * body.nose))
  for side, sign in SIDES.items():
    girdle = (
      thorax @ about_z(sign * a[f"{side}_clavicle_elevation"]) @ about_y(-sign * a[f"{side}_clavicle_protraction"])
    )
    # The girdle carries the shoulder's centre; the arm itself is measured against the thorax.
    hang("thorax", girdle, f"{side}_shoulder", (sign * body.shoulder, -body.shoulder_drop, 0))
    upper = thorax @ _ball(a, side, "shoulder", sign)
    hang(f"{side}_shoulder", upper, f"{side}_elbow", (0, -body.upper_arm, 0))
    lower_arm = upper @ about_x(-a[f"{side}_elbow_flexion"])
    hang(f"{side}_elbow", lower_arm, f"{side}_wrist", (0, -body.forearm, 0))
    points[f"{side}_hip"] = root + pelvis @ np.array((sign * body.hip, 0, 0))
    thigh = pelvis @ _ball(a, side, "hip", sign)
    hang(f"{side}_hip", thigh, f"{side}_knee", (0, -body.thigh, 0))
    shank = thigh @ about_x(a[f"{side}_knee_flexion"])
    hang(f"{side}_knee", shank, f"{side}_ankle", (0, -body.shank, 0))
    foot = shank @ about_x(-a[f"{side}_ankle_dorsiflexion"])
    hang(f"{side}_ankle", foot, f"{side}_heel", (0, -body.ankle, -body.heel))
    hang(f"{side}_ankle", foot, f"{side}_ball", (0, -body.ankle, body.ball))
  return Pose(np.stack([points[n] for n in POINTS], 1), pelvis, thorax)


def _ball(a: dict, side: str, joint: str, sign: float) -> np.ndarray:
  carried = _carry(joint, -a[f"{side}_{joint}_flexion"], sign * a[f"{side}_{joint}_abduction"])
  return carried @ about_y(-sign * a[f"{side}_{joint}_rotation"])


def _carry(joint: str, x: np.ndarray, z: np.ndarray) -> np.ndarray:
  """The rotation that takes a hanging limb to its direction, without rotation about the limb."""
  return about_x(x) @ about_z(z) if joint == "hip" else _swing(x, z)


def reach(
  body: Body,
  side: str,
  limb: str,
  parent: Float[np.ndarray, "T 3 3"],
  joint: Float[np.ndarray, "T 3"],
  target: Float[np.ndarray, "T 3"],
  pole: Float[np.ndarray, "T 3"],
) -> Float[np.ndarray, "T 4"]:
  """Angles [T, 4] (see `limb_channels`) with which an arm's wrist or a leg's ankle is at `target`; closed form.

  parent: [T, 3, 3] rotation of the thorax or the pelvis; joint, target: [T, 3] the shoulder or hip, and the point;
  pole: [T, 3] the side to which the elbow or knee points. All in one frame. Near full stretch the limb falls softly
  short of the point instead of snapping straight, by 2 mm at 98 % of its length.
  """
  first, second = (body.upper_arm, body.forearm) if limb == "arm" else (body.thigh, body.shank)
  stretch = first + second
  offset = target - joint
  distance = np.linalg.norm(offset, axis=-1)
  direction = offset / np.maximum(distance, 1e-9)[:, None]
  soft, room = 0.97, 0.028
  over = np.maximum(distance / stretch - soft, 0)
  length = np.where(over > 0, stretch * (soft + room * (1 - np.exp(-over / room))), distance)
  length = np.maximum(length, 0.2 * stretch)
  at_joint = np.arccos(np.clip((first**2 + length**2 - second**2) / (2 * first * length), -1, 1))
  hinge = np.pi - np.arccos(np.clip((first**2 + second**2 - length**2) / (2 * first * second), -1, 1))
  pole = pole - (pole * direction).sum(-1, keepdims=True) * direction
  pole = pole / np.maximum(np.linalg.norm(pole, axis=-1, keepdims=True), 1e-9)
  bone = direction * np.cos(at_joint)[:, None] + pole * np.sin(at_joint)[:, None]
  axis = np.cross(pole, direction) if limb == "leg" else np.cross(direction, pole)
  local = parent.transpose(0, 2, 1) @ np.stack([axis, -bone, np.cross(axis, -bone)], -1)
  # Split into what carries the hanging limb, -y, to the bone, and the rotation about the bone.
  down = -local[:, :, 1]
  if limb == "leg":
    x, z = -np.arctan2(down[:, 2], -down[:, 1]), np.arcsin(np.clip(down[:, 0], -1, 1))
  else:
    scale = np.arccos(np.clip(-down[:, 1], -1, 1)) / np.maximum(np.hypot(down[:, 0], down[:, 2]), 1e-9)
    x, z = -down[:, 2] * scale, down[:, 0] * scale
    x, z = _over_the_top(x, z, SIDES[side])
  twist = _carry("hip" if limb == "leg" else "shoulder", x, z).transpose(0, 2, 1) @ local
  sign = SIDES[side]
  rotation = -sign * np.arctan2(twist[:, 0, 2], twist[:, 0, 0])
  return np.stack([-x, sign * z, rotation, hinge], -1)


def level(
  side: str, pelvis: Float[np.ndarray, "T 3 3"], leg: Float[np.ndarray, "T 4"], pitch: Float[np.ndarray, " T"]
) -> Float[np.ndarray, " T"]:
  """Ankle dorsiflexion [T] with which the sole has a pitch [T] over the ground (heel up) under leg angles [T, 4]."""
  flexion, abduction, rotation, knee = leg.T
  sign = SIDES[side]
  shank = pelvis @ _carry("hip", -flexion, sign * abduction) @ about_y(-sign * rotation) @ about_x(knee)
  # The foot's direction is shank (0, sin d, cos d), and its height has to be -sin(pitch).
  up, ahead = shank[:, 1, 1], shank[:, 1, 2]
  size = np.maximum(np.hypot(up, ahead), 1e-9)
  return np.arcsin(np.clip(-np.sin(pitch) / size, -1, 1)) - np.arctan2(ahead, up)


def _over_the_top(x: np.ndarray, z: np.ndarray, sign: float) -> tuple[np.ndarray, np.ndarray]:
  """The swing vectors of an arm over time, without jumps overhead.

  Turning by an angle one way is turning by the rest of the circle the other way: a hand that goes over the top is at
  190 degrees of flexion, not at 170 of extension, or cross-fading from a hanging arm would flip it. From 150 degrees on
  the vector nearer to the frame before is taken; the first frame prefers what is in front and outside.
  """
  turn = np.hypot(x, z)
  other = 1 - 2 * np.pi / np.maximum(turn, 1e-9)
  high = turn > np.radians(150)
  far = np.zeros(len(x), bool)
  last_x, last_z = -12.0, 10 * sign  # far off: only the direction counts
  for i in np.flatnonzero(high):
    if i > 0 and not high[i - 1]:
      last_x, last_z = x[i - 1], z[i - 1]
    same = (x[i] - last_x) ** 2 + (z[i] - last_z) ** 2
    far[i] = (x[i] * other[i] - last_x) ** 2 + (z[i] * other[i] - last_z) ** 2 < same
    last_x, last_z = (x[i] * other[i], z[i] * other[i]) if far[i] else (x[i], z[i])
  scale = np.where(far, other, 1.0)
  return x * scale, z * scale
