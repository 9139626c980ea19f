"""Which joints of a BVH file are which joints of the library: maps read from JSON, and those known by themselves."""

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from jaxpose import skeleton as skeletons
from jaxpose.formats import acclaim, bvh

HELP = (
  "write a map, a JSON file such as "
  '{"joints": {"pelvis": ["Hips"], "spine": ["Spine"], ...}, "metres_per_unit": 0.01, "up": "y"} '
  "with a line for each joint of the target skeleton, and pass --option=joint_map=FILE"
)


@dataclasses.dataclass(frozen=True)
class BvhMap:
  """Joints of `target` as means of joints of a file, and what BVH files do not say about themselves.

  joints: {joint of target: names in the file}; metres_per_unit: 0.01 for centimetres; up: the vertical axis;
  drop_first_frame: whether frame 0 is an added rest pose; markers: further names by which a file is recognised.
  """

  joints: Mapping[str, Sequence[str]]
  metres_per_unit: float
  up: str = "y"
  drop_first_frame: bool = False
  target: str = "h36m_17"
  markers: tuple[str, ...] = ()

  def __post_init__(self):
    known = skeletons.get(self.target).names
    missing, unknown = sorted(set(known) - set(self.joints)), sorted(set(self.joints) - set(known))
    if missing or unknown:
      raise ValueError(f"joint map to {self.target}: it lacks {missing or 'none'} and has unknown {unknown or 'none'}")
    for joint, names in self.joints.items():
      if isinstance(names, str) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"joint map: {joint!r} is {names!r}; expected a list of joint names of the file")
    number = isinstance(self.metres_per_unit, (int, float)) and not isinstance(self.metres_per_unit, bool)
    if not number or not 0 < self.metres_per_unit < math.inf:
      raise ValueError(f"joint map: metres_per_unit is {self.metres_per_unit!r}; expected a positive number")
    if self.up not in ("y", "z") or not isinstance(self.drop_first_frame, bool):
      raise ValueError(
        f"joint map: up is {self.up!r}, drop_first_frame {self.drop_first_frame!r}; expected 'y' or 'z', true or false"
      )

  @property
  def sources(self) -> set[str]:
    return {name for names in self.joints.values() for name in names} | set(self.markers)

  def __call__(self, motion: bvh.Bvh) -> np.ndarray:
    """Positions float32 [T, J, 3] of the target's joints, metres, of a motion in its file's units."""
    at = {name: index for index, name in enumerate(motion.skeleton.names)}
    means = [motion.positions[:, [at[n] for n in self.joints[j]]].mean(1) for j in skeletons.get(self.target).names]
    return np.stack(means, 1)[int(self.drop_first_frame) :] * np.float32(self.metres_per_unit)


def read(path: str | os.PathLike) -> BvhMap:
  """Reads a map from a JSON file of `BvhMap`'s fields; a ValueError names the file and the field."""
  try:
    fields: dict[str, Any] = json.loads(epath.Path(path).read_text())
    if not isinstance(fields, dict) or not isinstance(fields.get("joints"), dict):
      raise ValueError("expected an object with the objects `joints` and `metres_per_unit`")
    allowed = {f.name for f in dataclasses.fields(BvhMap)}
    if set(fields) - allowed:
      raise ValueError(f"unknown fields {sorted(set(fields) - allowed)}; known are {sorted(allowed)}")
    if "metres_per_unit" not in fields:
      raise ValueError("metres_per_unit is missing: BVH files do not say their unit of length; 0.01 for centimetres")
    fields["markers"] = tuple(fields.get("markers", ()))
    return BvhMap(**fields)
  except ValueError as error:
    raise ValueError(f"{os.fspath(path)}: {error}") from None


def choose(names: Sequence[str], where: str) -> BvhMap:
  """The known map whose joints a file has; a ValueError lists the file's joints and says how to write a map."""
  for known in KNOWN.values():
    if known.sources <= set(names):
      return known
  raise ValueError(f"{where}: no known joint map fits its joints {', '.join(names)}; {HELP}")


# The two conversions of the Carnegie Mellon database in circulation, by the names that they give the legs. A joint is
# the near end of its segment. Trap: both leave out the database's `thorax` segment, so the base of the neck falls on
# Spine1 (Chest2) and the whole upper body hangs 12 cm too low; the spine here is the joint below, lest a bone vanish.
_CMU_UNIT = acclaim.INCH / 0.45
KNOWN = {
  "cmu_left_up_leg": BvhMap(
    joints={
      "pelvis": ["Hips"], "right_hip": ["RightUpLeg"], "right_knee": ["RightLeg"], "right_ankle": ["RightFoot"],
      "left_hip": ["LeftUpLeg"], "left_knee": ["LeftLeg"], "left_ankle": ["LeftFoot"], "spine": ["Spine"],
      "thorax": ["Neck"], "nose": ["Head"], "head_top": ["Head_end"], "left_shoulder": ["LeftArm"],
      "left_elbow": ["LeftForeArm"], "left_wrist": ["LeftHand"], "right_shoulder": ["RightArm"],
      "right_elbow": ["RightForeArm"], "right_wrist": ["RightHand"],
    },
    metres_per_unit=_CMU_UNIT,
    drop_first_frame=True,  # a rest pose that the conversion added
    markers=("LHipJoint", "LowerBack", "Neck1"),
  ),
  "cmu_left_hip": BvhMap(
    joints={
      "pelvis": ["Hips"], "right_hip": ["RightHip"], "right_knee": ["RightKnee"], "right_ankle": ["RightAnkle"],
      "left_hip": ["LeftHip"], "left_knee": ["LeftKnee"], "left_ankle": ["LeftAnkle"], "spine": ["Chest"],
      "thorax": ["lowerneck"], "nose": ["Head"], "head_top": ["Head_end"], "left_shoulder": ["LeftShoulder"],
      "left_elbow": ["LeftElbow"], "left_wrist": ["LeftWrist"], "right_shoulder": ["RightShoulder"],
      "right_elbow": ["RightElbow"], "right_wrist": ["RightWrist"],
    },
    metres_per_unit=_CMU_UNIT,
    markers=("LHipJoint", "lowerback", "LeftCollar"),
  ),
}  # fmt: skip
