"""NumPy's .npz archives, without its pickle reader: arrays of objects are read by `jaxpose.formats.pickles`."""

import io
import math
import os
import tokenize
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy

from jaxpose.formats import pickles, zip_file
from jaxpose.formats.pickle_values import sound

LIMIT = 16 * 2**30  # bytes, of the arrays that are read together


def read(path: str | os.PathLike, keys: Sequence[str] | None = None, *, limit: int = LIMIT) -> dict[str, Any]:
  """The arrays by name, or those in `keys`; for an array of objects without axes, as a dict is stored, the object.

  Raises ValueError, naming the file, if a key is missing, the file is truncated, damaged or no .npz, an array's size is
  not what its header says or together exceeds `limit` bytes, and for objects that `pickles.load` refuses.
  """
  with open(path, "rb") as file:
    return _read(file, os.path.getsize(path), os.fspath(path), keys, limit)


def parse(content: bytes, where: str, keys: Sequence[str] | None = None, *, limit: int = LIMIT) -> dict[str, Any]:
  """The arrays in a file's bytes, as `read` has them; `where` names the file in errors."""
  return _read(io.BytesIO(content), len(content), where, keys, limit)


def _read(file: Any, size: int, where: str, keys: Sequence[str] | None, limit: int) -> dict[str, Any]:
  message = f"{where}: no .npz archive, or a damaged or truncated one; get it again"
  with zip_file.damage(where, lambda: message), zip_file.open_archive(file, where) as archive:
    entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(entries) != len(archive.infolist()):
      raise ValueError(f"{where}: a name appears twice; get it again")
    missing = sorted(set(keys or ()) - set(entries))
    if missing:
      raise ValueError(f"{where}: it has no {missing}; it holds {sorted(entries)}")
    wanted = {key: entries[key] for key in (entries if keys is None else keys)}
    _check_sizes(wanted, where, size, limit)
    return {key: array(archive.read(info), f"{where}, array {key!r}") for key, info in wanted.items()}


def _check_sizes(entries: dict[str, zipfile.ZipInfo], where: str, file_size: int, limit: int) -> None:
  total = sum(info.file_size for info in entries.values())
  if total > limit:
    raise ValueError(f"{where}: its arrays have {total} bytes, beyond the limit of {limit}; raise it if that is right")
  for key, info in entries.items():
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
      raise ValueError(f"{where}: array {key!r} is encrypted, or compressed in a way that NumPy does not use")
    # Deflate saves at most a factor of 1032.
    if info.file_size > 1032 * info.compress_size + 1000 or info.compress_size > file_size:
      raise ValueError(
        f"{where}: array {key!r} claims {info.file_size} bytes in {info.compress_size}; the file is damaged"
      )


def array(content: bytes, where: str) -> Any:
  """The array in the bytes of a .npy file, as `read` has those of an archive; `where` names the file in errors."""
  file = io.BytesIO(content)
  try:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
      raise ValueError(f"version {version} of the format is unknown")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read_header(file)
  except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
    raise ValueError(f"{where}: its header is damaged ({error})") from error
  if not all(type(n) is int and 0 <= n < 2**62 for n in shape) or len(shape) > 32:
    raise ValueError(f"{where}: {shape} is no shape")
  data = content[file.tell() :]
  if dtype.hasobject:
    return _objects(data, shape, dtype, where)
  if math.prod(shape) * dtype.itemsize != len(data) or not dtype.itemsize and math.prod(shape):
    raise ValueError(f"{where}: shape {shape} and dtype {dtype} do not fit its {len(data)} bytes; get the file again")
  try:
    flat = sound(np.frombuffer(data, dtype) if data else np.zeros(0, dtype))
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from error
  return flat.reshape(shape, order="F" if fortran else "C").copy(order="K")


def _objects(data: bytes, shape: tuple[int, ...], dtype: np.dtype, where: str) -> Any:
  held = pickles.load(data, where)
  if not isinstance(held, np.ndarray) or held.shape != shape or not held.dtype == dtype == np.dtype("O"):
    raise ValueError(f"{where}: its objects are not what its header says; get the file again")
  return held if shape else held[()]
