"""BVH motion files: any hierarchy, any order of channels, positions on any joint, end sites.

A joint's position is its proximal end, where it meets its parent. Its rotation is the product of its rotation channels
in the order that the file lists them (`Zrotation Yrotation Xrotation`: R_z R_y R_x), and

  R = R_parent R_joint,  position = position_parent + R_parent offset;

position channels replace the coordinates of the offset that they name, at the root and at any joint that has them.
"""

import os
from typing import NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float

from jaxpose.formats import kinematics, text
from jaxpose.skeleton import Skeleton

_CHANNELS = {f"{axis}{kind}": (kind, axis) for axis in "xyz" for kind in ("position", "rotation")}


class Joint(NamedTuple):
  """A joint or end site: parent's index (-1 at the root), offset [3] in file units, channels as (kind, axis)."""

  name: str
  parent: int
  offset: np.ndarray
  channels: tuple[tuple[str, str], ...]


class Bvh(NamedTuple):
  """skeleton: names from the file, an end site's is its parent's and "_end". positions: float32 [T, J, 3] metres."""

  skeleton: Skeleton
  positions: np.ndarray
  fps: float


def read(path: str | os.PathLike, metres_per_unit: float = 1.0) -> Bvh:
  """Reads a file. BVH does not say its unit of length, nor which axis is up: know them of your source.

  Raises ValueError, with the line, for a broken hierarchy, numbers that are none or not finite, and another count of
  frames or values than declared.
  """
  return parse(epath.Path(path).read_bytes(), os.fspath(path), metres_per_unit)


def parse(data: bytes, where: str, metres_per_unit: float = 1.0) -> Bvh:
  """The motion in a BVH file's bytes, as `read`; `where` names the file in errors."""
  if not 0 < metres_per_unit < float("inf"):
    raise ValueError(f"{where}: metres_per_unit is {metres_per_unit}; expected a positive number, 0.01 for centimetres")
  lines = text.lines(data, where)
  motion = next((i for i, line in enumerate(lines) if line.strip().upper() == "MOTION"), None)
  if motion is None:
    raise ValueError(f"{where} has no MOTION line; it is no BVH file, or it is cut short")
  joints = _hierarchy(lines[:motion], where)
  values, fps = _motion(lines, motion, sum(len(j.channels) for j in joints), where)
  try:
    skeleton = Skeleton("bvh", tuple(j.name for j in joints), tuple(j.parent for j in joints))
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from None
  return Bvh(skeleton, kinematics.narrow(_forward_kinematics(joints, values) * metres_per_unit, where), fps)


def _forward_kinematics(joints: tuple[Joint, ...], values: np.ndarray) -> Float[np.ndarray, "J 3 T"]:
  """Positions in file units from channel values [channels, T]; frames last."""
  frames = values.shape[1]
  positions = np.empty((len(joints), 3, frames))
  rotations: list[np.ndarray] = []
  at = 0
  for index, joint in enumerate(joints):
    offset = np.repeat(joint.offset[:, None], frames, -1)
    rotation = rotations[joint.parent] if joint.parent >= 0 else kinematics.identity(frames)
    turned = rotation
    for kind, axis in joint.channels:
      if kind == "position":
        offset["xyz".index(axis)] = values[at]
      else:
        turned = kinematics.turn(turned, axis, np.deg2rad(values[at]))
      at += 1
    positions[index] = np.einsum("ijt,jt->it", rotation, offset) + (positions[joint.parent] if joint.parent >= 0 else 0)
    rotations.append(turned)
  return positions


def _hierarchy(lines: list[str], where: str) -> tuple[Joint, ...]:
  """The joints, each after its parent, in the order of the file, which is that of the channels."""
  words = [(number, token) for number, line in enumerate(lines, 1) for token in line.split()]
  words.reverse()  # a stack: the next word is the last

  def take() -> tuple[int, str]:
    if not words:
      raise ValueError(f"{where}: the HIERARCHY ends before its braces close; the file is cut short, get it again")
    return words.pop()

  def take_numbers(count: int) -> tuple[int, list[float]]:
    taken = [take() for _ in range(count)]
    return taken[0][0], [text.numbers([token], where, line)[0] for line, token in taken]

  line, word = take()
  if word.upper() != "HIERARCHY":
    raise text.error(where, line, f"{word[:40]!r} where HIERARCHY was expected; is this a BVH file?")
  joints: list[Joint] = []
  open_joints: list[int] = []  # from the root to the joint whose braces are open
  while True:
    line, word = take()
    kind = word.upper()
    if kind == "}" and open_joints:
      open_joints.pop()
      if not open_joints:
        break
    elif kind == "OFFSET" and open_joints:
      joints[open_joints[-1]] = joints[open_joints[-1]]._replace(offset=np.array(take_numbers(3)[1]))
    elif kind == "CHANNELS" and open_joints:
      joints[open_joints[-1]] = joints[open_joints[-1]]._replace(channels=_channels(take, where))
    elif (kind == "ROOT" and not joints) or (kind in ("JOINT", "END") and open_joints):
      name = []
      while (token := take())[1] != "{":
        if token[0] != line:
          raise text.error(where, token[0], f"{token[1][:40]!r} where the brace after {' '.join(name)!r} was expected")
        name.append(token[1])  # some exporters write names with spaces
      if not name:
        raise text.error(where, line, f"{word} without a name; every joint needs one")
      parent = open_joints[-1] if open_joints else -1
      joint_name = _end_name(joints, parent) if kind == "END" else " ".join(name)
      open_joints.append(len(joints))
      joints.append(Joint(joint_name, parent, np.full(3, np.nan), ()))
    else:
      raise text.error(
        where, line, f"{word[:40]!r} is out of place in the HIERARCHY; expected one ROOT with nested JOINTs"
      )
  if words:
    raise text.error(
      where, words[-1][0], f"{words[-1][1][:40]!r} after the root's braces closed; one ROOT is supported"
    )
  bare = [j.name for j in joints if np.isnan(j.offset).any()]
  if bare:
    raise ValueError(f"{where}: the joints {bare} have no OFFSET; get the file again")
  return tuple(joints)


def _channels(take, where: str) -> tuple[tuple[str, str], ...]:
  line, count = take()
  if not (count.isdecimal() and int(count) <= len(_CHANNELS)):
    raise text.error(where, line, f"CHANNELS {count!r}; expected their number, at most {len(_CHANNELS)}")
  names = [take() for _ in range(int(count))]
  for line, name in names:
    if name.lower() not in _CHANNELS:
      raise text.error(where, line, f"channel {name!r}; known are Xposition, Xrotation and so on for Y and Z")
  if len({name.lower() for _, name in names}) != len(names):
    raise text.error(where, line, f"a channel twice in {[name for _, name in names]}; each may stand once")
  return tuple(_CHANNELS[name.lower()] for _, name in names)


def _end_name(joints: list[Joint], parent: int) -> str:
  """`<parent>_end`, and `_end2` and so on for further end sites of one joint."""
  earlier = sum(j.parent == parent and not j.channels for j in joints)
  return f"{joints[parent].name}_end{earlier + 1 if earlier else ''}"


def _motion(lines: list[str], motion: int, channels: int, where: str) -> tuple[np.ndarray, float]:
  """Channel values float64 [channels, T], and frames a second."""
  rows = [(number, tokens) for number, line in enumerate(lines[motion + 1 :], motion + 2) if (tokens := line.split())]
  header = {}
  for key, words in (("Frames", 1), ("Frame Time", 2)):
    tokens = rows[0][1] if rows else []
    if " ".join(tokens[:words]).rstrip(":").lower() != key.lower() or len(tokens) != words + 1:
      line = rows[0][0] if rows else len(lines)
      raise text.error(where, line, f"expected `{key}: NUMBER` after MOTION; the file is cut short or no BVH file")
    header[key] = (rows[0][0], tokens[words])
    del rows[0]
  line, count = header["Frames"]
  if not count.isdecimal() or int(count) == 0:
    raise text.error(where, line, f"Frames: {count}; expected a positive whole number")
  declared, present = int(count), sum(len(tokens) for _, tokens in rows)
  if len(rows) == declared:
    for index, (line, tokens) in enumerate(rows):
      if len(tokens) != channels:
        raise text.error(where, line, f"frame {index} has {len(tokens)} values, the hierarchy {channels} channels")
  elif present != declared * channels:  # equal where an exporter wraps its lines
    raise ValueError(
      f"{where} declares {declared} frames of {channels} values but holds {len(rows)} lines, {present} values; "
      f"it is cut short or joined: get it again, or mend line {header['Frames'][0]}"
    )
  values = [token for _, tokens in rows for token in tokens]
  try:
    array = np.fromiter(map(float, values), float, present)
  except ValueError:
    array = np.array([np.inf])
  if np.isinf(array).any() or any("_" in token for token in values):
    for line, tokens in rows:
      text.numbers(tokens, where, line, gaps=True)  # names the one at fault
  return array.reshape(declared, channels).T, _fps(*header["Frame Time"], where)


def _fps(line: int, frame_time: str, where: str) -> float:
  """Frames a second; a whole number where the frame time is one's reciprocal, as far as its digits say."""
  (seconds,) = text.numbers([frame_time], where, line)
  if not 0 < seconds < 1e6:
    raise text.error(where, line, f"Frame Time: {frame_time}; expected seconds between frames, 0.0083333 for 120 Hz")
  whole = round(1 / seconds)
  digits = len(frame_time.partition(".")[2]) if frame_time.replace(".", "", 1).isdecimal() else 12
  return float(whole) if whole and abs(1 / whole - seconds) < 10.0**-digits else 1 / seconds
