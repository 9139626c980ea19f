"""Skeletons: every joint set by name, and maps between sets by joint name.

One vocabulary serves all sets, so a name means the same point of the body everywhere: `thorax` is the base of the
neck between the shoulders, `nose` is the face point that Human3.6M calls Neck/Nose, `head_top` is the crown
(Human3.6M's "Head"), `head` is the middle of the skull. Left and right are the person's own, and pairs are derived
from names.
"""

import dataclasses
import functools
import re

import numpy as np


@dataclasses.dataclass(frozen=True)
class Skeleton:
  """A named joint set: `names[j]` is joint j, `parents[j]` the index of its parent, -1 at the root."""

  name: str
  names: tuple[str, ...]
  parents: tuple[int, ...]

  def __post_init__(self):
    if len(set(self.names)) != len(self.names):
      repeated = sorted({n for n in self.names if self.names.count(n) > 1})
      raise ValueError(f"skeleton {self.name!r} names a joint twice: {repeated}; every joint needs its own name")
    if len(self.parents) != len(self.names):
      raise ValueError(f"skeleton {self.name!r} has {len(self.names)} names but {len(self.parents)} parents")
    if sum(p < 0 for p in self.parents) != 1:
      raise ValueError(f"skeleton {self.name!r} must have exactly one root (parent -1), got parents {self.parents}")
    for j in range(len(self.parents)):
      seen, at = set(), j
      while at >= 0:
        if at in seen or at >= len(self.parents):
          raise ValueError(f"skeleton {self.name!r}: the parents of {self.names[j]!r} never reach the root")
        seen.add(at)
        at = self.parents[at]

  @property
  def num_joints(self) -> int:
    return len(self.names)

  @property
  def root(self) -> int:
    """Index of the root joint, the origin of root-relative poses."""
    return self.parents.index(-1)

  @functools.cached_property
  def bones(self) -> tuple[tuple[int, int], ...]:
    """(child, parent) index pairs, one for each joint but the root, in joint order."""
    return tuple((j, p) for j, p in enumerate(self.parents) if p >= 0)

  @functools.cached_property
  def pairs(self) -> tuple[tuple[int, int], ...]:
    """(left, right) index pairs, derived from the names."""
    return tuple(
      (j, self.names.index(mirrored))
      for j, name in enumerate(self.names)
      if is_left(name) and (mirrored := mirror_name(name)) in self.names
    )

  @property
  def left(self) -> tuple[int, ...]:
    return tuple(l for l, _ in self.pairs)

  @property
  def right(self) -> tuple[int, ...]:
    return tuple(r for _, r in self.pairs)

  @functools.cached_property
  def flip(self) -> tuple[int, ...]:
    """The permutation that swaps left and right: an involution. Mirror a pose with x = -x, then index joints by it."""
    order = list(range(self.num_joints))
    for l, r in self.pairs:
      order[l], order[r] = r, l
    return tuple(order)

  @property
  def oks_sigmas(self) -> tuple[float, ...]:
    """COCO's deviation of each joint's annotations, over the root of the person's area, for object keypoint similarity.

    Raises ValueError for a joint that COCO does not annotate.
    """
    kinds = [name.removeprefix("left_").removeprefix("right_") for name in self.names]
    if unknown := [name for name, kind in zip(self.names, kinds) if kind not in _OKS_SIGMAS]:
      raise ValueError(
        f"skeleton {self.name!r}: COCO has no similarity of {unknown[0]!r}; it has {', '.join(_OKS_SIGMAS)}"
      )
    return tuple(_OKS_SIGMAS[kind] for kind in kinds)

  def index(self, name: str) -> int:
    """Index of a joint; a ValueError lists the names when there is none of that name."""
    if name not in self.names:
      raise ValueError(f"skeleton {self.name!r} has no joint {name!r}; it has {', '.join(self.names)}")
    return self.names.index(name)


_OKS_SIGMAS = dict(
  nose=0.026, eye=0.025, ear=0.035, shoulder=0.079, elbow=0.072, wrist=0.062, hip=0.107, knee=0.087, ankle=0.089
)  # fmt: skip

# A side is a whole word (left, LEFT), a camel-case or snake-case prefix (LHip, l_hip), or a bare letter as in Acclaim's
# lfemur.
_WORD = re.compile(r"left|right", re.IGNORECASE)
_SWAP = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}


def mirror_name(name: str) -> str:
  """The name of the joint on the other side: left_hip <-> right_hip, LHipJoint <-> RHipJoint, lfemur <-> rfemur."""
  if _WORD.search(name):
    return _WORD.sub(lambda m: _SWAP.get(m.group(), m.group()), name)
  return {"l": "r", "r": "l", "L": "R", "R": "L"}.get(name[:1], name[:1]) + name[1:]


def is_left(name: str) -> bool:
  """Whether a name is the left one of its pair; only meaningful when its mirror is in the set too."""
  return "left" in name.lower() or (not _WORD.search(name) and name[:1] in ("l", "L"))


def _tree(name: str, **parent_of: str | None) -> Skeleton:
  names = tuple(parent_of)
  return Skeleton(name, names, tuple(-1 if p is None else names.index(p) for p in parent_of.values()))


_H36M = dict(
  pelvis=None,
  right_hip="pelvis", right_knee="right_hip", right_ankle="right_knee",
  left_hip="pelvis", left_knee="left_hip", left_ankle="left_knee",
  spine="pelvis", thorax="spine", nose="thorax", head_top="nose",
  left_shoulder="thorax", left_elbow="left_shoulder", left_wrist="left_elbow",
  right_shoulder="thorax", right_elbow="right_shoulder", right_wrist="right_elbow",
)  # fmt: skip

_COCO = dict(
  nose=None, left_eye="nose", right_eye="nose", left_ear="left_eye", right_ear="right_eye",
  left_shoulder="nose", right_shoulder="nose", left_elbow="left_shoulder", right_elbow="right_shoulder",
  left_wrist="left_elbow", right_wrist="right_elbow", left_hip="left_shoulder", right_hip="right_shoulder",
  left_knee="left_hip", right_knee="right_hip", left_ankle="left_knee", right_ankle="right_knee",
)  # fmt: skip
_OPENPOSE_ARMS = dict(
  nose="neck", neck=None, right_shoulder="neck", right_elbow="right_shoulder", right_wrist="right_elbow",
  left_shoulder="neck", left_elbow="left_shoulder", left_wrist="left_elbow",
)  # fmt: skip
_OPENPOSE_FACE = dict(right_eye="nose", left_eye="nose", right_ear="right_eye", left_ear="left_eye")


def _openpose_legs(root: str) -> dict[str, str]:
  return dict(
    right_hip=root, right_knee="right_hip", right_ankle="right_knee",
    left_hip=root, left_knee="left_hip", left_ankle="left_knee",
  )  # fmt: skip


_SKELETONS = {
  s.name: s
  for s in (
    # Human3.6M, 17 of its 32 joints: Hip RHip RKnee RFoot LHip LKnee LFoot Spine Thorax Neck/Nose Head, left arm first.
    _tree("h36m_17", **_H36M),
    # SemGCN's and PoseAug's 16: without Neck/Nose.
    _tree("h36m_16", **{**{n: p for n, p in _H36M.items() if n != "nose"}, "head_top": "thorax"}),
    # MPI-INF-3DHP's test files ("relevant" joints); the pelvis, index 14, is the root.
    _tree(
      "mpi_inf_3dhp_17", head_top="head", neck="spine",
      right_shoulder="neck", right_elbow="right_shoulder", right_wrist="right_elbow",
      left_shoulder="neck", left_elbow="left_shoulder", left_wrist="left_elbow",
      right_hip="pelvis", right_knee="right_hip", right_ankle="right_knee",
      left_hip="pelvis", left_knee="left_hip", left_ankle="left_knee",
      pelvis=None, spine="pelvis", head="neck",
    ),
    # MPI-INF-3DHP's training files; parents as published.
    _tree(
      "mpi_inf_3dhp_28", spine3="spine2", spine4="spine3", spine2="spine", spine="pelvis", pelvis=None, neck="spine4",
      head="neck", head_top="head",
      left_clavicle="neck", left_shoulder="left_clavicle", left_elbow="left_shoulder", left_wrist="left_elbow",
      left_hand="left_wrist",
      right_clavicle="neck", right_shoulder="right_clavicle", right_elbow="right_shoulder", right_wrist="right_elbow",
      right_hand="right_wrist",
      left_hip="pelvis", left_knee="left_hip", left_ankle="left_knee", left_foot="left_ankle", left_toe="left_foot",
      right_hip="pelvis", right_knee="right_hip", right_ankle="right_knee", right_foot="right_ankle",
      right_toe="right_foot",
    ),
    _tree(
      "smpl_24", pelvis=None, left_hip="pelvis", right_hip="pelvis", spine1="pelvis", left_knee="left_hip",
      right_knee="right_hip", spine2="spine1", left_ankle="left_knee", right_ankle="right_knee", spine3="spine2",
      left_foot="left_ankle", right_foot="right_ankle", neck="spine3", left_collar="spine3", right_collar="spine3",
      head="neck", left_shoulder="left_collar", right_shoulder="right_collar", left_elbow="left_shoulder",
      right_elbow="right_shoulder", left_wrist="left_elbow", right_wrist="right_elbow", left_hand="left_wrist",
      right_hand="right_wrist",
    ),
    # Leeds Sports Pose, also the 14 joints of 3DPW's evaluation. It has no pelvis: the neck roots the tree.
    _tree(
      "lsp_14", right_ankle="right_knee", right_knee="right_hip", right_hip="neck", left_hip="neck",
      left_knee="left_hip", left_ankle="left_knee", right_wrist="right_elbow", right_elbow="right_shoulder",
      right_shoulder="neck", left_shoulder="neck", left_elbow="left_shoulder", left_wrist="left_elbow", neck=None,
      head_top="neck",
    ),
    _tree(
      "mpii_16", right_ankle="right_knee", right_knee="right_hip", right_hip="pelvis", left_hip="pelvis",
      left_knee="left_hip", left_ankle="left_knee", pelvis=None, thorax="pelvis", upper_neck="thorax",
      head_top="upper_neck", right_wrist="right_elbow", right_elbow="right_shoulder", right_shoulder="thorax",
      left_shoulder="thorax", left_elbow="left_shoulder", left_wrist="left_elbow",
    ),
    # COCO has neither pelvis nor neck: the nose roots the tree.
    _tree("coco_17", **_COCO),
    # Halpe's 26 of AlphaPose and RTMPose: COCO's, then the crown (which they call head), neck, pelvis and the feet.
    _tree(
      "halpe_26",
      **{**_COCO, "nose": "neck", "left_shoulder": "neck", "right_shoulder": "neck", "left_hip": "pelvis",
         "right_hip": "pelvis"},
      head_top="nose", neck="pelvis", pelvis=None, left_big_toe="left_ankle", right_big_toe="right_ankle",
      left_small_toe="left_ankle", right_small_toe="right_ankle", left_heel="left_ankle", right_heel="right_ankle",
    ),
    # OpenPose's two body models; BODY_25 calls the pelvis MidHip.
    _tree(
      "body_25", **_OPENPOSE_ARMS, pelvis="neck", **_openpose_legs("pelvis"), **_OPENPOSE_FACE,
      left_big_toe="left_ankle", left_small_toe="left_ankle", left_heel="left_ankle",
      right_big_toe="right_ankle", right_small_toe="right_ankle", right_heel="right_ankle",
    ),
    _tree("openpose_18", **_OPENPOSE_ARMS, **_openpose_legs("neck"), **_OPENPOSE_FACE),
    # MediaPipe's pose landmarks (BlazePose). Like COCO it has neither pelvis nor neck.
    _tree(
      "mediapipe_33", nose=None, left_eye_inner="nose", left_eye="left_eye_inner", left_eye_outer="left_eye",
      right_eye_inner="nose", right_eye="right_eye_inner", right_eye_outer="right_eye", left_ear="left_eye_outer",
      right_ear="right_eye_outer", left_mouth="nose", right_mouth="nose",
      left_shoulder="nose", right_shoulder="nose", left_elbow="left_shoulder", right_elbow="right_shoulder",
      left_wrist="left_elbow", right_wrist="right_elbow", left_pinky="left_wrist", right_pinky="right_wrist",
      left_index="left_wrist", right_index="right_wrist", left_thumb="left_wrist", right_thumb="right_wrist",
      left_hip="left_shoulder", right_hip="right_shoulder", left_knee="left_hip", right_knee="right_hip",
      left_ankle="left_knee", right_ankle="right_knee", left_heel="left_ankle", right_heel="right_ankle",
      left_foot_index="left_ankle", right_foot_index="right_ankle",
    ),
    # The Carnegie Mellon database: each Acclaim bone's far end, under the name of the body point that it is.
    _tree(
      "cmu", pelvis=None, left_hip="pelvis", left_knee="left_hip", left_ankle="left_knee", left_foot="left_ankle",
      left_toe="left_foot", right_hip="pelvis", right_knee="right_hip", right_ankle="right_knee",
      right_foot="right_ankle", right_toe="right_foot", spine1="pelvis", spine="spine1", thorax="spine",
      lower_neck="thorax", nose="lower_neck", head_top="nose", left_shoulder="thorax", left_elbow="left_shoulder",
      left_wrist="left_elbow", left_hand="left_wrist", left_palm="left_hand", left_fingers="left_palm",
      left_thumb="left_hand", right_shoulder="thorax", right_elbow="right_shoulder", right_wrist="right_elbow",
      right_hand="right_wrist", right_palm="right_hand", right_fingers="right_palm", right_thumb="right_hand",
    ),
  )
}  # fmt: skip

# The far end of an Acclaim bone, as a joint of "cmu".
CMU_BONES = {
  "root": "pelvis", "lhipjoint": "left_hip", "lfemur": "left_knee", "ltibia": "left_ankle", "lfoot": "left_foot",
  "ltoes": "left_toe", "rhipjoint": "right_hip", "rfemur": "right_knee", "rtibia": "right_ankle",
  "rfoot": "right_foot", "rtoes": "right_toe", "lowerback": "spine1", "upperback": "spine", "thorax": "thorax",
  "lowerneck": "lower_neck", "upperneck": "nose", "head": "head_top", "lclavicle": "left_shoulder",
  "lhumerus": "left_elbow", "lradius": "left_wrist", "lwrist": "left_hand", "lhand": "left_palm",
  "lfingers": "left_fingers", "lthumb": "left_thumb", "rclavicle": "right_shoulder", "rhumerus": "right_elbow",
  "rradius": "right_wrist", "rwrist": "right_hand", "rhand": "right_palm", "rfingers": "right_fingers",
  "rthumb": "right_thumb",
}  # fmt: skip


def all_names() -> tuple[str, ...]:
  """The names of the known joint sets."""
  return tuple(_SKELETONS)


def get(name: str) -> Skeleton:
  """The joint set of that name; a ValueError lists the known ones."""
  if name not in _SKELETONS:
    raise ValueError(f"unknown skeleton {name!r}; known are {', '.join(_SKELETONS)}")
  return _SKELETONS[name]


# Stand-ins for a joint that the source lacks, best first: the mean of the named ones. Peers' conversions: MotionBERT's
# and mmpose's for COCO (pelvis, spine, thorax, nose, head), VideoPose3D's lineage for MPII and MPI-INF-3DHP.
_STAND_INS: dict[str, tuple[tuple[str, ...], ...]] = {
  "pelvis": (("left_hip", "right_hip"),),
  "thorax": (("neck",), ("left_shoulder", "right_shoulder")),
  "neck": (("thorax",), ("left_shoulder", "right_shoulder")),
  "spine": (
    ("spine2",),
    ("pelvis", "neck"),
    ("left_hip", "right_hip", "left_shoulder", "right_shoulder"),
  ),
  "nose": (("head",), ("upper_neck",)),
  "head": (("nose",),),
  "upper_neck": (("nose",), ("head",)),
  "head_top": (("left_eye", "right_eye"),),
}


@dataclasses.dataclass(frozen=True)
class JointMap:
  """Joints of `target` from joints of `source`: target = matrix @ source.

  `averaged` names, for each joint that the source lacks, the joints whose mean stands in for it; `missing` names the
  joints with no stand-in, whose rows are zero and whose confidence becomes 0.
  """

  source: Skeleton
  target: Skeleton
  matrix: np.ndarray
  averaged: dict[str, tuple[str, ...]]
  missing: tuple[str, ...]

  @property
  def remarks(self) -> tuple[str, ...]:
    """A sentence for each joint that is not the source's own: what stands in for it, or that it is missing."""
    said = [f"{name} is the mean of {', '.join(used)}" for name, used in self.averaged.items() if len(used) > 1]
    said += [f"{name} is {self.source.name}'s {used[0]}" for name, used in self.averaged.items() if len(used) == 1]
    said = [s + ", which lie well below it" * (s.startswith("head_top") and "eye" in s) for s in said]
    return (*said, *(f"{name} is missing" for name in self.missing))

  def __call__(self, joints: np.ndarray) -> np.ndarray:
    """Maps joints [..., J_source, C] to [..., J_target, C]; missing joints are 0.

    Integers become float32, since joints are averaged. NaN in a source joint stays in the joints made of it.
    """
    if joints.shape[-2] != self.source.num_joints:
      raise ValueError(
        f"joints have shape {joints.shape}; {self.source.name!r} has {self.source.num_joints} joints on axis -2"
      )
    joints = np.asarray(joints)
    dtype = joints.dtype if np.issubdtype(joints.dtype, np.floating) else np.dtype(np.float32)
    mapped = np.zeros((*joints.shape[:-2], self.target.num_joints, joints.shape[-1]), dtype)
    for row, weights in enumerate(self.matrix.astype(dtype)):  # not a matrix product: 0 times NaN is NaN
      for at in np.flatnonzero(weights):
        mapped[..., row, :] += weights[at] * joints[..., at, :]
    return mapped

  def confidence(self, confidence: np.ndarray) -> np.ndarray:
    """Maps confidence [..., J_source] to [..., J_target]: the least of the joints averaged, 0 where missing."""
    used = self.matrix > 0
    least = np.where(used, confidence[..., None, :], np.inf).min(-1)
    return np.where(used.any(-1), least, 0).astype(confidence.dtype)


def joint_map(source: Skeleton, target: Skeleton) -> JointMap:
  """The map from one joint set to another, by joint name.

  A joint of the same name is copied; else the first stand-in that the source has is averaged; else it is missing.
  """
  matrix = np.zeros((target.num_joints, source.num_joints), np.float32)
  averaged, missing = {}, []
  for row, name in enumerate(target.names):
    candidates = ((name,), *_STAND_INS.get(name, ()))
    chosen = next((c for c in candidates if all(n in source.names for n in c)), None)
    if chosen is None:
      missing.append(name)
      continue
    for n in chosen:
      matrix[row, source.index(n)] = 1 / len(chosen)
    if chosen != (name,):
      averaged[name] = chosen
  return JointMap(source, target, matrix, averaged, tuple(missing))
