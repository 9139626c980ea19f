"""Which joint set a file's keypoints are: by their names, by their number, or by where they lie."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from jaxpose import skeleton as skeletons
from jaxpose.skeleton import Skeleton

# Sets by count. Of 133 (COCO-WholeBody) and 136 (Halpe) the body comes first, then face and hands.
BY_COUNT: dict[int, tuple[str, ...]] = {
  14: ("lsp_14",),
  16: ("h36m_16", "mpii_16"),
  17: ("coco_17", "h36m_17", "mpi_inf_3dhp_17"),
  18: ("openpose_18",),
  24: ("smpl_24",),
  25: ("body_25",),
  26: ("halpe_26",),
  28: ("mpi_inf_3dhp_28",),
  33: ("mediapipe_33",),
  133: ("coco_17",),
  136: ("halpe_26",),
}
LIMBS = tuple(
  f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
)
# What others call a joint of a set, where the name means something else elsewhere.
_ELSEWHERE: dict[str, dict[str, str]] = {
  "halpe_26": {"head": "head_top"},
  "h36m_17": {"right_foot": "right_ankle", "left_foot": "left_ankle", "neck_base": "nose", "head": "head_top"},
}
_ALIASES = {"hip": "pelvis", "mid_hip": "pelvis", "root": "pelvis", "headtop": "head_top", "top_head": "head_top"}


def canonical(name: str) -> str:
  """Our name of a joint that others write as RShoulder, LEFT_SHOULDER, "right shoulder", mouth_left, MidHip."""
  name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", re.sub(r"^([LR])(?=[A-Z][a-z])", r"\1_", name.strip()))
  name = re.sub(r"[\s\-_.()]+", "_", name).strip("_").lower()
  name = re.sub(r"^([lr])_", lambda m: {"l": "left_", "r": "right_"}[m.group(1)], name)
  name = re.sub(r"^(\w+)_(left|right)$", r"\2_\1", name)
  return _ALIASES.get(name, name)


def by_count(count: int, where: str) -> Skeleton:
  """The one joint set of that many joints. Raises ValueError, listing sets by count, if there is none or several."""
  names = BY_COUNT.get(count, ())
  if len(names) == 1:
    return skeletons.get(names[0])
  listed = ", ".join(f"{n} ({' '.join(s)})" for n, s in BY_COUNT.items())
  if names:
    raise ValueError(f"{where}: {count} joints are {' or '.join(names)}; say which by --skeleton=NAME")
  raise ValueError(
    f"{where}: no joint set of {count} joints is known; known are {listed}. Name the joints by --joints=theirs=ours"
  )


def named(name: str, count: int, where: str) -> Skeleton:
  """The joint set of --skeleton=NAME, which `count` joints begin with. Raises ValueError if they are fewer."""
  skeleton = skeletons.get(name)
  if skeleton.num_joints > count:
    raise ValueError(f"{where}: {count} joints, but --skeleton={name} has {skeleton.num_joints}")
  return skeleton


def guess(keypoints: Float[np.ndarray, "D K 2"], where: str) -> tuple[Skeleton, str]:
  """The joint set of keypoints without names, and a note that says how it was told.

  Of 17 joints by geometry, in the median of the frames: in h36m_17 joint 0 is the mean of the hips 1 and 4 and joint
  7 lies between it and the thorax 8; in mpi_inf_3dhp_17 joint 14 that of 8 and 11, and 15 between it and 1; in coco_17
  the first five lie together in the face. Raises ValueError where none or several hold, and for other counts without
  one set.
  """
  count = keypoints.shape[-2]
  if count != 17:
    skeleton = by_count(count, where)
    rest = f", the first {skeleton.num_joints} of {count}: face and hands are left out" * (count != skeleton.num_joints)
    return skeleton, f"{skeleton.name} by the number of joints{rest}"
  holds = {
    "coco_17": _is_coco(keypoints),
    "h36m_17": _is_trunk(keypoints, 0, (1, 4), 7, 8),
    "mpi_inf_3dhp_17": _is_trunk(keypoints, 14, (8, 11), 15, 1),
  }
  names = [name for name, true in holds.items() if true]
  if len(names) != 1:
    raise ValueError(
      f"{where}: 17 joints without names, which could be coco_17, h36m_17 or mpi_inf_3dhp_17, and where they lie fits "
      f"{' and '.join(names) or 'none of them'}; say which by --skeleton=NAME"
    )
  return skeletons.get(names[0]), f"{names[0]} by where the joints lie; --skeleton= overrules it"


def _median(values: np.ndarray) -> float:
  finite = values[np.isfinite(values)]
  return float(np.median(finite)) if len(finite) else float("inf")


def _is_trunk(k: np.ndarray, pelvis: int, hips: tuple[int, int], spine: int, thorax: int) -> bool:
  trunk = np.maximum(np.linalg.norm(k[:, thorax] - k[:, pelvis], axis=-1), 1e-9)
  off_hips = np.linalg.norm(k[:, pelvis] - k[:, list(hips)].mean(1), axis=-1) / trunk
  off_line = np.linalg.norm(k[:, spine] - (k[:, pelvis] + k[:, thorax]) / 2, axis=-1) / trunk
  return _median(off_hips) < 0.12 and _median(off_line) < 0.3


def _is_coco(k: np.ndarray) -> bool:
  trunk = np.maximum(np.linalg.norm(k[:, [5, 6]].mean(1) - k[:, [11, 12]].mean(1), axis=-1), 1e-9)
  face = np.linalg.norm(k[:, :5] - k[:, :5].mean(1, keepdims=True), axis=-1).max(-1) / trunk
  neck = np.linalg.norm(k[:, 0] - k[:, [5, 6]].mean(1), axis=-1) / trunk
  return _median(face) < 0.35 and _median(neck) < 1.2


def from_names(
  names: Sequence[str], where: str, renames: Mapping[str, str] | None = None
) -> tuple[Skeleton, list[int], tuple[str, ...]]:
  """The joint set of named keypoints, the indices of its joints among them, and notes.

  renames: {theirs: ours}. The largest known set all of whose joints are there; else the joints whose names are known,
  as a set of their own, which needs the twelve joints of the limbs. Raises ValueError for renames of joints that are
  not there or to none of ours, and for names that say too little.
  """
  renames = dict(renames or {})
  known = {name for s in skeletons.all_names() for name in skeletons.get(s).names}
  for theirs, ours in renames.items():
    if theirs not in names:
      raise ValueError(f"{where} has no joint {theirs!r} of --joints={theirs}={ours}; it has {', '.join(names)}")
    if ours not in known:
      raise ValueError(f"--joints={theirs}={ours}: {ours!r} is none of our joints: {', '.join(sorted(known))}")
  plain = [renames.get(name, canonical(name)) for name in names]
  for name in sorted(skeletons.all_names(), key=lambda s: -skeletons.get(s).num_joints):
    candidate, other = skeletons.get(name), _ELSEWHERE.get(name, {})
    called = [renames.get(theirs, other.get(ours, ours)) for theirs, ours in zip(names, plain)]
    if set(candidate.names) <= set(called):
      left = len(names) - candidate.num_joints
      notes = (f"{left} joints beyond {name} are left out",) if left else ()
      return candidate, [called.index(joint) for joint in candidate.names], notes
  ours = [name for name in dict.fromkeys(plain) if name in known]
  absent = [limb for limb in LIMBS if limb not in ours]
  if absent:
    example = next((n for n, p in zip(names, plain) if p not in known), names[0] if names else "hand")
    raise ValueError(
      f"{where}: among its joints {', '.join(names)} there is no {', '.join(absent)}; rename them by "
      f"--joints=theirs=ours, as --joints={example}={absent[0]}"
    )
  unknown = [name for name, p in zip(names, plain) if p not in known]
  notes = (f"the joints {', '.join(unknown)} are none of ours and are left out",) if unknown else ()
  parents = (-1, *([0] * (len(ours) - 1)))
  return Skeleton("named", tuple(ours), parents), [plain.index(name) for name in ours], notes
