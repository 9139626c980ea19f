"""Reader and writer of safetensors files: a JSON header of names, dtypes, shapes and byte ranges, then the numbers.

https://github.com/huggingface/safetensors describes the format. Everything the header says is checked against the file.
"""

import json
import os
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from jaxpose import whole_file

_DTYPES = {
  "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": jnp.bfloat16, "I64": np.int64, "I32": np.int32,
  "I16": np.int16, "I8": np.int8, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # bytes, as the format's own library has it


def is_safetensors(path: str) -> bool:
  """Whether the file starts as one: eight bytes of header length, then a brace."""
  with open(path, "rb") as file:
    start = file.read(9)
  return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER


def read(path: str) -> dict[str, np.ndarray]:
  """The tensors by name, read-only. Raises ValueError, naming file and tensor, where header and file disagree."""
  with open(path, "rb") as file:
    length = int.from_bytes(file.read(8), "little")
    if length > min(_LONGEST_HEADER, os.path.getsize(path) - 8):
      raise ValueError(f"{path}: its header should have {length} bytes, more than the file holds; fetch the file again")
    try:
      header = json.loads(file.read(length), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
      raise ValueError(f"{path}: its header is no JSON object of tensors: {error}") from error
    data = np.frombuffer(file.read(), np.uint8)
  header.pop("__metadata__", None)
  tensors, end = {}, 0
  for name, entry in sorted(header.items(), key=lambda item: _range(path, *item)):
    begin, stop = _range(path, name, entry)
    if begin != end or stop > data.size:
      raise ValueError(
        f"{path}: tensor {name!r} lies at bytes {begin} to {stop} of {data.size}, expected it to start at {end}; the "
        "file is truncated or its header is wrong"
      )
    tensors[name], end = _tensor(path, name, entry, data[begin:stop]), stop
  if end != data.size:
    raise ValueError(f"{path}: {data.size - end} bytes after the last tensor belong to none")
  return tensors


def write(path: str | os.PathLike, tensors: Mapping[str, np.ndarray]) -> None:
  """Writes the tensors in the order of their names, whole or not at all; the same bytes for the same tensors.

  Raises ValueError for a dtype that the format has not.
  """
  kinds = {np.dtype(dtype): kind for kind, dtype in _DTYPES.items()}
  header, parts, end = {}, [], 0
  for name, tensor in sorted(tensors.items()):
    if tensor.dtype not in kinds:
      raise ValueError(f"{path}: tensor {name!r} is of {tensor.dtype}; known are {', '.join(map(str, kinds))}")
    parts.append(np.ascontiguousarray(tensor).tobytes())
    offsets = [end, end + len(parts[-1])]
    header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
    end = offsets[1]
  text = json.dumps(header, separators=(",", ":")).encode()
  text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
  whole_file.write(path, len(text).to_bytes(8, "little") + text + b"".join(parts))


def _unique(pairs: list) -> dict:
  found = dict(pairs)
  if len(found) != len(pairs):
    raise ValueError("a name appears twice")
  return found


def _range(path: str, name: str, entry: object) -> tuple[int, int]:
  offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
  if not isinstance(offsets, list) or len(offsets) != 2 or not _naturals(offsets) or offsets[0] > offsets[1]:
    raise ValueError(f"{path}: tensor {name!r} has data_offsets {offsets}, expected two ascending byte positions")
  return offsets[0], offsets[1]


def _tensor(path: str, name: str, entry: dict, data: np.ndarray) -> np.ndarray:
  shape, kind = entry.get("shape"), entry.get("dtype")
  if kind not in _DTYPES or not isinstance(shape, list) or not _naturals(shape):
    raise ValueError(f"{path}: tensor {name!r} has dtype {kind!r} and shape {shape}; known are {', '.join(_DTYPES)}")
  dtype = np.dtype(_DTYPES[kind])
  count = dtype.itemsize
  for n in shape:
    count *= n
  if count != data.size:
    raise ValueError(f"{path}: tensor {name!r}, {kind} of shape {shape}, needs {count} bytes and has {data.size}")
  return data.view(dtype).reshape(shape)


def _naturals(values: list) -> bool:
  return all(type(n) is int and n >= 0 for n in values)
