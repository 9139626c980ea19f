"""Trained runs as two small files, weights.safetensors and run.json; those that are shipped, by name.

README.md says what they were trained on and what they reach.
"""

import json
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from jaxpose import experiment, safetensors_file, whole_file
from jaxpose.experiment import Trained

FOLDER = pathlib.Path(__file__).parent
NAMES = tuple(sorted(path.parent.name for path in FOLDER.glob("*/run.json")))
_WEIGHTS, _RUN = "weights.safetensors", "run.json"


def are_in(folder: str | os.PathLike) -> bool:
  """Whether a folder holds a run as `write` left it."""
  return (pathlib.Path(folder) / _RUN).exists()


def write(folder: str | os.PathLike, trained: Trained) -> int:
  """Writes a run, without its optimizer, and returns the bytes that this takes."""
  folder = pathlib.Path(folder)
  described = {**experiment.describe(trained), "step": trained.step}
  safetensors_file.write(folder / _WEIGHTS, named(trained.variables))
  whole_file.write(folder / _RUN, (json.dumps(described, indent=1) + "\n").encode())
  return sum((folder / name).stat().st_size for name in (_WEIGHTS, _RUN))


def read(folder: str | os.PathLike) -> Trained:
  """The run that `write` wrote. Raises OSError if it is not there, ValueError for a damaged one."""
  folder = pathlib.Path(folder)
  try:
    described = json.loads((folder / _RUN).read_text(encoding="utf-8"))
    step = int(described["step"])
  except (ValueError, KeyError, TypeError) as error:
    raise ValueError(f"{folder / _RUN} describes no run ({error}); write it again by jaxpose export_weights") from error
  return experiment.assemble(described, step, restoring(folder / _WEIGHTS))


def restoring(path: str | os.PathLike, partial: bool = False) -> Callable[[Any], dict]:
  """restore(variables by shape) -> the variables in a file, for `experiment.assemble`; a ValueError if they differ.

  partial: parts of the model may be missing, and are then left out.
  """
  tensors = safetensors_file.read(path)

  def restore(shapes: Any) -> dict:
    wanted = {name: leaf.shape for name, leaf in _leaves(shapes)}
    if partial:
      parts = {_part(name) for name in tensors}
      wanted = {name: shape for name, shape in wanted.items() if _part(name) in parts}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
      raise ValueError(f"{os.fspath(path)} holds the weights of another model than the file beside it describes")
    return nested(tensors)

  return restore


def named(variables: Any) -> dict[str, np.ndarray]:
  """The leaves by their paths, as "params/trunk/stem/kernel"."""
  return {name: np.asarray(leaf) for name, leaf in _leaves(variables)}


def nested(tensors: Mapping[str, Any]) -> dict[str, Any]:
  """The variables of named leaves: the inverse of `named`."""
  return traverse_util.unflatten_dict(dict(tensors), sep="/")


def _leaves(variables: Any) -> list[tuple[str, Any]]:
  leaves = jax.tree_util.tree_leaves_with_path(variables)
  return [("/".join(str(getattr(key, "key", key)) for key in path), leaf) for path, leaf in leaves]


def _part(name: str) -> str:
  return "/".join(name.split("/")[:2])  # of a collection
