"""What values a pickle may hold: names, dtypes and arrays under construction, keys, and trees that end.

`jaxpose.formats.pickle_machine` makes them, `jaxpose.formats.pickles` says for which names.
"""

import reprlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

_DEEPEST = 100  # containers in one another
_ATOMS = (str, int, float, complex, bytes, type(None), np.generic)  # bool is an int


class Name:
  """A name that the pickle mentions and that the caller's table knows. It is never looked up anywhere else."""

  def __init__(self, text: str, function: Callable[..., Any]):
    self.text, self.function = text, function


class Dtype:
  """A NumPy dtype under construction: code as "f8", byte order "<" or ">"."""

  def __init__(self, code: str, order: str = "<"):
    self.code, self.order = code, order


def brief(value: Any) -> str:
  """A value in an error message: short, however large or deep it is."""
  return reprlib.repr(value)


def plain_shape(shape: Any) -> tuple[int, ...]:
  """A pickle's value as an array's shape."""
  if not isinstance(shape, tuple) or len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**62 for n in shape):
    raise ValueError(f"{brief(shape)} is no shape of an array")
  return shape


def plain_key(key: Any) -> Any:
  """A key of a dict or member of a set: text or a number, or a tuple of these. Hashing a deeper one may never end."""
  if not isinstance(key, _ATOMS) and not (isinstance(key, tuple) and all(isinstance(k, _ATOMS) for k in key)):
    raise TypeError(f"a {type(key).__name__} where text or a number belongs")
  return key


def expect(value: Any, kind: Any) -> Any:
  """The value, if it is of this kind; TypeError if not."""
  if not isinstance(value, kind):
    raise TypeError(f"a {type(value).__name__} where {getattr(kind, '__name__', kind)} belongs")
  return value


def build_dtype(dtype: Dtype, state: tuple) -> None:
  if state[2:5] != (None, None, None):
    raise ValueError("a NumPy dtype with fields is not plain data")
  dtype.order = {"<": "<", "|": "<", ">": ">"}[expect(state[1], str)]


def build_array(array: np.ndarray, state: tuple) -> int:
  version, shape, dtype, fortran, data = state
  shape, code = plain_shape(shape), expect(dtype, Dtype)
  if version != 1 or array.size:  # an array is set once, or what was laid over its numbers would lose them
    raise ValueError("a NumPy array is malformed")
  count = _count(shape)
  if code.code == "O":
    if len(expect(data, list)) != count:
      raise ValueError(f"an array of shape {brief(shape)} has {len(data)} values; the file is damaged")
    _fill(array, shape, np.dtype(object), fortran, list(data))
    return 8 * count
  if isinstance(data, str):  # Python 2
    data = data.encode("latin1")
  numbers = from_bytes(expect(data, bytes), code, shape)
  _fill(array, shape, numbers.dtype, fortran, bytes(data))
  return len(data)


def _fill(array: Any, shape: tuple[int, ...], dtype: np.dtype, fortran: Any, data: Any) -> None:
  array.__setstate__((1, shape, dtype, bool(fortran), data))


def from_bytes(data: bytes | bytearray, dtype: Dtype, shape: tuple[int, ...]) -> np.ndarray:
  """The numbers in `data`, which must be exactly as many as the shape says, flat, over the same memory."""
  kind = np.dtype(dtype.order + dtype.code)
  count = _count(shape)
  if kind.hasobject or kind.itemsize * count != len(data) or (not kind.itemsize and count):
    raise ValueError(
      f"an array of shape {brief(shape)} and dtype {dtype.code} does not fit its {len(data)} bytes; the file is damaged"
    )
  return sound(np.frombuffer(data, kind) if data else np.zeros(0, kind))


def sound(flat: np.ndarray) -> np.ndarray:
  """The array [n], or ValueError if bytes of it are no boolean or no character; NumPy itself trusts them."""
  if flat.dtype.kind == "U" and flat.dtype.itemsize:
    codes = flat.view(np.dtype("u4").newbyteorder(flat.dtype.byteorder))
    if codes.size and codes.max() > sys.maxunicode:
      raise ValueError("an array of text holds what is no text; the file is damaged")
  if flat.dtype.kind == "b" and flat.size and flat.view(np.uint8).max() > 1:
    raise ValueError("an array of booleans holds other values; the file is damaged")
  return flat


def _count(shape: tuple[int, ...]) -> int:
  count = 1
  for n in shape:
    count *= n
  return count


def _children(value: Any) -> Iterable[Any]:
  if isinstance(value, dict):
    return value.values()
  if isinstance(value, list | tuple | set | frozenset):
    return value
  if isinstance(value, np.ndarray):
    return value.ravel() if value.dtype.hasobject else ()
  if isinstance(value, Name | Dtype):
    raise ValueError(f"a bare {value.text if isinstance(value, Name) else 'dtype'} is no data")
  return getattr(value, "__dict__", {}).values()  # a stand-in


def check_tree(root: Any, limit: int) -> None:
  """Raises ValueError for a value that whoever walks it could not finish: deep, endless, or repeated without bound."""
  sizes: dict[int, int] = {}  # id -> leaves below, counted as often as they are reached
  path: list[tuple[Any, Any]] = [(root, iter(_children(root)))]
  open_ids, counts = {id(root)}, [1]
  while path:
    node, rest = path[-1]
    for child in rest:
      if isinstance(child, _ATOMS):
        counts[-1] += 1
      elif id(child) in sizes:
        counts[-1] += sizes[id(child)]
      else:
        if id(child) in open_ids or len(path) >= _DEEPEST:
          raise ValueError(f"its value holds itself, or is nested more than {_DEEPEST} deep; no data is")
        path.append((child, iter(_children(child))))
        open_ids.add(id(child))
        counts.append(1)
        break
    else:
      path.pop()
      open_ids.discard(id(node))
      sizes[id(node)] = counts.pop()
      if sizes[id(node)] > max(limit, 1000):
        raise ValueError("its value repeats its parts until it outgrows the file; no data does")
      if counts:
        counts[-1] += sizes[id(node)]
