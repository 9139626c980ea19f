"""Trained runs as two small files, weights.safetensors and run.json; those that are shipped, by name.

README.md says what they were trained on and what they reach.
"""

import json
import os
import pathlib
from typing import Any

import jax
import numpy as np

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
  tensors = {_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(trained.variables)}
  described = {**experiment.describe(trained), "step": trained.step}
  safetensors_file.write(folder / _WEIGHTS, tensors)
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
  tensors = safetensors_file.read(os.fspath(folder / _WEIGHTS))

  def restore(shapes: Any) -> dict:
    wanted = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
      raise ValueError(f"{folder / _WEIGHTS} holds the weights of another model than {_RUN} describes")
    return jax.tree_util.tree_map_with_path(lambda path, _: tensors[_name(path)], shapes)

  return experiment.assemble(described, step, restore)


def _name(path: Any) -> str:
  return "/".join(str(getattr(key, "key", key)) for key in path)
