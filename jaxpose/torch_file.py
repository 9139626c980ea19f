"""PyTorch's checkpoint files, read and written as plain data: without torch, running nothing that a pickle asks for.

A file of `torch.save` (since torch 1.6) is an uncompressed zip archive: NAME/data.pkl, a pickle of protocol 2 that
refers to storages, and one NAME/data/KEY a storage, raw numbers. Python's own unpickler calls whatever importable
function the file names. The reader here never looks up a name: see `jaxpose.formats.pickle_machine`.
"""

import collections
import dataclasses
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxpose.formats import pickle_machine, pickles, zip_file
from jaxpose.formats.pickle_values import Name, brief, expect

_DTYPES = {
  "Double": np.float64, "Float": np.float32, "Half": np.float16, "BFloat16": jnp.bfloat16, "Long": np.int64,
  "Int": np.int32, "Short": np.int16, "Char": np.int8, "Byte": np.uint8, "Bool": np.bool_,
}  # fmt: skip
_STORAGES = {f"torch.{name}Storage": np.dtype(dtype) for name, dtype in _DTYPES.items()}
_REFUSAL = (
  "is neither plain data nor a tensor; nothing was run. If you trust the file, load it with torch and save its state "
  "dict alone"
)


def read(path: str) -> Any:
  """The object in a torch.save file: dicts, lists, tuples, numbers and text, with a NumPy array for every tensor.

  Tensors are read-only, and bfloat16 stays bfloat16. Raises ValueError, naming the file, for one that is truncated
  or no such archive, and for a pickle that holds anything but plain data, NumPy's included, and tensors: it names the
  first name it refuses.
  """
  with zip_file.damage(path, lambda: f"{path}: {_not_an_archive(path)}"), zip_file.open_archive(path, path) as archive:
    return _read_archive(archive, path)


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

  def storage(kind: Any, dtype: Any, key: Any, location: Any, count: Any) -> _Storage:
    del location
    if kind != "storage" or expect(dtype, Name).text not in _STORAGES:
      raise ValueError(f"a reference to {brief(kind)} is no tensor storage")
    return numbers(expect(key, str), _STORAGES[dtype.text], expect(count, int))

  def numbers(key: str, dtype: np.dtype, count: int) -> _Storage:
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

  return pickle_machine.run(archive.read(names[0]), path, _NAMES, persistent=storage, refusal=_REFUSAL)


@dataclasses.dataclass(frozen=True, slots=True)
class _Storage:
  """Numbers [n], which a pickle cannot exchange: a tensor laid over another tensor could leave its memory."""

  numbers: np.ndarray


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> np.ndarray:
  del rest  # requires_grad, hooks, metadata
  described = f"a tensor of size {brief(size)}, stride {brief(stride)} and offset {brief(offset)}"
  integers = (offset, *size, *stride)
  if not isinstance(storage, _Storage) or not all(type(n) is int and n >= 0 for n in integers):
    raise ValueError(f"{described} is malformed")
  numbers = storage.numbers
  last = offset + sum((n - 1) * s for n, s in zip(size, stride))
  count = int(np.prod([int(n) for n in size], dtype=object)) if size else 1
  if len(size) != len(stride) or (count and last >= numbers.size) or count > numbers.size:
    raise ValueError(f"{described} leaves its {numbers.size} numbers")
  if not count:
    return np.zeros(size, numbers.dtype)
  steps = [n * numbers.itemsize for n in stride]
  return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _not_called(*arguments: Any) -> Any:
  raise TypeError("a storage is called")


_NAMES = {
  **pickles.PLAIN,
  **dict.fromkeys(_STORAGES, _not_called),
  "torch._utils._rebuild_tensor_v2": _tensor,
  "torch._utils._rebuild_parameter": lambda tensor, *rest: tensor,
  "torch.Size": lambda sizes=(): expect(sizes, tuple),
}


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
