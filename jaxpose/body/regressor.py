"""Human3.6M's 17 joints from the vertices of a body model: the regressor file, and which way round its rows are.

Two files circulate with the same numbers. `J_regressor_h36m.npy` (HMR, SPIN, VIBE) has the left leg in rows 1 to 3 and
the right leg in rows 4 to 6; `J_regressor_h36m_correct.npy` (Pose2Mesh, MotionBERT) has Human3.6M's own order, right
leg first. Nothing in a file says which it is, and the wrong one swaps a person's legs: so the body decides.
"""

import os
from typing import NamedTuple

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.body import skinning
from jaxpose.body.model import BODY_JOINTS, BodyModel
from jaxpose.formats import npz

H36M = skeletons.get("h36m_17")
_LEFT_LEG_FIRST = (0, 4, 5, 6, 1, 2, 3, *range(7, 17))  # h36m_17 from the rows of SPIN's file
# The limbs' joints have a counterpart of the same name in the body model, a few centimetres away.
_LIMBS = tuple(n for n in H36M.names if n in BODY_JOINTS and n.startswith(("left_", "right_")))


class Regressor(NamedTuple):
  """matrix [17, V] in the order of h36m_17; `note` says what was done to the file's rows, "" for nothing."""

  matrix: np.ndarray
  note: str


def load(path: str | os.PathLike, model: BodyModel) -> Regressor:
  """The regressor of a `.npy` file [17, V] for a model of V vertices, its rows brought into the order of h36m_17.

  Raises ValueError that names the file: for another shape, and for rows that are in neither of the known orders.
  """
  name = os.fspath(path)
  matrix = npz.read_array(path)
  if not isinstance(matrix, np.ndarray) or not np.issubdtype(matrix.dtype, np.floating):
    raise ValueError(f"{name} holds no array of floats; expected a .npy file [17, vertices]")
  return ordered(matrix, model, name)


def ordered(matrix: np.ndarray, model: BodyModel, name: str = "regressor") -> Regressor:
  """`load` of an array: the side and place of each row is read off the joints that it gives on the rest pose."""
  vertices = len(model.template)
  if matrix.shape != (H36M.num_joints, vertices):
    raise ValueError(
      f"{name} has shape {matrix.shape}, expected [{H36M.num_joints}, {vertices}]: the {model.name} model has "
      f"{vertices} vertices, and a regressor belongs to one mesh (J_regressor_h36m.npy to SMPL and SMPL+H, 6890)"
    )
  sums = matrix.sum(1)
  if not np.isfinite(matrix).all() or np.abs(sums - 1).max() > 0.01:
    raise ValueError(f"{name}: the rows of a regressor sum to 1, these to {sums.min():.4g} to {sums.max():.4g}")
  for rows, note in (
    (tuple(range(17)), ""),
    (_LEFT_LEG_FIRST, "rows 1 to 6 of the regressor had the left leg first and were exchanged"),
  ):
    candidate = np.asarray(matrix, np.float64)[list(rows)]
    wrong = _misplaced(candidate, model)
    if not wrong:
      return Regressor(candidate.astype(model.template.dtype), note)
  wrong = _misplaced(np.asarray(matrix, np.float64), model)
  listed = ", ".join(f"row {H36M.index(n)} gives the {nearest}, not the {n}" for n, nearest in wrong.items())
  raise ValueError(
    f"{name}: the rows are neither in Human3.6M's order nor in it with the left leg first: on the rest pose {listed}"
  )


def _misplaced(matrix: np.ndarray, model: BodyModel) -> dict[str, str]:
  """{limb joint: the body model's joint that its row is nearest to}, where that is another one."""
  joints = matrix @ np.asarray(model.template, np.float64)
  body = np.stack([np.asarray(model.rest_joints, np.float64)[BODY_JOINTS.index(n)] for n in _LIMBS])
  wrong = {}
  for name in _LIMBS:
    nearest = _LIMBS[np.linalg.norm(body - joints[H36M.index(name)], axis=-1).argmin()]
    if nearest != name:
      wrong[name] = nearest
  return wrong


def restrict(model: BodyModel, regressor: Regressor) -> tuple[BodyModel, np.ndarray]:
  """The model and the matrix cut down to the vertices that the regressor looks at: the same joints from less work."""
  used = np.flatnonzero((regressor.matrix != 0).any(0))
  return skinning.keep(model, used), np.ascontiguousarray(regressor.matrix[:, used])
