"""Pickles of plain data, of Python 2 and 3: containers, numbers, text and NumPy arrays, and nothing else.

A pickle is a program, and Python's own reader runs it: whoever made the file decides what happens. Data sets are passed
on as pickles nevertheless. The reader here runs none of it: see `jaxpose.formats.pickle_machine`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from jaxpose.formats import pickle_machine
from jaxpose.formats.pickle_values import Dtype, Name, brief, expect, from_bytes, plain_key, plain_shape

_CODES = re.compile(r"f[248]|[iu][1248]|b1|c8|c16|[SU]\d{1,9}")
_REFUSAL = (
  "a data file has no need of; nothing was run. It may hold dicts, lists, numbers, text and NumPy arrays; if you trust "
  "the file, load it with the program that wrote it and save these alone"
)


def load(content: bytes, name: str, *, stand_ins: Mapping[str, Callable[..., Any]] = {}) -> Any:
  """The value in a pickle of any protocol: dicts, lists, tuples, sets, numbers, text, bytes and NumPy arrays.

  An OrderedDict is a dict. Text of Python 2 is `str`, its bytes taken as Latin-1 (NumPy's own data demand that). Arrays
  hold numbers, booleans or text, or objects that are any of these. An array that repeats in the pickle is one array.

  Args:
    content: the bytes of the whole file.
    name: what errors call the file.
    stand_ins: "module.name" -> what to call in its place, with the arguments in the pickle; none for an instance
      whose class says nothing else. The instance's state, a dict, becomes its attributes, so `types.SimpleNamespace`
      stands in for any class: a sparse matrix is then its `data`, `indices`, `indptr` and `_shape`.

  Raises ValueError, naming the file, for a name that it asks for and that is none of these, for a truncated or damaged
  pickle, and for one that would unfold to more than its size.
  """
  names = {**PLAIN, **{f"{module}.object": _refuse_object for module in _BUILTINS}, **stand_ins}
  names["copy_reg._reconstructor"] = names["copyreg._reconstructor"] = _reconstructor
  return pickle_machine.run(content, name, names, refusal=_REFUSAL)


def _reconstructor(kind: Any, base: Any, state: Any) -> Any:
  """How protocols 0 and 1 make an instance of a class: only stand-ins get this far."""
  if expect(base, Name).function is not _refuse_object or state is not None or kind.text in PLAIN:
    raise ValueError(f"an instance of {expect(kind, Name).text} is not plain data")
  return expect(kind, Name).function()


def _refuse_object() -> Any:
  raise ValueError("a bare object is not plain data")


def _array(kind: Any, shape: Any, code: Any) -> np.ndarray:
  # An empty array that BUILD fills. `kind` could be a class of the file's own.
  del code
  if expect(kind, Name).text != "numpy.ndarray" or shape != (0,):
    raise ValueError(f"an array of the class {kind.text} is not plain data")
  return np.empty(0, np.uint8)


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
  # Protocol 5. A copy: the pickle could put the same bytes elsewhere, too.
  flat = from_bytes(expect(data, bytes | bytearray), expect(dtype, Dtype), plain_shape(shape))
  if order not in ("C", "F"):
    raise ValueError("an array is malformed: its order is neither C nor F")
  return flat.reshape(shape, order=order).copy(order="K")


def _dtype(code: Any, *rest: Any) -> Dtype:
  del rest  # align, copy
  if isinstance(code, str) and code in ("O", "O4", "O8"):
    return Dtype("O")
  if not isinstance(code, str) or not _CODES.fullmatch(code):
    raise ValueError(f"a NumPy dtype {brief(code)} is not plain data")
  return Dtype(code)


def _scalar(dtype: Any, data: Any) -> np.generic:
  if isinstance(data, str):  # Python 2
    data = data.encode("latin1")
  if expect(dtype, Dtype).code[0] in "SU" and not data:
    return np.str_("") if dtype.code[0] == "U" else np.bytes_(b"")
  return from_bytes(expect(data, bytes), dtype, ())[0]


def _encode(text: Any, codec: Any = "latin1") -> bytes:
  # How Python 3 writes bytes for protocol 2.
  if codec not in ("latin1", "latin-1"):
    raise ValueError("bytes in another code than Latin-1 are not plain data")
  return expect(text, str).encode("latin1")


def _bytearray(data: Any = b"", *codec: Any) -> bytearray:
  return bytearray(_encode(data, *codec) if isinstance(data, str) else expect(data, bytes))


def _bytes(*arguments: Any) -> bytes:
  if arguments:
    raise ValueError("bytes that are made of something else are not plain data")
  return b""


def _dict(items: Iterable = ()) -> dict:
  return {plain_key(key): value for key, value in expect(items, list | tuple)}


def _set(items: Iterable = ()) -> set:
  return set(map(plain_key, expect(items, list | tuple)))


def _complex(real: Any, imaginary: Any) -> complex:
  return complex(expect(real, float), expect(imaginary, float))


def _not_called(*arguments: Any) -> Any:
  raise ValueError("the class of arrays is called, which no data does")


_BUILTINS = ("__builtin__", "builtins")  # Python 2 and 3
_NUMPY = ("numpy.core", "numpy._core")  # before and since 2.0

# What plain data needs: name in the pickle -> what is done for it.
PLAIN: dict[str, Callable[..., Any]] = {
  "collections.OrderedDict": _dict,
  "_codecs.encode": _encode,
  "numpy.dtype": _dtype,
  "numpy.ndarray": _not_called,
  **{f"{module}.multiarray._reconstruct": _array for module in _NUMPY},
  **{f"{module}.multiarray.scalar": _scalar for module in _NUMPY},
  **{f"{module}.numeric._frombuffer": _from_buffer for module in _NUMPY},
  **{f"{module}.set": _set for module in _BUILTINS},
  **{f"{module}.frozenset": lambda items=(): frozenset(_set(items)) for module in _BUILTINS},
  **{f"{module}.bytearray": _bytearray for module in _BUILTINS},
  **{f"{module}.bytes": _bytes for module in _BUILTINS},
  **{f"{module}.complex": _complex for module in _BUILTINS},
}
