"""BVH, for Blender, game engines and retargeting: bones of constant length, y up, metres (or centimetres).

The root has a position and a rotation, other joints rotations alone, in the order Z X Y; where a limb ends there is an
End Site. Blender's importer wants -Z forward, Y up, and a scale of 1.
"""

import os

import numpy as np
from jaxtyping import Float

from jaxpose import whole_file
from jaxpose.export import joint_rotations
from jaxpose.export.joint_rotations import Rig
from jaxpose.skeleton import Skeleton

UNITS = {"m": 1.0, "cm": 100.0}


def write(
  path: str | os.PathLike, positions: Float[np.ndarray, "T J 3"], skeleton: Skeleton, fps: float | int, unit: str = "m"
) -> float:
  """Writes one person's positions [T, J, 3], metres, y up, and returns the mean error of the rig's joints in mm.

  A file has bones of one length, poses have not: the error says how far its joints are off. Raises ValueError for
  positions that are not finite, and for an unknown unit.
  """
  if unit not in UNITS:
    raise ValueError(f"--bvh_unit={unit}; known are {', '.join(UNITS)}")
  rig = joint_rotations.fit(positions, skeleton)
  whole_file.write(path, text(rig, skeleton, fps, UNITS[unit]).encode())
  return float(1000 * rig.residual_m.mean())


def text(rig: Rig, skeleton: Skeleton, fps: float | int, scale: float = 1.0) -> str:
  """The file's text, of `scale` units a metre."""
  lines, order = ["HIERARCHY"], []
  children = {j: [c for c, p in skeleton.bones if p == j] for j in range(skeleton.num_joints)}

  def joint(at: int, depth: int) -> None:
    pad, its = "  " * depth, children[at]
    kind = "ROOT" if at == skeleton.root else "JOINT"
    lines.append(f"{pad}{kind} {skeleton.names[at]}" if its else f"{pad}End Site")
    lines.append(f"{pad}{{")
    lines.append(f"{pad}  OFFSET {' '.join(f'{v:.6f}' for v in _plain(rig.offsets[at] * scale))}")
    if its:
      order.append(at)
      place = "Xposition Yposition Zposition " if at == skeleton.root else ""
      lines.append(f"{pad}  CHANNELS {6 if place else 3} {place}Zrotation Xrotation Yrotation")
    for child in its:
      joint(child, depth + 1)
    lines.append(f"{pad}}}")

  joint(skeleton.root, 0)
  angles = euler_zxy_deg(rig.rotations[:, order])
  values = np.concatenate([rig.root * scale, angles.reshape(len(angles), -1)], -1)
  lines += ["MOTION", f"Frames: {len(values)}", f"Frame Time: {1 / fps:.10f}"]
  lines += [" ".join(f"{v:.6f}" for v in row) for row in _plain(values)]
  return "\n".join(lines) + "\n"


def euler_zxy_deg(rotations: Float[np.ndarray, "T J 3 3"]) -> Float[np.ndarray, "T J 3"]:
  """Angles z, x, y in degrees with R = R_z R_x R_y, without jumps of a full turn over time."""
  r = rotations
  x = np.arcsin(np.clip(r[..., 2, 1], -1, 1))
  locked = np.abs(r[..., 2, 1]) > 1 - 1e-10  # z and y then turn about one axis, and z takes it all
  y = np.where(locked, 0, np.arctan2(-r[..., 2, 0], r[..., 2, 2]))
  z = np.where(locked, np.arctan2(r[..., 1, 0], r[..., 0, 0]), np.arctan2(-r[..., 0, 1], r[..., 1, 1]))
  return np.degrees(np.unwrap(np.stack([z, x, y], -1), axis=0))


def _plain(values: np.ndarray) -> np.ndarray:
  """Without a negative zero, which prints as -0.000000."""
  return np.round(values, 6) + 0.0
