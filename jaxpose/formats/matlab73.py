"""MATLAB's .mat files of version 7.3, numeric arrays alone: HDF5 with MATLAB's classes as attributes, axes reversed.

HDF5 can do far more than MATLAB writes: links into other files, data kept elsewhere, filters loaded as plug-ins. All of
that is refused before it is opened; and so is a size that the storage cannot hold, or data that are not all there.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

_BEST_RATIO = 1032  # deflate saves at most this factor
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
_INTEGERS = tuple(f"{sign}int{bits}".encode() for sign in ("", "u") for bits in (8, 16, 32, 64))
_CLASSES = (b"", b"double", b"single", b"logical", *_INTEGERS)  # text is stored as numbers, too
_OTHER = {"MATLAB_empty", "MATLAB_object_decode"}  # attributes of what is stored as numbers and is none


def read(path: str | os.PathLike, where: str, keys: Sequence[str] | None, limit: int) -> dict[str, np.ndarray]:
  """The numeric variables of a file, as `matlab.read` says; `where` names it in errors."""
  arrays: dict[str, np.ndarray] = {}
  at = ""
  try:
    with h5py.File(path, "r") as file:
      names = [name for name in file if not name.startswith("#")]  # "#refs#": what cells refer to
      missing = sorted(set(keys or ()) - set(names))
      if missing:
        raise ValueError(f"it has no variables {missing}; it holds {sorted(names)}")
      for at in names if keys is None else keys:
        arrays[at] = _array(file, at, os.path.getsize(path), limit - sum(a.nbytes for a in arrays.values()))
  except Exception as error:  # h5py raises whatever HDF5's own error happens to map to
    variable = f", variable {at!r}" if at else ""
    raise ValueError(f"{where}{variable}: {error or 'damaged'}; if it should be right, get the file again") from error
  return arrays


def _array(file: h5py.File, name: str, size: int, limit: int) -> np.ndarray:
  """The variable with MATLAB's axes, once its size and its storage are found to be sound."""
  if not isinstance(file.get(name, getlink=True), h5py.HardLink):
    raise ValueError("it is a link to somewhere else, which MATLAB does not write")
  item: Any = file[name]
  numeric = isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf"
  if not numeric or item.attrs.get("MATLAB_class", b"") not in _CLASSES or item.attrs.keys() & _OTHER:
    raise ValueError("it is no array of numbers, the one thing that is read of version 7.3; save it with -v7")
  plist = item.id.get_create_plist()
  filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
  if item.is_virtual or plist.get_external_count() or not filters <= _FILTERS:
    raise ValueError("it is stored in a way that MATLAB does not use; it is not read")
  storage = item.id.get_storage_size()
  if item.shape is None or item.nbytes > limit:
    raise ValueError(f"its shape {item.shape} has more bytes than the limit; raise it if that is right")
  if storage > size or item.nbytes > _BEST_RATIO * storage or (item.chunks is None and storage != item.nbytes):
    raise ValueError(f"its shape {item.shape} needs {item.nbytes} bytes and has {storage}; the file is damaged")
  if item.chunks and item.id.get_num_chunks() != math.prod(-(-n // c) for n, c in zip(item.shape, item.chunks)):
    raise ValueError("it lacks some of its data; the file is truncated or damaged")
  data = np.asarray(item[()]).T
  return data.astype(bool) if item.attrs.get("MATLAB_class") == b"logical" else data
