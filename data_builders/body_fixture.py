"""A made-up body in the file formats of SMPL, SMPL+H and SMPL-X, and its poses that follow procedural people.

A few hundred vertices sit in rings around the places that matter: the body model's joints and Human3.6M's. Every joint
is the mean of its own ring, so regressors are exact and written down rather than fitted. It is nobody's body: no number
measured on it says anything about people.
"""

import os
import pathlib
import struct
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from jaxpose import skeleton as skeletons
from jaxpose.synthetic import motion as synthetic

H36M = skeletons.get("h36m_17")
SMPL = skeletons.get("smpl_24")
NUM_BETAS = 16

# The rest pose, metres: arms to the sides, y up, facing +z, the left at +x. Right joints are mirrored.
_MIDDLE = {
  "pelvis": (0, -0.24, 0.03), "spine1": (0, -0.12, 0.0), "spine2": (0, 0.01, 0.0), "spine3": (0, 0.07, 0.02),
  "neck": (0, 0.28, -0.02), "head": (0, 0.36, 0.02),
}  # fmt: skip
_LEFT = {
  "left_hip": (0.07, -0.33, 0.02), "left_knee": (0.1, -0.71, 0.02), "left_ankle": (0.09, -1.13, -0.02),
  "left_foot": (0.11, -1.19, 0.1), "left_collar": (0.08, 0.19, -0.01), "left_shoulder": (0.17, 0.22, -0.02),
  "left_elbow": (0.43, 0.21, -0.04), "left_wrist": (0.68, 0.22, -0.04), "left_hand": (0.77, 0.21, -0.05),
}  # fmt: skip
# Human3.6M's joints that the body model has no joint for, and the joint whose motion they follow.
_MARKS = {
  "pelvis": ((0, -0.22, 0.0), "pelvis"), "left_hip": ((0.13, -0.3, 0.01), "pelvis"),
  "spine": ((0, 0.0, -0.02), "spine2"), "thorax": ((0, 0.25, 0.0), "spine3"),
  "nose": ((0, 0.36, 0.1), "head"), "head_top": ((0, 0.5, 0.02), "head"),
}  # fmt: skip
_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
_RING = 0.03 * np.concatenate([np.eye(3), -np.eye(3)])  # six points around a place


class Body(NamedTuple):
  """arrays under the keys of a model's file, and the regressor [17, V] in the order of h36m_17."""

  arrays: dict[str, Any]
  h36m: np.ndarray


def _mirrored(point) -> tuple[float, ...]:
  return (-point[0], *point[1:])


def _tree(kind: str) -> tuple[list[str], list[int], np.ndarray]:
  """Names, parents and rest places [J, 3] of "smpl", "smplh" or "smplx"."""
  places: dict[str, Any] = {**_MIDDLE, **_LEFT, **{n.replace("left", "right"): _mirrored(p) for n, p in _LEFT.items()}}
  names = list(SMPL.names)
  parents = list(SMPL.parents)
  if kind != "smpl":
    names, parents = names[:22], parents[:22]
    if kind == "smplx":
      for name, place in (
        ("jaw", (0, 0.33, 0.06)),
        ("left_eye", (0.03, 0.42, 0.09)),
        ("right_eye", (-0.03, 0.42, 0.09)),
      ):
        places[name] = place
        names.append(name)
        parents.append(names.index("head"))
    for side, sign in (("left", 1), ("right", -1)):
      wrist = np.array(places[f"{side}_wrist"])
      for at, finger in enumerate(_FINGERS):
        for knuckle in range(3):
          places[f"{side}_{finger}{knuckle + 1}"] = wrist + (sign * (0.09 + 0.02 * knuckle), 0, 0.02 * (2 - at))
          names.append(f"{side}_{finger}{knuckle + 1}")
          parents.append(len(names) - 2 if knuckle else names.index(f"{side}_wrist"))
  return names, parents, np.array([places[n] for n in names], np.float64)


def make(kind: str = "smpl", *, gender: str = "neutral", seed: int = 0) -> Body:
  """A body of the kind "smpl" (24 joints), "smplh" (52) or "smplx" (55); each gender is a little different."""
  names, parents, joints = _tree(kind)
  joints = joints * {"female": 0.95, "male": 1.04, "neutral": 1.0}[gender]
  rng = np.random.default_rng([seed, len(names)])
  marks = {n: (np.array(p) * joints[0, 1] / _MIDDLE["pelvis"][1], follows) for n, (p, follows) in _MARKS.items()}
  marks["right_hip"] = (marks["left_hip"][0] * (-1, 1, 1), "pelvis")
  vertices, weights = [], []

  def ring(center, follows: str, share: float) -> None:
    """Six vertices that follow a joint by `share`, and its parent by the rest."""
    at = names.index(follows)
    row = np.zeros(len(names))
    row[at] += share
    row[max(parents[at], 0)] += 1 - share
    vertices.extend(center + _RING)
    weights.extend([row] * len(_RING))

  for name, joint in zip(names, joints):
    ring(joint, name, 0.5)
  for center, follows in marks.values():
    ring(center, follows, 1.0)
  for joint, parent in zip(joints[1:], parents[1:]):  # flesh, which no joint is made of
    ring((joint + joints[parent]) / 2, names[parent], 0.8)
  template = np.array(vertices)
  regressor = np.kron(np.eye(len(names), len(template) // 6), np.full((1, 6), 1 / 6))
  where = {**{n: i for i, n in enumerate(names)}, **{n: len(names) + i for i, n in enumerate(marks)}}
  h36m = np.zeros((H36M.num_joints, len(template)))
  for row, name in enumerate(H36M.names):
    h36m[row, 6 * where[name] : 6 * where[name] + 6] = 0.9999 / 6  # the published rows do not sum to 1 either
  size = rng.normal(0, 0.004, (len(template), 3, NUM_BETAS))
  size[..., 0] += 0.03 * template  # the first coefficient is stature, as in the real models
  arrays = {
    "v_template": template,
    "shapedirs": size,
    "posedirs": rng.normal(0, 0.002, (len(template), 3, 9 * (len(names) - 1))),
    "J_regressor": regressor,
    "weights": np.array(weights),
    "kintree_table": np.array([[2**32 - 1, *parents[1:]], range(len(names))], np.uint32),
    "f": np.arange(len(template) // 3 * 3, dtype=np.uint32).reshape(-1, 3),
  }
  return Body(arrays, h36m)


def write_models(folder: str | os.PathLike, kind: str, *, seed: int = 0, genders=("female", "male")) -> None:
  """Model files as they are downloaded: `basicModel_f_lbs_10_207_0_v1.0.0.pkl` of SMPL, `female/model.npz` of SMPL+H,
  `SMPLX_FEMALE.npz`; and `J_regressor_h36m.npy` beside the folder, left leg first as SPIN's file is.
  """
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  for gender in genders:
    arrays = make(kind, gender=gender, seed=seed).arrays
    if kind == "smpl":
      (folder / f"basicModel_{gender[0]}_lbs_10_207_0_v1.0.0.pkl").write_bytes(smpl_pickle(arrays))
    elif kind == "smplh":
      (folder / gender).mkdir(exist_ok=True)
      np.savez(folder / gender / "model.npz", **arrays)
    else:
      np.savez(folder / f"SMPLX_{gender.upper()}.npz", **arrays)
  left_first = make(kind, seed=seed).h36m[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]
  np.save(folder.parent / "J_regressor_h36m.npy", left_first)


def smpl_pickle(arrays: dict[str, Any]) -> bytes:
  """SMPL's own file: a Python 2 pickle whose shape directions are a chumpy object and whose regressor is sparse."""
  columns = sparse.csc_matrix(arrays["J_regressor"])
  shape = Instance("chumpy.ch", "Ch", {"x": arrays["shapedirs"][..., :10], "_dirty_vars": set(), "_itr": None})
  state = {"data": columns.data, "indices": columns.indices, "indptr": columns.indptr, "_shape": columns.shape}
  regressor = Instance("scipy.sparse.csc", "csc_matrix", {**state, "maxprint": 50})
  content = {**arrays, "shapedirs": shape, "J_regressor": regressor, "bs_style": "lbs", "bs_type": "lrotmin"}
  return python_2(content)


class Instance(NamedTuple):
  """What pickles as an instance of a class of another module, without that module."""

  module: str
  name: str
  state: dict[str, Any]


def python_2(value: Any) -> bytes:
  """`value` pickled as Python 2 does: protocol 2, text as bytes, NumPy under its old name.

  It may hold dicts, lists, sets, tuples, text, numbers, arrays of numbers, and Instances, all that the files do.
  """
  return b"\x80\x02" + _pickled(value) + b"."


def _pickled(value: Any) -> bytes:
  """The opcodes that push a value: https://github.com/python/cpython/blob/main/Lib/pickletools.py."""
  if isinstance(value, Instance):
    return _named(value.module, value.name) + b")\x81" + _pickled(value.state) + b"b"
  if value is None or isinstance(value, bool):
    return {None: b"N", True: b"\x88", False: b"\x89"}[value]
  if isinstance(value, int):
    return b"J" + struct.pack("<i", value)
  if isinstance(value, float):
    return b"G" + struct.pack(">d", value)
  if isinstance(value, str | bytes):
    raw = value.encode("latin1") if isinstance(value, str) else value
    return b"T" + struct.pack("<i", len(raw)) + raw
  if isinstance(value, dict):
    return b"}(" + b"".join(_pickled(k) + _pickled(v) for k, v in value.items()) + b"u"
  if isinstance(value, list):
    return b"](" + b"".join(map(_pickled, value)) + b"e"
  if isinstance(value, tuple):
    return b"(" + b"".join(map(_pickled, value)) + b"t"
  if isinstance(value, set):
    return _named("__builtin__", "set") + _pickled((list(value),)) + b"R"
  if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
    code = _named("numpy", "dtype") + _pickled((value.dtype.str[1:], 0, 1)) + b"R"
    code += _pickled((3, value.dtype.str[0], None, None, None, -1, -1, 0)) + b"b"
    empty = _named("numpy.core.multiarray", "_reconstruct")
    empty += b"(" + _named("numpy", "ndarray") + _pickled((0,)) + _pickled("b") + b"tR"
    return (
      empty + b"(" + _pickled(1) + _pickled(value.shape) + code + _pickled(False) + _pickled(value.tobytes()) + b"tb"
    )
  raise TypeError(f"no Python 2 pickle of a {type(value).__name__} is written here")


def _named(module: str, name: str) -> bytes:
  return f"c{module}\n{name}\n".encode()


def follow(positions: np.ndarray, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """(pose [T, 24, 3] axis-angle, pelvis [T, 3]) that turn a SMPL body along a person's h36m_17 joints [T, 17, 3].

  Not inverse kinematics of any accuracy: trunk and head turn as wholes, and each limb's bone is swung along its own.
  joints: the body's rest joints [24 or more, 3].
  """
  at = {n: positions[:, H36M.index(n)].astype(np.float64) for n in H36M.names}
  rest = {n: joints[i] for i, n in enumerate(SMPL.names[:22])}
  turned = {n: np.broadcast_to(np.eye(3), (len(positions), 3, 3)) for n in SMPL.names}
  turned["pelvis"] = _frame(at["left_hip"] - at["right_hip"], at["spine"] - at["pelvis"])
  chest = _frame(at["left_shoulder"] - at["right_shoulder"], at["thorax"] - at["spine"])
  for name in ("spine1", "spine2"):
    turned[name] = turned["pelvis"]
  for name in ("spine3", "neck", "head", "left_collar", "right_collar"):
    turned[name] = chest
  for side in ("left", "right"):
    for names, above in ((("hip", "knee", "ankle"), "pelvis"), (("shoulder", "elbow", "wrist"), f"{side}_collar")):
      parent = turned[above]
      for name, end in zip(names, names[1:]):
        name, end = f"{side}_{name}", f"{side}_{end}"
        now = at[end] - at[name]
        parent = turned[name] = _swing(parent @ (rest[end] - rest[name]), now) @ parent
      ends = {"ankle": ("ankle", "foot"), "wrist": ("wrist", "hand")}[names[-1]]
      for name in ends:
        turned[f"{side}_{name}"] = parent
  pose = np.empty((len(positions), SMPL.num_joints, 3))
  for joint, parent in enumerate(SMPL.parents):
    joint_rotation = turned[SMPL.names[joint]]
    local = joint_rotation if parent < 0 else turned[SMPL.names[parent]].swapaxes(-1, -2) @ joint_rotation
    pose[:, joint] = Rotation.from_matrix(local).as_rotvec()
  return pose, at["pelvis"]


def rest_joints(body: Body, betas: np.ndarray) -> np.ndarray:
  """Rest joints [J, 3] of a body of that shape; betas [at most NUM_BETAS]."""
  shaped = body.arrays["v_template"] + body.arrays["shapedirs"][..., : len(betas)] @ betas
  return body.arrays["J_regressor"] @ shaped


def forward(pose: np.ndarray, rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Rotations [T, 24, 3, 3] and places [T, 24, 3] of SMPL's joints in the root's axes, from pose [T, 24, 3]."""
  turned = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(*pose.shape, 3)
  places = np.broadcast_to(rest[:24], pose.shape).copy()
  for joint, parent in enumerate(SMPL.parents[1:], 1):
    turned[:, joint] = turned[:, parent] @ turned[:, joint]
    places[:, joint] = places[:, parent] + turned[:, parent] @ (rest[joint] - rest[parent])
  return turned, places


def people(count: int, frames: int, *, seed: int = 0) -> list[np.ndarray]:
  """Joints h36m_17 [T, 17, 3] of procedural people, metres, y up."""
  return [m.positions_world for m in synthetic.motions("train", count, seed=seed, frames=frames)]


def _unit(vector: np.ndarray) -> np.ndarray:
  return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def _frame(left: np.ndarray, up: np.ndarray) -> np.ndarray:
  """Rotations [T, 3, 3] whose columns are left, up and forward."""
  y = _unit(up)
  z = _unit(np.cross(left, y))
  return np.stack([np.cross(y, z), y, z], -1)


def _swing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """The least rotations [T, 3, 3] that turn directions a into b."""
  a, b = _unit(a), _unit(b)
  axis = np.cross(a, b)
  angle = np.arctan2(np.linalg.norm(axis, axis=-1), (a * b).sum(-1))
  return Rotation.from_rotvec(_unit(axis) * angle[:, None]).as_matrix()
