"""NumPy's .npz archives, without its pickle reader: arrays of objects are read by `jaxpose.formats.pickles`."""

import functools
import io
import math
import os
import tokenize
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib import format as npy

from jaxpose.formats import pickles, zip_file
from jaxpose.formats.pickle_values import sound

LIMIT = 16 * 2**30  # bytes, of the arrays that are read together


def read(
  path: str | os.PathLike | bytes, keys: Sequence[str] | None = None, *, where: str = "", limit: int = LIMIT
) -> dict[str, Any]:
  """The arrays by name, or those in `keys`; for an array of objects without axes, as a dict is stored, the object.

  path: of the file, or its bytes. where: names the file in errors; its path when empty. Raises ValueError if a key is
  missing, the file is truncated, damaged or no .npz, an array's size is not what its header says or together exceeds
  `limit` bytes, and for objects that `pickles.load` refuses.
  """
  opened, size = (io.BytesIO(path), len(path)) if isinstance(path, bytes) else (os.fspath(path), os.path.getsize(path))
  where = where or str(opened)
  message = f"{where}: no .npz archive, or a damaged or truncated one; get it again"
  with zip_file.damage(where, lambda: message), zip_file.open_archive(opened, where) as archive:
    entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if len(entries) != len(archive.infolist()):
      raise ValueError(f"{where}: a name appears twice; get it again")
    missing = sorted(set(keys or ()) - set(entries))
    if missing:
      raise ValueError(f"{where}: it has no {missing}; it holds {sorted(entries)}")
    wanted = {key: entries[key] for key in (entries if keys is None else keys)}
    _check_sizes(wanted, where, size, limit)
    return {
      key: _array(functools.partial(archive.open, info), info.file_size, f"{where}, array {key!r}")
      for key, info in wanted.items()
    }


def names(path: str | os.PathLike, where: str = "") -> list[str]:
  """The names of the arrays in a file, none of which is read. Raises ValueError if it is no .npz or cut short."""
  where = where or os.fspath(path)
  message = f"{where}: no .npz archive, or a damaged or truncated one; get it again"
  with zip_file.damage(where, lambda: message), zip_file.open_archive(path, where) as archive:
    return [name.removesuffix(".npy") for name in archive.namelist()]


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


def read_array(path: str | os.PathLike, where: str = "") -> Any:
  """The array of a .npy file, as `read` has those of an archive; `where` names the file in errors."""
  return _array(functools.partial(open, path, "rb"), os.path.getsize(path), where or os.fspath(path))


def _array(opened: Callable[[], Any], size: int, where: str) -> Any:
  """The array in a .npy file of `size` bytes. It is opened twice: what it claims is looked at first."""
  with opened() as file:
    shape, dtype = _header(file, where)
    left = size - file.tell()
    if dtype.hasobject:
      return _objects(file.read(), shape, dtype, where)
  if math.prod(shape) * dtype.itemsize != left or not dtype.itemsize and math.prod(shape):
    raise ValueError(f"{where}: shape {shape} and dtype {dtype} do not fit its {left} bytes; get the file again")
  with opened() as file:
    array = npy.read_array(file, allow_pickle=False)
  try:
    sound(array.ravel(order="K"))
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from error
  return array


def _header(file: Any, where: str) -> tuple[tuple[int, ...], np.dtype]:
  try:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
      raise ValueError(f"version {version} of the format is unknown")
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(file)
  except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
    raise ValueError(f"{where}: its header is damaged ({error})") from error
  if not all(type(n) is int and 0 <= n < 2**62 for n in shape) or len(shape) > 32:
    raise ValueError(f"{where}: {shape} is no shape")
  return shape, dtype


def _objects(data: bytes, shape: tuple[int, ...], dtype: np.dtype, where: str) -> Any:
  value = pickles.load(data, where)
  if not isinstance(value, np.ndarray) or value.shape != shape or not value.dtype == dtype == np.dtype("O"):
    raise ValueError(f"{where}: its objects are not what its header says; get the file again")
  return value if shape else value[()]
