"""MATLAB's .mat files of version 7.3: HDF5 with MATLAB's classes as attributes, axes reversed, cells as references.

HDF5 can do far more than MATLAB writes: links into other files, data kept elsewhere, filters loaded as plug-ins. All of
that is refused before it is opened.
"""

import io
import math
import os
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from jaxpose.formats.matlab5 import arrange, rows

_DEEPEST = 64
_BEST_RATIO = 1032  # deflate saves at most this factor
_FILTERS = (h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32)


def read(source: str | os.PathLike | io.BytesIO, where: str, keys: Sequence[str] | None, limit: int) -> dict[str, Any]:
  """The variables of a file, at a path or in memory, as `matlab.read` says; `where` names it in errors."""
  size = source.getbuffer().nbytes if isinstance(source, io.BytesIO) else os.path.getsize(source)
  found: dict[str, Any] = {}
  at = ""
  try:
    with h5py.File(source, "r") as file:
      reader = _Reader(file, size, limit)
      names = [name for name in file if not name.startswith("#")]  # "#refs#": what cells refer to
      missing = sorted(set(keys or ()) - set(names))
      if missing:
        raise ValueError(f"it has no variables {missing}; it holds {sorted(names)}")
      for at in names if keys is None else keys:
        found[at] = reader.member(file, at, 0)
  except Exception as error:  # h5py raises whatever HDF5's own error happens to map to
    variable = f", variable {at!r}" if at else ""
    raise ValueError(f"{where}{variable}: {error or 'damaged'}; if it should be right, get the file again") from error
  return found


class _Reader:
  """What is left of the limits, while values are read."""

  def __init__(self, file: h5py.File, size: int, limit: int):
    self.file, self.size, self.left = file, size, limit
    self.visits = size // 8 + 100  # a reference has eight bytes; a file that needs more walks in circles

  def member(self, group: h5py.Group, name: str, depth: int) -> Any:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
      raise ValueError(f"{name!r} is a link to somewhere else, which MATLAB does not write")
    return self.value(group[name], depth)

  def value(self, item: Any, depth: int) -> Any:
    self.visits -= 1
    if depth > _DEEPEST or self.visits < 0:
      raise ValueError(f"cells or structs hold themselves, or are nested more than {_DEEPEST} deep; no data is")
    kind = _matlab_class(item)
    if isinstance(item, h5py.Group):
      return self._struct(item, kind, depth)
    if not isinstance(item, h5py.Dataset):
      raise ValueError(f"a {type(item).__name__} where a value belongs")
    if kind == "function_handle" or "MATLAB_object_decode" in item.attrs:
      raise ValueError(f"{item.name} is an object or a function, which is not read; name the others in `keys`")
    if "MATLAB_empty" in item.attrs and item.attrs["MATLAB_empty"]:
      return self._empty(item, kind)
    data = self.array(item)
    if data.dtype == object:
      return arrange([self.reference(r, depth) for r in data.ravel(order="F")], data.shape)
    if kind == "char":
      text = np.ascontiguousarray(data.ravel(order="F"), np.uint16).astype("<u2").tobytes().decode("utf-16-le")
      return rows(text, data.shape)
    return data.astype(bool) if kind == "logical" else data

  def reference(self, reference: h5py.Reference, depth: int) -> Any:
    if not reference:
      raise ValueError("a cell refers to nothing; the file is damaged")
    return self.value(self.file[reference], depth + 1)

  def _struct(self, group: h5py.Group, kind: str, depth: int) -> Any:
    if kind not in ("struct", "") or "MATLAB_sparse" in group.attrs:
      raise ValueError(f"{group.name} is a sparse matrix or an object, which is not read; name the others in `keys`")
    names = list(group)
    fields = [group[name] for name in names if isinstance(group.get(name, getlink=True), h5py.HardLink)]
    # The fields of a struct array are references without a class of their own; a cell has the class "cell".
    if fields and len(fields) == len(names) and all(_is_references(f) and not _matlab_class(f) for f in fields):
      columns = [self.array(field) for field in fields]
      shape = columns[0].shape
      if any(column.shape != shape for column in columns):
        raise ValueError(f"the fields of the struct array {group.name} differ in shape; the file is damaged")
      flat = [[self.reference(r, depth) for r in column.ravel(order="F")] for column in columns]
      structs = [dict(zip(names, values)) for values in zip(*flat)]
      return structs[0] if len(structs) == 1 else arrange(structs, shape)
    return {name: self.member(group, name, depth + 1) for name in names}

  def _empty(self, item: h5py.Dataset, kind: str) -> Any:
    shape = tuple(int(n) for n in self.array(item).ravel(order="F"))  # the data are the shape
    if len(shape) > 32 or not all(0 <= n < 2**31 for n in shape) or math.prod(shape):
      raise ValueError(f"{item.name} should be empty, but has the shape {shape}; the file is damaged")
    if kind in ("cell", "struct"):
      return []
    return "" if kind == "char" else np.zeros(shape, bool if kind == "logical" else _dtype(kind))

  def array(self, item: h5py.Dataset) -> np.ndarray:
    """The dataset with MATLAB's axes, once its size and its storage are found to be sound."""
    storage = _check_storage(item)
    if item.shape is None or item.nbytes > self.left:
      raise ValueError(f"{item.name}, of shape {item.shape}, has more bytes than the limit; raise it if that is right")
    if storage > self.size or item.nbytes > _BEST_RATIO * storage:
      raise ValueError(f"{item.name}, of shape {item.shape}, has {storage} bytes of data; it is truncated or damaged")
    self.left -= item.nbytes
    data = item[()]
    if data.dtype.names == ("real", "imag"):
      data = data["real"] + 1j * data["imag"]
    return np.asarray(data).T


def _check_storage(item: h5py.Dataset) -> int:
  """The bytes that hold the data; ValueError for storage that MATLAB does not use, and for missing parts."""
  plist = item.id.get_create_plist()
  filters = [plist.get_filter(i)[0] for i in range(plist.get_nfilters())]
  dtype = item.dtype
  plain = dtype.kind in "biuf" or _is_references(item) or dtype.names == ("real", "imag")
  if not plain or item.is_virtual or plist.get_external_count() or not set(filters) <= set(_FILTERS):
    raise ValueError(f"{item.name} (dtype {dtype}) is stored in a way that MATLAB does not use; it is not read")
  storage = item.id.get_storage_size()
  if item.chunks is None:
    if storage != item.nbytes:
      raise ValueError(f"{item.name} has {storage} of {item.nbytes} bytes; the file is truncated or damaged")
  elif item.id.get_num_chunks() != math.prod(-(-n // c) for n, c in zip(item.shape, item.chunks)):
    raise ValueError(f"{item.name} lacks some of its data; the file is truncated or damaged")
  return storage


def _is_references(item: Any) -> bool:
  return isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is h5py.Reference


def _matlab_class(item: Any) -> str:
  name = item.attrs.get("MATLAB_class", b"")
  return name.decode("latin1") if isinstance(name, bytes) else str(name)


def _dtype(kind: str) -> np.dtype:
  known = {"double": "f8", "single": "f4", "": "f8", "canonical empty": "f8"}
  if kind not in known and kind not in ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"):
    raise ValueError(f"the class {kind!r} is not read; name the others in `keys`")
  return np.dtype(known.get(kind, kind))
