"""Writes ASF, AMC and BVH texts of the Carnegie Mellon skeleton's structure from known angles, for the readers' tests.

`reference` computes the positions from the same angles, slowly: scalar trigonometry, one frame and one bone at a time.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from jaxpose import skeleton as skeletons

_DOF = {
  "lowerback": "xyz", "upperback": "xyz", "thorax": "xyz", "lowerneck": "xyz", "upperneck": "xyz", "head": "xyz",
  "clavicle": "yz", "humerus": "xyz", "radius": "x", "wrist": "y", "hand": "xz", "fingers": "x", "thumb": "xz",
  "hipjoint": "", "femur": "xyz", "tibia": "x", "foot": "xz", "toes": "x",
}  # fmt: skip
INCH = 0.0254


class Bone(NamedTuple):
  name: str
  parent: str
  direction: tuple[float, ...]
  length: float
  axis: tuple[float, ...]
  dof: str


class Take(NamedTuple):
  """bones: without the root; root: [T, 6] TX TY TZ RX RY RZ; angles: {bone: [T, dof]}, degrees."""

  bones: list[Bone]
  root: np.ndarray
  angles: dict[str, np.ndarray]


def make(frames: int, seed: int = 0) -> Take:
  """A random skeleton of the real structure, in random motion; all numbers as their texts hold them."""
  rng = np.random.default_rng(seed)
  cmu = skeletons.get("cmu")
  bone_of = {joint: bone for bone, joint in skeletons.CMU_BONES.items()}
  bones = []
  for child, parent in cmu.bones:
    direction = rng.normal(size=3)
    direction = tuple(float(f"{x:.6g}") for x in direction / np.linalg.norm(direction))
    axis = tuple(np.round(rng.uniform(-90, 90, 3), 2).tolist())
    name = bone_of[cmu.names[child]]
    dof = _DOF.get(name) if name in _DOF else _DOF[name[1:]]
    bones.append(Bone(name, bone_of[cmu.names[parent]], direction, round(rng.uniform(1, 8), 4), axis, dof))
  root = np.round(np.concatenate([rng.normal(size=(frames, 3)) * 10, rng.uniform(-180, 180, (frames, 3))], -1), 4)
  angles = {b.name: np.round(rng.uniform(-80, 80, (frames, len(b.dof))), 4) for b in bones}
  return Take(bones, root, angles)


def standing(frames: int = 2) -> Take:
  """A person who stands, y up, and faces z as the database's do: left is x. Its angles are zero, its bones by name."""
  bones = []
  for b in make(frames).bones:
    side = {"l": 1.0, "r": -1.0}.get(b.name[0], 0.0) if b.name[1:] in _DOF else 0.0
    part = b.name[1:] if side else b.name
    leg = {"hipjoint": (side, -0.5, 0), "femur": (0, -1, 0), "tibia": (0, -1, 0), "foot": (0, 0, 1), "toes": (0, 0, 1)}
    direction = leg.get(part, (side, 0, 0) if side else (0, 1, 0))
    length = math.hypot(*direction)
    bones.append(b._replace(direction=tuple(x / length for x in direction), length=4.0))
  return Take(bones, np.zeros((frames, 6)), {b.name: np.zeros((frames, len(b.dof))) for b in bones})


def asf(take: Take) -> str:
  lines = ["# AST/ASF file", ":version 1.10", ":name TEST", ":units", "  mass 1.0", "  length 0.45", "  angle deg"]
  lines += [":documentation", "   written by a test", ":root", "   order TX TY TZ RX RY RZ", "   axis XYZ"]
  lines += ["   position 0 0 0  ", "   orientation 0 0 0 ", ":bonedata"]
  for number, b in enumerate(take.bones, 1):
    lines += ["  begin", f"     id {number} ", f"     name {b.name}", f"     direction {_join(b.direction)} "]
    lines += [f"     length {b.length} ", f"     axis {_join(b.axis)}  XYZ"]
    if b.dof:
      lines += [f"    dof {' '.join('r' + d for d in b.dof)}", "    limits (0.0 0.0)"]  # zero: readers must not look
      lines += ["           (-70.0 70.0)"] * (len(b.dof) - 1)
    lines += ["  end"]
  lines += [":hierarchy", "  begin"]
  for parent in ("root", *(b.name for b in take.bones)):
    children = [b.name for b in take.bones if b.parent == parent]
    lines += [f"    {parent} {' '.join(children)}"] if children else []
  return "\r\n".join([*lines, "  end", ""])


def amc(take: Take) -> str:
  lines = ["#!OML:ASF a comment", ":FULLY-SPECIFIED", ":DEGREES"]
  moving = [b for b in take.bones if b.dof]
  order = [moving[i] for i in np.random.default_rng(0).permutation(len(moving))]  # not the hierarchy's
  for frame, root in enumerate(take.root):
    lines += [str(frame + 1), f"root {_join(root)}"]
    lines += [f"{b.name} {_join(take.angles[b.name][frame])}" for b in order]
  return "\r\n".join([*lines, ""])


def bvh(take: Take, rename: dict[str, str] | None = None, rest_frame: bool = False) -> str:
  """The same motion in BVH: a joint stands at the near end of its bone. `rename`: {bone: joint}."""
  names = {b.name: (rename or {}).get(b.name, b.name) for b in take.bones}
  by_name = {b.name: b for b in take.bones}
  header, columns = ["HIERARCHY"], []

  def write(name: str, depth: int):
    tab = "\t" * depth
    joint = (rename or {}).get("root", "Hips") if name == "root" else names[name]
    before = (
      [0.0, 0.0, 0.0] if name == "root" or by_name[name].parent == "root" else _far(by_name[by_name[name].parent])
    )
    header.extend(
      [f"{tab}{'ROOT' if name == 'root' else 'JOINT'} {joint}", tab + "{", f"{tab}\tOFFSET {_join(before)}"]
    )
    if name == "root":
      header.append(f"{tab}\tCHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation ")
      columns.append(take.root[:, [0, 1, 2, 5, 4, 3]])
    else:
      b = by_name[name]
      header.append(f"{tab}\tCHANNELS 3 Zrotation Xrotation Yrotation")
      axes = Rotation.from_euler("xyz", b.axis, degrees=True)
      angles = np.zeros((len(take.root), 3))
      angles[:, ["xyz".index(d) for d in b.dof]] = take.angles[name]
      columns.append(
        (axes * Rotation.from_euler("xyz", angles, degrees=True) * axes.inv()).as_euler("ZXY", degrees=True)
      )
    children = [b.name for b in take.bones if b.parent == name]
    for child in children:
      write(child, depth + 1)
    if not children:
      header.extend([f"{tab}\tEnd Site", tab + "\t{", f"{tab}\t\tOFFSET {_join(_far(by_name[name]))}", tab + "\t}"])
    header.append(tab + "}")

  write("root", 0)
  values = np.concatenate(columns, -1)
  if rest_frame:
    values = np.concatenate([np.zeros_like(values[:1]), values])
  rows = [" ".join(f"{v:.9f}" for v in row) for row in values]
  return "\n".join([*header, "MOTION", f"Frames:\t{len(rows)}", "Frame Time: .0083333", *rows, ""])


def reference(take: Take) -> np.ndarray:
  """Bone ends as the joints of "cmu", float64 [T, 31, 3] metres."""
  cmu = skeletons.get("cmu")
  out = np.zeros((len(take.root), cmu.num_joints, 3))
  for t, (x, y, z, *turn) in enumerate(take.root):
    rotations, ends = {"root": _euler(*turn)}, {"root": np.array([x, y, z])}
    for b in take.bones:
      values = dict(zip(b.dof, take.angles[b.name][t]))
      motion = _euler(*(values.get(a, 0.0) for a in "xyz"))
      axes = _euler(*b.axis)
      rotations[b.name] = rotations[b.parent] @ axes @ motion @ np.linalg.inv(axes)
      ends[b.name] = ends[b.parent] + b.length * rotations[b.name] @ np.array(b.direction)
    for bone, joint in skeletons.CMU_BONES.items():
      out[t, cmu.index(joint)] = ends[bone] * INCH / 0.45
  return out


def _euler(x: float, y: float, z: float) -> np.ndarray:
  """R_z R_y R_x from degrees."""
  (a, b, c), (d, e, f) = ([fn(math.radians(v)) for v in (x, y, z)] for fn in (math.cos, math.sin))
  about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
  about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
  about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
  return about_z @ about_y @ about_x


def _far(bone: Bone) -> list[float]:
  return [bone.length * d for d in bone.direction]


def _join(values) -> str:
  return " ".join(repr(float(v)) for v in values)
