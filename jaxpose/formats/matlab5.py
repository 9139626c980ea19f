"""MATLAB's .mat files of version 5 to 7.2: elements within elements, each with its type and size, perhaps compressed.

"MAT-File Format" (The MathWorks), chapter 1, describes them. Every size is checked against the bytes that are there.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {16: "utf-8", 17: "utf-16", 18: "utf-32", 1: "latin1", 2: "latin1", 3: "utf-16", 4: "utf-16"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_NO_DATA = {3: "an object", 5: "a sparse matrix", 16: "a function handle", 17: "an object"}
_LOGICAL, _COMPLEX = 0x200, 0x800
_DEEPEST = 64
_LONGEST_HEAD = 4096  # bytes of a variable up to its name, of at most 63 characters
_BEST_RATIO = 1032  # deflate saves at most this factor


def read(content: bytes, where: str, keys: Sequence[str] | None, limit: int) -> dict[str, Any]:
  """The variables in a file's bytes, as `matlab.read` says."""
  if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
    raise ValueError(f"{where}: not a .mat file of MATLAB 5 or later, or cut short; get the file again")
  order = "<" if content[126:128] == b"IM" else ">"
  if content[124:126] != (b"\0\1" if order == "<" else b"\1\0"):
    raise ValueError(f"{where}: its header has an unknown version; get the file again")
  variables: dict[str, Any] = {}
  position, left = 128, limit
  while position < len(content):
    start = position
    try:
      kind, data, position = _element(memoryview(content), position, order)
      name = _Matrix(_head(kind, data), order).name()
      if not name or (keys is not None and name not in keys):
        continue  # nameless: MATLAB's own workspace of function handles
      matrix = _Matrix(_inflate(data, order, left) if kind == _COMPRESSED else data, order)
      left -= len(matrix.data)
      if left < 0:
        raise ValueError(f"its variables have more than {limit} bytes; raise the limit if that is right")
      matrix.name()
      value = matrix.value(0)
    except (ValueError, zlib.error, OverflowError) as error:
      raise ValueError(f"{where}: the element at byte {start}: {error}") from error
    if name in variables:
      raise ValueError(f"{where}: the variable {name!r} appears twice")
    variables[name] = value
  missing = sorted(set(keys or ()) - set(variables))
  if missing:
    raise ValueError(f"{where}: it has no variables {missing}; get the file again or check which file it is")
  return variables


def _head(kind: int, data: memoryview) -> memoryview:
  """Enough of a variable to know its name, which may decide that the rest is not unpacked."""
  if kind == _COMPRESSED:
    unpacked = zlib.decompressobj().decompress(data, _LONGEST_HEAD)
    if unpacked[:4] not in (b"\x0e\0\0\0", b"\0\0\0\x0e"):
      raise ValueError("what is packed is no variable; the file is damaged")
    return memoryview(unpacked)[8:]
  if kind != _MATRIX:
    raise ValueError(f"type {kind} where a variable belongs; the file is damaged")
  return data


def _element(content: memoryview, position: int, order: str) -> tuple[int, memoryview, int]:
  """Type, data and end of the element at a position."""
  tag = content[position : position + 8]
  if len(tag) < 8:
    raise ValueError("it ends early; get the file again")
  kind, size = np.frombuffer(tag, order + "u4").tolist()
  if kind >> 16:  # up to four bytes are within the tag
    kind, size = kind & 0xFFFF, kind >> 16
    if size > 4:
      raise ValueError("a short element is longer than four bytes; the file is damaged")
    return kind, tag[4 : 4 + size], position + 8
  start = position + 8
  end = start + size
  if end > len(content):
    raise ValueError(f"an element of {size} bytes has {len(content) - start}; the file is truncated or damaged")
  if kind != _COMPRESSED:
    position = end + -size % 8
  else:
    position = end
  return kind, content[start:end], position


def _inflate(data: memoryview, order: str, limit: int) -> memoryview:
  """The data of a packed variable; it says how long they are."""
  inflater = zlib.decompressobj()
  size = int(np.frombuffer(inflater.decompress(data, 8), order + "u4")[1])
  if size > min(limit, _BEST_RATIO * len(data)):
    raise ValueError(f"{len(data)} bytes should unpack to {size}, beyond the limit or the possible; it is damaged")
  # More bytes than the size, to reach the checksum; zeros may fill it up to a multiple of eight.
  unpacked = inflater.decompress(inflater.unconsumed_tail, size + 8)
  if not inflater.eof or len(unpacked) < size or any(unpacked[size:]):
    raise ValueError(f"a packed variable does not unpack to its {size} bytes; the file is truncated or damaged")
  return memoryview(unpacked)[:size]


class _Matrix:
  """A variable, a cell or a field: its elements are read one after the other."""

  def __init__(self, data: memoryview, order: str):
    self.data, self.order, self.position = data, order, 0
    self.kind, self.flags, self.shape = 0, 0, (0, 0)
    if not len(data):  # an empty field
      self.kind = 6
      return
    flags = self._next("array flags", 6)
    if len(flags) != 8:
      raise ValueError("the array flags have a wrong size; the file is damaged")
    word = int(np.frombuffer(flags, order + "u4")[0])
    self.kind, self.flags = word & 0xFF, word
    if self.kind == 17:
      return
    dims = self._next("dimensions", 5)
    if len(dims) % 4:
      raise ValueError("the dimensions have a wrong size; the file is damaged")
    self.shape = tuple(np.frombuffer(dims, order + "i4").tolist())
    if not 2 <= len(self.shape) <= 32 or min(self.shape) < 0:
      raise ValueError(f"{self.shape} is no shape; the file is damaged")

  def _next(self, what: str, kind: int | None = None) -> memoryview:
    got, data, self.position = _element(self.data, self.position, self.order)
    if kind is not None and got != kind:
      raise ValueError(f"type {got} where the {what} belong; the file is damaged")
    self.element = got
    return data

  def name(self) -> str:
    return bytes(self._next("name", 1)).decode("latin1")

  def value(self, depth: int) -> Any:
    """The value; `name` has been read, unless there is no data at all."""
    if depth > _DEEPEST:
      raise ValueError(f"cells or structs are nested more than {_DEEPEST} deep; no data is")
    count = math.prod(self.shape)
    if not len(self.data):
      return np.zeros(self.shape)
    if self.kind in _CLASSES:
      value = self._numbers(count)
    elif self.kind == _CHAR:
      value = self._text(count)
    elif self.kind == _CELL:
      value = arrange(self._many(count, lambda: self._inner(depth)), self.shape)
    elif self.kind == _STRUCT:
      value = self._structs(count, depth)
    else:
      raise ValueError(f"{_NO_DATA.get(self.kind, f'class {self.kind}')}, which is not read; name the others in `keys`")
    if self.position < len(self.data):
      raise ValueError("data follow the value; the file is damaged")
    return value

  def _inner(self, depth: int) -> Any:
    matrix = _Matrix(self._next("cells", _MATRIX), self.order)
    if len(matrix.data):
      matrix.name()
    return matrix.value(depth + 1)

  def _many(self, count: int, read: Callable[[], Any]) -> list:
    if 8 * count > len(self.data) - self.position:  # each has a tag, at least
      raise ValueError(f"{count} cells do not fit in {len(self.data)} bytes; the file is damaged")
    return [read() for _ in range(count)]

  def _structs(self, count: int, depth: int) -> Any:
    length = self._next("length of field names", 5)
    if len(length) != 4:
      raise ValueError("the length of field names has a wrong size; the file is damaged")
    width = int(np.frombuffer(length, self.order + "i4")[0])
    text = bytes(self._next("field names", 1))
    if width <= 0 or len(text) % width:
      raise ValueError("the field names are damaged")
    names = [text[i : i + width].split(b"\0")[0].decode("latin1") for i in range(0, len(text), width)]
    if len(set(names)) != len(names) or "" in names or (count > 1 and not names):
      raise ValueError("the field names are damaged")
    structs = self._many(count if names else 0, lambda: {name: self._inner(depth) for name in names})
    if count == 1:
      return structs[0] if structs else {}
    return arrange(structs, self.shape)

  def _numbers(self, count: int) -> np.ndarray:
    kind = np.dtype(_CLASSES[self.kind])
    parts = [self._part(count) for _ in range(2 if self.flags & _COMPLEX else 1)]
    if self.flags & _LOGICAL:
      kind = np.dtype(bool)
    if len(parts) == 1:
      flat = parts[0].astype(kind)
    else:
      flat = parts[0].astype(np.complex64 if kind == np.float32 else np.complex128)
      flat.imag = parts[1]
    return flat.reshape(self.shape, order="F")

  def _part(self, count: int) -> np.ndarray:
    data = self._next("numbers")
    stored = _NUMBERS.get(self.element)
    if stored is None or len(data) != count * int(stored[1]):
      raise ValueError(f"{len(data)} bytes of type {self.element} are not the numbers of shape {self.shape}")
    return np.frombuffer(data, self.order + stored)

  def _text(self, count: int) -> str | list[str]:
    data = bytes(self._next("text"))
    codec = _TEXT.get(self.element)
    if codec is None:
      raise ValueError(f"text of type {self.element}; the file is damaged")
    ends = {"<": "-le", ">": "-be"}[self.order] if codec in ("utf-16", "utf-32") else ""
    text = data.decode(codec + ends)
    if count not in (len(text), len(text.encode("utf-16-le")) // 2):  # MATLAB counts units of 16 bits
      raise ValueError(f"{len(text)} characters are not a text of shape {self.shape}; the file is damaged")
    return rows(text, self.shape)


def arrange(items: list, shape: tuple[int, ...]) -> list:
  """MATLAB's elements, first axis fastest, as a list; as lists of rows if more than one axis is longer than 1."""
  axes = [n for n in shape if n != 1]
  if not items or len(axes) <= 1:
    return items
  array = np.empty(len(items), object)
  for i, item in enumerate(items):
    array[i] = item
  return _nested(array.reshape(axes, order="F"))


def _nested(array: np.ndarray) -> list:
  return list(array) if array.ndim == 1 else [_nested(row) for row in array]


def rows(text: str, shape: tuple[int, ...]) -> str | list[str]:
  """MATLAB's characters, first axis fastest, as text; as a list of the rows if there are several."""
  return text if shape[0] <= 1 or len(text) != math.prod(shape) else [text[i :: shape[0]] for i in range(shape[0])]
