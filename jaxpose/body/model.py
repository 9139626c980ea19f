"""The body model: what SMPL, SMPL+H and SMPL-X have in common, and their files.

All three are one function with other sizes (24, 52 and 55 joints; 6890, 6890 and 10475 vertices): Loper et al. 2015,
"SMPL: A Skinned Multi-Person Linear Model"; Romero et al. 2017; Pavlakos et al. 2019. The files need a licence and are
never part of this library.
"""

import dataclasses
import functools
import os
import pathlib
import re
import types
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from jaxpose import skeleton as skeletons
from jaxpose.formats import npz, pickles

AnyArray = Array | np.ndarray

NUM_BETAS = 16  # AMASS fits 16, 3DPW 10; files hold up to 400, and those after the first 16 are never used here
_NAMES = {24: "SMPL", 52: "SMPL+H", 55: "SMPL-X"}
_REQUIRED = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
# All three models share their first 22 joints, by SMPL's names; the rest are hands and face.
BODY_JOINTS = skeletons.get("smpl_24").names[:22]
GENDERS = ("female", "male", "neutral")
_LARGEST = 10**8  # numbers in a dense matrix: twenty times a model's largest
_GENDER_WORDS = {"f": "female", "female": "female", "m": "male", "male": "male", "neutral": "neutral"}


@functools.partial(
  jax.tree_util.register_dataclass,
  data_fields=["template", "shape_dirs", "pose_dirs", "rest_joints", "rest_joint_dirs", "weights"],
  meta_fields=["name", "parents"],
)
@dataclasses.dataclass(frozen=True)
class BodyModel:
  """A body model of V vertices, J joints and B shape coefficients; a pytree whose `parents` are static.

  Rest joints are linear in shape, so the file's joint regressor is applied once, on loading: a model keeps its joints
  when it is cut down to some of its vertices.
  """

  template: Float[AnyArray, "V 3"]  # metres, arms to the sides, y up, facing +z: the person's left is +x
  shape_dirs: Float[AnyArray, "V 3 B"]
  pose_dirs: Float[AnyArray, "V 3 P"]  # P = 9 (J - 1): row-major R - I of every joint but the root
  rest_joints: Float[AnyArray, "J 3"]  # of the template
  rest_joint_dirs: Float[AnyArray, "J 3 B"]
  weights: Float[AnyArray, "V J"]  # skinning weights, rows sum to 1
  name: str
  parents: tuple[int, ...]  # -1 at the root; a parent comes before its children

  @property
  def num_joints(self) -> int:
    return len(self.parents)

  @property
  def num_betas(self) -> int:
    return self.shape_dirs.shape[-1]


def from_arrays(arrays: Mapping[str, Any], name: str, dtype=np.float32) -> BodyModel:
  """A BodyModel of a file's arrays, under the files' own keys; `name` is used in errors.

  The first NUM_BETAS shape directions are kept. Raises ValueError that names what is missing or does not fit.
  """
  missing = [key for key in _REQUIRED if key not in arrays]
  if missing:
    raise ValueError(
      f"{name} lacks {', '.join(missing)}: it is no SMPL, SMPL+H or SMPL-X model (it has {', '.join(sorted(arrays))})"
    )
  # In one memory order: a product's last digit depends on it, and a sparse matrix comes in another than a dense one.
  float64 = {key: np.ascontiguousarray(_dense(arrays[key], f"{name}: {key}")) for key in _REQUIRED[:-1]}
  for key, axes in zip(float64, (2, 3, 3, 2, 2)):
    if float64[key].ndim != axes:
      raise ValueError(f"{name}: {key} has shape {float64[key].shape}, expected {axes} axes")
  template, shape_dirs, pose_dirs, regressor, weights = float64.values()
  parents = _parents(arrays["kintree_table"], name)
  vertices, joints = len(template), len(parents)
  expected = {
    "v_template": (vertices, 3),
    "shapedirs": (vertices, 3, shape_dirs.shape[-1]),
    "posedirs": (vertices, 3, 9 * (joints - 1)),
    "J_regressor": (joints, vertices),
    "weights": (vertices, joints),
  }
  for key, shape in expected.items():
    if float64[key].shape != shape:
      raise ValueError(
        f"{name}: {key} has shape {float64[key].shape}, expected {shape} for {vertices} vertices and {joints} joints"
      )
    if not np.isfinite(float64[key]).all():
      raise ValueError(f"{name}: {key} holds NaN or infinity; get the file again")
  if np.abs(weights.sum(1) - 1).max() > 1e-3:
    raise ValueError(f"{name}: the skinning weights of vertex {np.abs(weights.sum(1) - 1).argmax()} do not sum to 1")
  shape_dirs = shape_dirs[..., :NUM_BETAS]
  leaves = dict(
    template=template,
    shape_dirs=shape_dirs,
    pose_dirs=pose_dirs,
    rest_joints=regressor @ template,
    rest_joint_dirs=np.tensordot(regressor, shape_dirs, 1),
    weights=weights,
  )
  return BodyModel(
    **{key: np.ascontiguousarray(leaf, dtype) for key, leaf in leaves.items()},
    name=_NAMES.get(joints, f"{joints}-joint model"),
    parents=parents,
  )


def load(path: str | os.PathLike, dtype=np.float32) -> BodyModel:
  """The model in a `.npz` (SMPL+H, SMPL-X) or `.pkl` file (SMPL's own, Python 2 with chumpy and scipy objects).

  Nothing in the file is executed: chumpy and scipy are not imported, plain containers stand in for their objects.
  Raises ValueError that names the file.
  """
  path = pathlib.Path(path)
  if path.suffix == ".npz":
    arrays = npz.read(path, _REQUIRED)
  elif path.suffix == ".pkl":
    arrays = pickles.load(path.read_bytes(), os.fspath(path), stand_ins=_STAND_INS)
    if not isinstance(arrays, Mapping):
      raise ValueError(f"{path} holds a {type(arrays).__name__}, expected the dict of a body model")
  else:
    raise ValueError(f"{path} is no body model: expected a .npz or .pkl file")
  return from_arrays(arrays, os.fspath(path), dtype)


def find(folder: str | os.PathLike) -> dict[str, pathlib.Path]:
  """{gender: file} of the models below a folder, by the words of their paths: female/model.npz, SMPLH_MALE.npz,
  basicModel_f_lbs_10_207_0_v1.0.0.pkl.

  Raises FileNotFoundError if there is none, ValueError if a gender has several: give one model's own folder then.
  """
  root = pathlib.Path(folder)
  models: dict[str, pathlib.Path] = {}
  for path in sorted(p for suffix in ("*.npz", "*.pkl") for p in root.rglob(suffix)):
    if path.name.startswith("._"):  # macOS adds one to each
      continue
    words = re.findall(r"[a-z]+", path.relative_to(root).with_suffix("").as_posix().lower())
    genders = {_GENDER_WORDS[w] for w in words if w in _GENDER_WORDS}
    if len(genders) != 1:
      continue
    (gender,) = genders
    if gender in models:
      raise ValueError(
        f"{models[gender]} and {path} are both a {gender} model; give the folder of one kind of model alone"
      )
    models[gender] = path
  if not models:
    raise FileNotFoundError(
      f"no body model in {os.fspath(folder)!r}; expected files such as female/model.npz, SMPLH_MALE.npz or "
      "basicModel_f_lbs_10_207_0_v1.0.0.pkl"
    )
  return models


class _Chumpy(types.SimpleNamespace):
  """A pickled chumpy.ch.Ch (its value is `x`) or chumpy.reordering.Select (the elements `idxs` of `a`)."""


class _Columns(types.SimpleNamespace):
  """A pickled scipy matrix in compressed columns."""


class _Rows(types.SimpleNamespace):
  """A pickled scipy matrix in compressed rows."""


_STAND_INS: dict[str, Any] = {
  "chumpy.ch.Ch": _Chumpy,
  "chumpy.reordering.Select": _Chumpy,
  **{f"scipy.sparse.{module}.csc_matrix": _Columns for module in ("csc", "_csc")},
  **{f"scipy.sparse.{module}.csr_matrix": _Rows for module in ("csr", "_csr")},
}


def _dense(value: Any, what: str) -> np.ndarray:
  """A numeric array in float64 of what a model file holds for it."""
  try:
    if isinstance(value, _Columns | _Rows):
      return _from_compressed(value)
    if isinstance(value, _Chumpy) and hasattr(value, "idxs"):
      return _dense(value.a, what).ravel()[np.asarray(value.idxs)].reshape(value.preferred_shape)
    return np.asarray(value.x if isinstance(value, _Chumpy) else value, np.float64)
  except (AttributeError, IndexError, TypeError, ValueError) as error:
    raise ValueError(f"{what} is no array that this reader knows: {error}") from None


def _from_compressed(matrix: _Columns | _Rows) -> np.ndarray:
  """The dense matrix of compressed columns or rows. Written out: scipy trusts the indices of a file."""
  shape = tuple(int(n) for n in (matrix._shape if hasattr(matrix, "_shape") else matrix.shape))
  if isinstance(matrix, _Columns):
    shape = shape[::-1]
  data, indices, starts = (np.asarray(x) for x in (matrix.data, matrix.indices, matrix.indptr))
  counts = np.diff(starts)
  if len(shape) != 2 or len(counts) != shape[0] or (counts < 0).any() or not counts.sum() == len(data) == len(indices):
    raise ValueError("the sparse matrix is damaged")
  if (indices < 0).any() or (indices >= shape[1]).any():
    raise ValueError(f"the sparse matrix has an index outside its {shape[1]}")
  if shape[0] * shape[1] > _LARGEST:
    raise ValueError(f"the sparse matrix claims {shape[0]} by {shape[1]} numbers")
  dense = np.zeros(shape)
  np.add.at(dense, (np.repeat(np.arange(shape[0]), counts), indices), data)
  return dense.T if isinstance(matrix, _Columns) else dense


def _parents(table: Any, name: str) -> tuple[int, ...]:
  """The parents of a kinematic table [2, J]: the root's own is written as 2^32 - 1."""
  table = np.asarray(table)
  if table.ndim != 2 or table.shape[0] != 2 or table.shape[1] < 2:
    raise ValueError(f"{name}: kintree_table has shape {table.shape}, expected [2, joints]")
  parents = (-1, *(int(p) for p in table[0, 1:]))
  for joint, parent in enumerate(parents[1:], 1):
    if not 0 <= parent < joint:
      raise ValueError(f"{name}: kintree_table gives joint {joint} the parent {parent}; parents come before children")
  return parents
