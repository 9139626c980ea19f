"""Body models and the Human3.6M regressor, as builders find and use them: one of each gender, joints of a sequence."""

import os
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.body import model as models
from jaxpose.body import regressor as regressors
from jaxpose.body import skinning

FOLDER, REGRESSOR = "body_models", "J_regressor_h36m.npy"  # looked for in the folder of raw files


class Bodies(NamedTuple):
  """{gender: (model, regressor)}, each cut down to the vertices that the regressor uses; what was noted on reading."""

  by_gender: dict[str, tuple[models.BodyModel, np.ndarray]]
  notes: list[str]


def load(
  folder: str | os.PathLike | None,
  body_models: str | os.PathLike | None,
  regressor: str | os.PathLike | None,
  *,
  joints: tuple[int, ...],
  without: str,
) -> Bodies:
  """The models in `body_models` and the `regressor`; by default both are looked for in the folder of raw files.

  joints: how many the data set's poses have. `without` says, in the error, what one can do without these files.
  Raises FileNotFoundError where one is not there, ValueError for files that cannot be read or do not fit.
  """
  models_at = _located(body_models, folder, FOLDER, "body_models", without)
  regressor_at = _located(regressor, folder, REGRESSOR, "regressor", without)
  by_gender, notes = {}, []
  for gender, path in models.find(models_at).items():
    whole = models.load(path)
    if whole.num_joints not in joints:
      raise ValueError(
        f"{path} is a {whole.name} model of {whole.num_joints} joints; the data set's poses are of "
        f"{' or '.join(map(str, joints))}, and shapes do not carry over from one kind of model to another"
      )
    ordered = regressors.load(regressor_at, whole)
    by_gender[gender] = jax.tree.map(jnp.asarray, regressors.restrict(whole, ordered))
    if ordered.note:
      notes.append(f"{gender}: {ordered.note}")
  return Bodies(by_gender, notes)


def h36m_joints(bodies: Bodies, gender: str, pose: np.ndarray, betas: np.ndarray, translation: np.ndarray, name: str):
  """World joints h36m_17 [T, 17, 3], float64 metres, of SMPL parameters: pose [T, 3 J] or [T, J, 3], betas [any].

  Betas that the model has no direction for are left out, and missing ones are 0. Raises FileNotFoundError for a gender
  without a model, and ValueError that names the file for a pose of another kind of model.
  """
  if gender not in bodies.by_gender:
    raise FileNotFoundError(
      f"{name} is of a {gender} body, for which there is no model; there is {', '.join(bodies.by_gender)}"
    )
  model, matrix = bodies.by_gender[gender]
  pose = np.asarray(pose, np.float64).reshape(len(pose), -1)
  if pose.shape[1] != 3 * model.num_joints:
    raise ValueError(f"{name}: poses of {pose.shape[1]} numbers; the {model.name} model has {3 * model.num_joints}")
  known = np.zeros(model.num_betas, np.float32)
  known[: min(len(betas), model.num_betas)] = betas[: model.num_betas]
  still = np.zeros((len(pose), 3), np.float32)
  joints = skinning.regress(model, matrix, pose.reshape(len(pose), -1, 3).astype(np.float32), known, still)
  return joints.astype(np.float64) + np.asarray(translation, np.float64)[:, None]


def _located(given, folder, name: str, option: str, without: str) -> pathlib.Path:
  """The path given as an option, else `name` in the folder of raw files."""
  if given is not None:
    path = pathlib.Path(given)
    if not path.exists():
      raise FileNotFoundError(f"{option}={os.fspath(given)!r} does not exist")
    return path
  if folder is not None and (pathlib.Path(folder) / name).exists():
    return pathlib.Path(folder) / name
  raise FileNotFoundError(
    f"joints of the mesh need {'body model files' if option == 'body_models' else 'the Human3.6M joint regressor'}: "
    f"put {name} into the folder of raw files or give --option={option}=PATH (README.md says where they come from); "
    f"{without}"
  )
