"""Safetensors files, by the format's own library; its errors name no file."""

import os
from collections.abc import Mapping

import numpy as np
import safetensors
from safetensors import numpy as tensors_of_numpy

from jaxpose import whole_file

_LONGEST_HEADER = 100_000_000  # bytes, as the library has it


def is_safetensors(path: str) -> bool:
  """Whether the file starts as one: eight bytes of header length, then a brace."""
  with open(path, "rb") as file:
    start = file.read(9)
  return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """The tensors by name. Raises ValueError, naming the file, where header and file disagree."""
  try:
    with safetensors.safe_open(path, framework="numpy") as file:
      return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  except (safetensors.SafetensorError, TypeError, ValueError) as error:
    raise ValueError(f"{os.fspath(path)}: no readable safetensors file ({error}); fetch it again") from error


def write(path: str | os.PathLike, tensors: Mapping[str, np.ndarray]) -> None:
  """Writes the tensors, whole or not at all. Raises ValueError, naming the file, where the format lacks a dtype."""
  try:
    content = tensors_of_numpy.save({name: np.ascontiguousarray(x) for name, x in tensors.items()})
  except safetensors.SafetensorError as error:
    raise ValueError(f"{os.fspath(path)}: {error}; convert the tensors first") from error
  whole_file.write(path, content)
