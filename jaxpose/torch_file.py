"""PyTorch's checkpoint files, read and written as plain data: without torch, running nothing that a pickle asks for.

A file of `torch.save` (since torch 1.6) is an uncompressed zip archive: NAME/data.pkl, a pickle of protocol 2 that
refers to storages, and one NAME/data/KEY a storage, raw numbers. Python's own unpickler calls whatever importable
function the file names. The reader here never looks up a name: it is a small stack machine that knows plain values, and
a fixed table of names that it understands itself. Any other name is an error.
"""

import collections
import dataclasses
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

_DTYPES = {
  "Double": np.float64, "Float": np.float32, "Half": np.float16, "BFloat16": jnp.bfloat16, "Long": np.int64,
  "Int": np.int32, "Short": np.int16, "Char": np.int8, "Byte": np.uint8, "Bool": np.bool_,
}  # fmt: skip
_STORAGES = {f"torch.{name}Storage": np.dtype(dtype) for name, dtype in _DTYPES.items()}
# A number of NumPy's in a checkpoint, as a best error so far is; longer than its dtype and bytes nothing here is.
_NUMPY_CODES = ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1")
_LONGEST_CODE = 16


def read(path: str) -> Any:
  """The object in a torch.save file: dicts, lists, tuples, numbers and text, with a NumPy array for every tensor.

  Arrays are read-only, and bfloat16 stays bfloat16. Raises ValueError, naming the file, for one that is truncated or
  no such archive, and for a pickle that holds anything but plain data and tensors: it names the first name it refuses.
  """
  try:
    with zipfile.ZipFile(path) as archive:
      return _read_archive(archive, path)
  except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError) as error:
    raise ValueError(f"{path}: {_not_an_archive(path)} ({error})") from error


def _not_an_archive(path: str) -> str:
  with open(path, "rb") as file:
    start = file.read(4)
  if start.startswith(b"\x80"):
    return (
      "a bare pickle, as torch wrote before version 1.6; write it again with a newer torch: "
      "torch.save(torch.load(path), path)"
    )
  if start.startswith(b"PK"):
    return "a damaged or truncated archive; fetch the file again"
  return "not a file of torch.save, which is a zip archive"


def _read_archive(archive: zipfile.ZipFile, path: str) -> Any:
  entries = {info.filename: info for info in archive.infolist()}
  names = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
  if len(names) != 1:
    raise ValueError(f"{path}: a zip archive, but not of torch.save: it has no NAME/data.pkl")
  folder = names[0].removesuffix("data.pkl")
  # torch compresses nothing. Unpacked data beyond the file's own size is a bomb, or damage.
  size = os.path.getsize(path)
  if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()) or (
    sum(info.file_size for info in entries.values()) > size
  ):
    raise ValueError(f"{path}: the archive is compressed or its entries overlap; torch.save writes neither")
  if f"{folder}byteorder" in entries and archive.read(f"{folder}byteorder").strip() != b"little":
    raise ValueError(
      f"{path}: written on a big-endian machine; load and save it again with torch on a little-endian one"
    )
  storages: dict[str, np.ndarray] = {}

  def storage(key: str, dtype: np.dtype, count: int) -> _Storage:
    if key not in storages:
      info = entries.get(f"{folder}data/{key}")
      if info is None:
        raise ValueError(f"the archive has no storage {key!r}, though its pickle refers to it")
      storages[key] = np.frombuffer(archive.read(info), np.uint8)
    data = storages[key]
    if data.size != count * dtype.itemsize:
      raise ValueError(
        f"storage {key!r} has {data.size} bytes, but the pickle says {count} numbers of {dtype.name}, "
        f"{count * dtype.itemsize} bytes"
      )
    return _Storage(data.view(dtype))

  return _unpickle(archive.read(names[0]), storage, path)


@dataclasses.dataclass(frozen=True)
class _Name:
  """A name that the pickle mentions, and that `_CALLS` or `_STORAGES` understands. Never looked up anywhere else."""

  text: str


@dataclasses.dataclass(frozen=True)
class _Storage:
  """Numbers [n]. A type of its own: a tensor laid over another tensor instead of a storage could leave its memory."""

  numbers: np.ndarray


@dataclasses.dataclass
class _Dtype:
  """A NumPy dtype under construction."""

  code: str
  order: str = "<"


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> np.ndarray:
  del rest  # requires_grad, hooks, metadata
  integers = (offset, *size, *stride)
  if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in integers):
    raise ValueError(f"a tensor of size {size}, stride {stride} and offset {offset} is malformed")
  numbers = storage.numbers
  last = offset + sum((n - 1) * s for n, s in zip(size, stride))
  count = int(np.prod([int(n) for n in size], dtype=object)) if size else 1
  if len(size) != len(stride) or (count and last >= numbers.size) or count > numbers.size:
    raise ValueError(f"a tensor of size {size}, stride {stride} and offset {offset} leaves its {numbers.size} numbers")
  if not count:
    return np.zeros(size, numbers.dtype)
  steps = [n * numbers.itemsize for n in stride]
  return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _dtype(code: Any, *rest: Any) -> _Dtype:
  del rest  # align, copy
  if code not in _NUMPY_CODES:
    raise ValueError(f"a NumPy number of dtype {code!r} is not plain data")
  return _Dtype(code)


def _scalar(dtype: Any, data: Any) -> Any:
  if not isinstance(dtype, _Dtype) or not isinstance(data, bytes):
    raise ValueError("a NumPy number is malformed")
  return np.frombuffer(data, np.dtype(dtype.order + dtype.code), count=1)[0].item()


def _encode(text: Any, codec: Any) -> bytes:
  # How protocol 2 writes bytes; bounded, since a pickle could ask for the same text many times over.
  if not isinstance(text, str) or codec != "latin1" or len(text) > _LONGEST_CODE:
    raise ValueError("bytes that are no NumPy number are not plain data")
  return text.encode("latin1")


def _empty() -> dict:
  return {}  # `dict` itself would take items, with keys of any kind


_CALLS: dict[str, Callable[..., Any]] = {
  "torch._utils._rebuild_tensor_v2": _tensor,
  "torch._utils._rebuild_parameter": lambda tensor, *rest: tensor,
  "torch.Size": tuple,
  "collections.OrderedDict": _empty,
  "numpy.dtype": _dtype,
  "numpy.core.multiarray.scalar": _scalar,
  "numpy._core.multiarray.scalar": _scalar,
  "_codecs.encode": _encode,
}

_CONSTANTS: dict[str, Callable[[], Any]] = {
  "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict, "EMPTY_LIST": list,
  "EMPTY_TUPLE": tuple,
}  # fmt: skip
_VALUES = (
  "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
  "SHORT_BINBYTES",
)  # fmt: skip


class _Stack(list):
  """The machine's values, and where its marks are."""

  def __init__(self):
    super().__init__()
    self.marks: list[int] = []

  def pop_to_mark(self) -> list:
    start = self.marks.pop()
    items = self[start:]
    del self[start:]
    return items


def _unpickle(data: bytes, storage: Callable[[str, np.dtype, int], _Storage], path: str) -> Any:
  """Runs the pickle on the stack machine; every failure is a ValueError that names the file."""
  stack, memo, at = _Stack(), {}, 0
  try:
    for opcode, argument, position in pickletools.genops(data):
      at = position or 0
      if opcode.name == "STOP":
        return stack.pop()
      _step(opcode.name, argument, stack, memo, storage)
  except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
    raise ValueError(f"{path}: its pickle is malformed at byte {at}: {error!r}") from error
  except ValueError as error:
    raise ValueError(f"{path}: {error} (byte {at} of its pickle)") from error
  raise ValueError(f"{path}: its pickle ends early")


def _step(opcode: str, argument: Any, stack: _Stack, memo: dict, storage: Callable[[str, np.dtype, int], _Storage]):
  match opcode:
    case "PROTO" | "FRAME":
      pass
    case _ if opcode in _VALUES:
      stack.append(argument)
    case _ if opcode in _CONSTANTS:
      stack.append(_CONSTANTS[opcode]())
    case "MARK":
      stack.marks.append(len(stack))
    case "TUPLE":
      stack.append(tuple(stack.pop_to_mark()))
    case "TUPLE1" | "TUPLE2" | "TUPLE3":
      items = [stack.pop() for _ in range(int(opcode[-1]))]
      stack.append(tuple(items[::-1]))
    case "BINPUT" | "LONG_BINPUT":
      memo[argument] = stack[-1]
    case "MEMOIZE":
      memo[len(memo)] = stack[-1]
    case "BINGET" | "LONG_BINGET":
      stack.append(memo[argument])
    case "APPEND" | "APPENDS":
      items = [stack.pop()] if opcode == "APPEND" else stack.pop_to_mark()
      _expect(stack[-1], list).extend(items)
    case "SETITEM" | "SETITEMS":
      items = [stack.pop(-2), stack.pop()] if opcode == "SETITEM" else stack.pop_to_mark()
      for key, value in zip(items[::2], items[1::2]):
        _expect(stack[-1], dict)[_expect(key, str | int)] = value
    case "GLOBAL":
      stack.append(_known(".".join(argument.split(" ", 1))))
    case "STACK_GLOBAL":
      name = stack.pop()
      stack.append(_known(f"{stack.pop()}.{name}"))
    case "BINPERSID":
      kind, dtype, key, _, count = stack.pop()
      if kind != "storage" or not isinstance(dtype, _Name) or dtype.text not in _STORAGES:
        raise ValueError(f"a reference to {kind!r} is no tensor storage")
      stack.append(storage(_expect(key, str), _STORAGES[dtype.text], _expect(count, int)))
    case "REDUCE":
      arguments, function = _expect(stack.pop(), tuple), _expect(stack.pop(), _Name)
      stack.append(_CALLS[function.text](*arguments))
    case "BUILD":
      state = stack.pop()
      if isinstance(stack[-1], _Dtype):
        stack[-1].order = {"<": "<", "|": "<", ">": ">"}[state[1]]
      else:
        _expect(stack[-1], dict)  # attributes of a state dict: the versions of its modules, of no use here
    case _:
      raise ValueError(f"the pickle uses {opcode}, which torch.save does not; nothing was run")


def _known(name: str) -> _Name:
  if name not in _CALLS and name not in _STORAGES:
    raise ValueError(
      f"the pickle asks for {name!r}, which is neither plain data nor a tensor; nothing was run. If you trust the "
      "file, load it with torch and save its state dict alone"
    )
  return _Name(name)


def _expect(value: Any, kind: Any) -> Any:
  if not isinstance(value, kind):
    raise TypeError(f"a {type(value).__name__} where {kind} belongs")
  return value


def write(path: str, tree: Any) -> None:
  """Writes dicts, lists, tuples, numbers, text and arrays as torch.save would, arrays as tensors; torch.load reads it.

  The file appears complete or not at all. Raises ValueError for a value of any other type.
  """
  storages: list[np.ndarray] = []
  pickled = b"\x80\x02" + b"".join(_pickle(tree, storages)) + b"."
  folder = os.path.splitext(os.path.basename(path))[0] or "archive"
  partial = f"{path}.partial"
  try:
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
      archive.writestr(f"{folder}/data.pkl", pickled)
      archive.writestr(f"{folder}/byteorder", "little")
      for i, storage in enumerate(storages):
        archive.writestr(f"{folder}/data/{i}", storage.tobytes())
      archive.writestr(f"{folder}/version", "3\n")
    os.replace(partial, path)
  finally:
    if os.path.exists(partial):
      os.remove(partial)


def _pickle(value: Any, storages: list[np.ndarray]) -> Iterator[bytes]:
  """The pickle of a value, protocol 2, in pieces; arrays are put in `storages`."""
  match value:
    case None | True | False:
      yield {None: b"N", True: b"\x88", False: b"\x89"}[value]
    case str():
      text = value.encode()
      yield b"X" + struct.pack("<I", len(text)) + text
    case int() | np.integer():
      number = pickle.encode_long(int(value))
      yield b"\x8a" + struct.pack("<B", len(number)) + number
    case float() | np.floating():
      yield b"G" + struct.pack(">d", float(value))
    case np.ndarray():
      yield from _pickle_tensor(value, storages)
    case collections.abc.Mapping():
      yield b"}("
      for key, item in value.items():
        yield from _pickle(key, storages)
        yield from _pickle(item, storages)
      yield b"u"
    case list() | tuple():
      yield b"](" if isinstance(value, list) else b"("
      for item in value:
        yield from _pickle(item, storages)
      yield b"e" if isinstance(value, list) else b"t"
    case _:
      raise ValueError(f"a {type(value).__name__} cannot be written; convert it to plain data or to a NumPy array")


def _pickle_tensor(array: np.ndarray, storages: list[np.ndarray]) -> Iterator[bytes]:
  kinds = [kind for kind, dtype in _STORAGES.items() if dtype == array.dtype]
  if not kinds:
    raise ValueError(f"an array of dtype {array.dtype} cannot be written; torch files hold {', '.join(_DTYPES)}")
  strides = tuple(int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim))
  storages.append(np.ascontiguousarray(array, array.dtype.newbyteorder("<")))
  module, kind = kinds[0].split(".")
  yield b"ctorch._utils\n_rebuild_tensor_v2\n(("
  yield from _pickle("storage", storages)
  yield f"c{module}\n{kind}\n".encode()
  for part in (str(len(storages) - 1), "cpu", array.size):
    yield from _pickle(part, storages)
  yield b"tQ"
  for part in (0, tuple(array.shape), strides, False):
    yield from _pickle(part, storages)
  yield b"ccollections\nOrderedDict\n)RtR"
