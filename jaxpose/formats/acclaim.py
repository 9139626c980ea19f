"""Acclaim's skeleton (.asf) and motion (.amc) text files, as the Carnegie Mellon motion capture database holds them.

A bone has a direction and a length in the rest pose, its own axes (`axis`, C below) in which its angles are given, and
the degrees of freedom that the motion file sets, in the order of its `dof` line. `limits` are hints for editors and
decide nothing. With M the rotation by the frame's angles (0 where a bone lacks a degree of freedom), kinematics are



  R = R_parent C M C^-1,  end = end_parent + R length direction;  the root: R = M, end = the frame's translation.

A bone's name denotes the segment and its position here is the segment's far end: `lfemur` ends in the left knee.
"""

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float

from jaxpose import skeleton as skeletons
from jaxpose.formats import kinematics, text

FPS = 120.0  # the database's frame rate; the files do not say it
INCH = 0.0254  # metres
_CHANNELS = ("rx", "ry", "rz", "tx", "ty", "tz")
_RADIANS = {"deg": math.pi / 180, "degrees": math.pi / 180, "rad": 1.0, "radians": 1.0}
_BONE_KEYWORDS = ("id", "name", "direction", "length", "axis", "dof", "limits", "bodymass", "cofmass")

Motion = dict[str, np.ndarray]  # bone -> float64 [T, channels of the bone], radians and metres


class Bone(NamedTuple):
  """One segment: parent's index (-1 at the root), far end in the rest pose [3] metres, axes C [3, 3], channel names."""

  name: str
  parent: int
  offset: np.ndarray
  axes: np.ndarray
  order: str  # of rotation, x first for "xyz"
  channels: tuple[str, ...]


class Acclaim(NamedTuple):
  """A skeleton file: bones, each after its parent; radians in its unit of angle; metres in its unit of length."""

  bones: tuple[Bone, ...]
  radians: float
  metres: float

  @property
  def names(self) -> tuple[str, ...]:
    return tuple(b.name for b in self.bones)


def read_asf(path: str | os.PathLike) -> Acclaim:
  """Reads a skeleton file; a ValueError names the file, the line and what is wrong."""
  return parse_asf(epath.Path(path).read_bytes(), os.fspath(path))


def read_amc(path: str | os.PathLike, skeleton: Acclaim) -> Motion:
  """Reads a motion file, as `parse_amc` does."""
  return parse_amc(epath.Path(path).read_bytes(), skeleton, os.fspath(path))


def read_positions(asf: str | os.PathLike, amc: str | os.PathLike) -> Float[np.ndarray, "T 31 3"]:
  """World positions, float32 [T, 31, 3] metres, y up, in the joint order of the skeleton "cmu", at 120 Hz."""
  skeleton = read_asf(asf)
  return cmu_positions(skeleton, read_amc(amc, skeleton), os.fspath(amc))


def cmu_positions(skeleton: Acclaim, motion: Motion, where: str = "motion") -> Float[np.ndarray, "T 31 3"]:
  """Bone ends as the joints of the skeleton "cmu" (`jaxpose.skeleton.CMU_BONES`), float32 [T, 31, 3] metres.

  Raises ValueError if the skeleton lacks a bone of the database's, or a position is beyond float32.
  """
  bone_of = {joint: bone for bone, joint in skeletons.CMU_BONES.items()}
  missing = sorted(set(skeletons.CMU_BONES) - set(skeleton.names))
  if missing:
    raise ValueError(f"{where}: its skeleton lacks {missing}, bones that every skeleton of the CMU database has")
  ends = forward_kinematics(skeleton, motion)
  return kinematics.narrow(ends[[skeleton.names.index(bone_of[joint]) for joint in skeletons.get("cmu").names]], where)


def forward_kinematics(skeleton: Acclaim, motion: Motion) -> Float[np.ndarray, "bones 3 T"]:
  """The far ends of all bones, float64 [bones, 3, T] metres, in the order of `skeleton.bones`; frames last."""
  frames = len(motion["root"])
  ends = np.zeros((len(skeleton.bones), 3, frames))
  rotations: list[np.ndarray] = []
  for index, bone in enumerate(skeleton.bones):
    values = dict(zip(bone.channels, motion[bone.name].T)) if bone.channels else {}
    rotation = rotations[bone.parent] if bone.parent >= 0 else kinematics.identity(frames)
    if values:
      rotation = bone.axes.T @ rotation  # frames last: this is rotation @ axes in each frame
      for axis in reversed(bone.order):  # "xyz" turns about the fixed x axis first: R_z R_y R_x
        if "r" + axis in values:
          rotation = kinematics.turn(rotation, axis, values["r" + axis])
      rotation = bone.axes @ rotation
    rotations.append(rotation)
    if bone.parent >= 0:
      ends[index] = ends[bone.parent] + bone.offset @ rotation
    else:
      ends[index] = [values.get(channel, np.zeros(frames)) for channel in ("tx", "ty", "tz")]
  return ends


def parse_asf(data: bytes, where: str) -> Acclaim:
  """The skeleton in an ASF file's bytes; `where` names the file in errors.

  Raises ValueError, with the line, for a missing section or bone entry, a number that is none, a hierarchy that is no
  tree, and for what the database does not use: translating or stretching bones, a root placed off the origin.
  """
  sections: dict[str, list[tuple[int, list[str]]]] = {}
  section: list[tuple[int, list[str]]] = []
  for number, line in enumerate(text.lines(data, where), 1):
    tokens = line.split()
    if not tokens or tokens[0].startswith("#"):
      continue
    if tokens[0].startswith(":"):
      section = sections.setdefault(tokens[0][1:].lower(), [])
    else:
      section.append((number, tokens))
  missing = [f":{name}" for name in ("units", "root", "bonedata", "hierarchy") if name not in sections]
  if missing:
    raise ValueError(f"{where} lacks {', '.join(missing)}: it is no Acclaim skeleton file, or it is cut short")
  units = {tokens[0]: (number, tokens[1:]) for number, tokens in sections["units"]}
  (length,) = _vector(units, "length", 1, where, ":units")
  if not length > 0:
    raise ValueError(
      f"{where}: the unit of length is {length}; it is a positive number of 1/inches, 0.45 in the database"
    )
  angle = units.get("angle", (0, ["deg"]))[1]
  if len(angle) != 1 or angle[0].lower() not in _RADIANS:
    raise text.error(where, units["angle"][0], f"angle {' '.join(angle)!r}; expected deg or rad")
  radians, metres = _RADIANS[angle[0].lower()], INCH / length
  bones = {"root": _root(sections["root"], where)}
  for first, block in _blocks(sections["bonedata"], where, ":bonedata"):
    bone = _bone(first, block, radians, metres, where)
    if bone.name in bones:
      raise text.error(where, first, f"a second bone {bone.name!r}; every bone needs its own name")
    bones[bone.name] = bone
  return Acclaim(_tree(bones, sections["hierarchy"], where), radians, metres)


def _vector(entries: dict[str, tuple[int, list[str]]], key: str, count: int, where: str, what: str) -> list[float]:
  if key not in entries:
    raise ValueError(f"{where}: {what} has no {key!r} line; get the file again")
  line, tokens = entries[key]
  if len(tokens) != count:
    raise text.error(where, line, f"{key} has {len(tokens)} values, expected {count}")
  return text.numbers(tokens, where, line)


def _order(token: str, where: str, line: int) -> str:
  if sorted(token.lower()) != ["x", "y", "z"]:
    raise text.error(where, line, f"{token!r} is no order of axes; expected XYZ or another order of the three")
  return token.lower()


def _channels(tokens: Sequence[str], allowed: Sequence[str], where: str, line: int) -> tuple[str, ...]:
  channels = tuple(t.lower() for t in tokens)
  if len(set(channels)) != len(channels) or not set(channels) <= set(allowed):
    raise text.error(
      where, line, f"degrees of freedom {' '.join(tokens)!r}; expected some of {' '.join(allowed)}, each once"
    )
  return channels


def _root(lines: list[tuple[int, list[str]]], where: str) -> Bone:
  entries = {tokens[0]: (number, tokens[1:]) for number, tokens in lines}
  for key in ("position", "orientation"):
    if key in entries and any(_vector(entries, key, 3, where, ":root")):
      raise text.error(where, entries[key][0], f"the root's {key} is not 0 0 0, all that this reader knows")
  if "order" not in entries:
    raise ValueError(f"{where}: :root has no 'order' line; get the file again")
  line, tokens = entries["order"]
  line_axis, axis = entries.get("axis", (line, ["XYZ"]))
  order = _order("".join(axis), where, line_axis)
  channels = _channels(tokens, _CHANNELS, where, line)
  if not channels:
    raise text.error(where, line, "the root has no degree of freedom; expected order TX TY TZ RX RY RZ")
  return Bone("root", -1, np.zeros(3), np.eye(3), order, channels)


def _blocks(lines: list[tuple[int, list[str]]], where: str, what: str) -> list[tuple[int, list[tuple[int, list[str]]]]]:
  """(line of `begin`, lines between) for each begin ... end of a section."""
  blocks: list[tuple[int, list[tuple[int, list[str]]]]] = []
  inside = False
  for number, tokens in lines:
    if tokens[0] in ("begin", "end"):
      if inside == (tokens[0] == "begin"):
        raise text.error(where, number, f"{tokens[0]!r} out of place in {what}")
      inside = not inside
      if inside:
        blocks.append((number, []))
    elif not inside:
      raise text.error(where, number, f"{' '.join(tokens)!r} stands outside begin ... end in {what}")
    else:
      blocks[-1][1].append((number, tokens))
  if inside or not blocks:
    raise ValueError(f"{where}: {what} does not end with 'end'; the file is cut short, get it again")
  return blocks


def _bone(first: int, block: list[tuple[int, list[str]]], radians: float, metres: float, where: str) -> Bone:
  entries = {}
  for number, tokens in block:
    if tokens[0].startswith("("):  # further limits
      continue
    if tokens[0] not in _BONE_KEYWORDS or tokens[0] in entries:
      raise text.error(where, number, f"{tokens[0]!r} is unexpected in a bone; expected each of {_BONE_KEYWORDS} once")
    entries[tokens[0]] = (number, tokens[1:])
  what = f"the bone that begins in line {first}"
  if len(entries.get("name", (0, []))[1]) != 1:
    raise ValueError(f"{where}: {what} has no name; get the file again")
  name = entries["name"][1][0]
  direction = np.array(_vector(entries, "direction", 3, where, what))
  (length,) = _vector(entries, "length", 1, where, what)
  if length < 0 or (length > 0 and abs(np.linalg.norm(direction) - 1) > 0.01):
    raise ValueError(
      f"{where}: {what}, {name!r}, has length {length} and direction {direction}; expected a unit vector"
    )
  line, tokens = entries.get("axis", (first, []))
  if len(tokens) != 4:
    raise text.error(
      where, line, f"bone {name!r} needs an axis line with three angles and an order, as: axis 0 0 20 XYZ"
    )
  order = _order(tokens[3], where, line)

  angles = np.array(text.numbers(tokens[:3], where, line)) * radians
  axes = kinematics.identity(1)
  for axis in reversed(order):
    axes = kinematics.turn(axes, axis, angles[["xyz".index(axis)]])

  line, tokens = entries.get("dof", (first, []))
  # Trap: some parsers take the degrees of freedom from limits that are not zero; the dof line alone decides.
  return Bone(name, 0, direction * length * metres, axes[..., 0], order, _channels(tokens, _CHANNELS[:3], where, line))


def _tree(bones: dict[str, Bone], lines: list[tuple[int, list[str]]], where: str) -> tuple[Bone, ...]:
  """The bones, each after its parent."""
  children: dict[str, list[str]] = {}
  parented = {"root"}
  for _, block in _blocks(lines, where, ":hierarchy"):
    for number, (parent, *names) in block:
      for name in (parent, *names):
        if name not in bones:
          raise text.error(where, number, f"bone {name!r} of the hierarchy is not in :bonedata")
      for name in names:
        if name in parented:
          raise text.error(where, number, f"bone {name!r} has a second parent, {parent!r}; the hierarchy is no tree")
        parented.add(name)
      children.setdefault(parent, []).extend(names)
  ordered = ["root"]
  parents = [-1]
  for index, name in enumerate(ordered):  # grows while it runs: breadth first
    ordered += children.get(name, [])
    parents += [index] * len(children.get(name, []))
  lost = sorted(set(bones) - set(ordered))
  if lost:
    raise ValueError(f"{where}: the bones {lost} do not hang from the root; the hierarchy is cut short or cyclic")
  return tuple(bones[name]._replace(parent=parent) for name, parent in zip(ordered, parents))


def parse_amc(data: bytes, skeleton: Acclaim, where: str) -> Motion:
  """The motion in an AMC file's bytes: {bone: float64 [T, channels of the bone]}, radians and metres.

  Raises ValueError, with line and frame, for a file that ends within a frame or leaves frames out, for bones that the
  skeleton lacks, missing bones, a wrong count of values, and numbers that are none or not finite.
  """
  lines = text.lines(data, where)
  radians, first = skeleton.radians, len(lines)
  for number, line in enumerate(lines):
    word = line.strip()
    if word.isdecimal():
      first = number
      break
    if word.startswith(":"):
      radians = _RADIANS.get(word[1:].lower(), radians)
    elif word and not word.startswith("#"):
      raise text.error(
        where, number + 1, f"{word[:40]!r} before the first frame's number; is this an Acclaim motion file?"
      )
  if first == len(lines):
    raise ValueError(f"{where} holds no frame; it is no Acclaim motion file, or it is cut short")
  counts = {bone.name: len(bone.channels) for bone in skeleton.bones if bone.channels}
  motion = _parse_regular(lines[first:], counts) or _parse_lines(lines, first, counts, where)
  for bone in skeleton.bones:
    if bone.channels:
      motion[bone.name] *= [radians if c.startswith("r") else skeleton.metres for c in bone.channels]
  return motion


def _parse_regular(lines: list[str], counts: dict[str, int]) -> Motion | None:
  """Parses frames that all list the bones in the first one's order, by columns; None if anything is irregular."""
  first = [tokens for line in lines[1 : len(counts) + 1] if (tokens := line.split())]
  if {t[0]: len(t) - 1 for t in first} != counts or len(first) != len(counts):
    return None
  body = "\n".join(lines)
  tokens, period = body.split(), 1 + len(counts) + sum(counts.values())
  frames = len(tokens) // period
  start = int(tokens[0])
  if len(tokens) % period or "_" in body or tokens[::period] != [str(n) for n in range(start, start + frames)]:
    return None
  motion, at = {}, 1
  for name, *values in first:
    if tokens[at::period].count(name) != frames:
      return None
    try:
      columns = [np.fromiter(map(float, tokens[at + 1 + i :: period]), float, frames) for i in range(len(values))]
    except ValueError:
      return None
    motion[name] = np.stack(columns, -1)
    at += 1 + len(values)
  return motion if all(np.isfinite(m).all() for m in motion.values()) else None


def _parse_lines(lines: list[str], first: int, counts: dict[str, int], where: str) -> Motion:
  """Parses line by line, in any order of bones, and names the line at fault: the definition, and the slow path."""
  rows: dict[str, list[list[float]]] = {name: [] for name in counts}
  frame, begun = 0, 0  # the current frame's number, and how many began

  def finish(line: int) -> None:
    missing = [name for name, values in rows.items() if len(values) < begun]
    if missing:
      remedy = (
        "the file is cut short: get it again, or delete that frame" if line == len(lines) else "repair that frame"
      )
      raise text.error(where, line, f"frame {frame} lacks the bones {', '.join(missing)}; {remedy}")

  for number, line in enumerate(lines[first:], first + 1):
    tokens = line.split("#")[0].split()
    if not tokens:
      continue
    if len(tokens) == 1 and tokens[0].isdecimal():
      finish(number)
      if begun and int(tokens[0]) != frame + 1:
        raise text.error(where, number, f"frame {tokens[0]} follows frame {frame}; the frames between them are missing")
      frame, begun = int(tokens[0]), begun + 1
      continue
    name, *values = tokens
    if name not in rows:
      raise text.error(
        where, number, f"frame {frame}: no bone {name!r} moves in this skeleton; is it another subject's?"
      )
    if len(rows[name]) == begun:
      raise text.error(where, number, f"frame {frame}: bone {name!r} for the second time")
    if len(values) != counts[name]:
      raise text.error(where, number, f"frame {frame}: {name!r} has {len(values)} values, its dof line {counts[name]}")
    rows[name].append(text.numbers(values, where, number, gaps=True))
  finish(len(lines))
  return {name: np.array(values) for name, values in rows.items()}
