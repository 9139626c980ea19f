"""A machine that runs pickles as data: Python's own unpickler, with a function of ours behind every name in a file.

Python imports and calls what a file names, and even a list of allowed names is not safe: NumPy's own arrays take a
file's word for where their memory is. Here a name is a key of the caller's table, and each entry of the table is a
function written for it; any other name is an error. What a file can make the machine hold is bounded by the file's own
size, and what comes out is a finite tree. Python's `pickletools` documents the opcodes.
"""

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxpose.formats.pickle_values import Dtype, Name, build_array, build_dtype, check_tree, expect, plain_key

_MALFORMED = (
  pickle.UnpicklingError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, struct.error,
)  # fmt: skip
_COPIES = 8  # bytes that calls may produce for each of the pickle's own: bytes and arrays of them are copies


def run(
  content: bytes,
  where: str,
  names: Mapping[str, Callable[..., Any]],
  *,
  persistent: Callable[..., Any] | None = None,
  refusal: str,
) -> Any:
  """The value that a pickle holds.

  Args:
    content: the pickle and nothing after it, of any protocol.
    where: what errors call it.
    names: "module.name" -> a function that is called with the arguments that the pickle gives.
    persistent: called with the parts of a reference to something outside the pickle; None refuses those.
    refusal: ends the error about a name that is not in `names`: what the file may hold, and what the user can do.

  Raises ValueError, naming `where` and the byte, for any other name, a truncated or malformed pickle, bytes after it, a
  value that holds itself or repeats parts until it outgrows the file, and for opcodes without plain meaning.
  """
  machine = _Machine(content, names, persistent, refusal)
  try:
    value = machine.load()
    if machine.at() != len(content):
      raise ValueError(f"{len(content) - machine.at()} bytes follow the value; the file is damaged or holds several")
    check_tree(value, limit=_COPIES * len(content))
    return value
  except EOFError as error:
    raise ValueError(f"{where}: it ends early, at byte {machine.at()} of its pickle; get the file again") from error
  except ValueError as error:
    raise ValueError(f"{where}: {error} (byte {machine.at()} of its pickle)") from error
  except _MALFORMED as error:
    what = f"{type(error).__name__} {error}"
    raise ValueError(f"{where}: its pickle is malformed at byte {machine.at()}: {what}") from error


# A private class, but the one of Python's each of whose steps can be replaced; tests/formats/pickles_test.py pins it.
_Unpickler: Any = pickle._Unpickler


class _Machine(_Unpickler):
  """Python's unpickler: its steps that only move plain values about, and ours in place of all others."""

  dispatch: dict[int, Callable[["_Machine"], None]] = {}

  def __init__(self, content: bytes, names, persistent, refusal: str):
    self.file = io.BytesIO(content)
    super().__init__(self.file, encoding="latin1")
    self.limit, self.produced = _COPIES * len(content), 0
    self.names, self.persistent, self.refusal = names, persistent, refusal

  def at(self) -> int:
    """How many bytes are read. A frame is taken from the file as a whole."""
    frame = self._unframer.current_frame
    return self.file.tell() - (len(frame.getbuffer()) - frame.tell() if frame else 0)

  def find_class(self, module: str, name: str) -> Name:
    full = f"{module}.{name}"
    if full not in self.names:
      raise ValueError(f"the pickle asks for {full!r}, which {self.refusal}")
    return Name(full, self.names[full])

  def persistent_load(self, pid: Any) -> Any:
    if self.persistent is None:
      raise ValueError("it refers to something outside itself, which plain data does not; nothing was run")
    return self.persistent(*expect(pid, tuple))

  def _instantiate(self, klass: Any, args: Any) -> None:  # INST, OBJ
    self.append(self._call(klass, tuple(args)))

  def _call(self, function: Any, arguments: Any) -> Any:
    result = expect(function, Name).function(*expect(arguments, tuple))
    # A call that is repeated on memoised arguments makes data out of nothing.
    if isinstance(result, np.generic) or (isinstance(result, np.ndarray) and result.flags.owndata):
      self._count(result.nbytes)
    elif isinstance(result, str | bytes | bytearray | list | dict | set | frozenset):
      self._count(len(result))
    return result

  def _count(self, size: int) -> None:
    self.produced += size
    if self.produced > self.limit:
      raise ValueError(f"it asks for copies of its parts, more than {_COPIES} times its {self.limit // _COPIES} bytes")

  def _reduce(self) -> None:
    arguments = self.stack.pop()
    self.stack[-1] = self._call(self.stack[-1], arguments)

  def _build(self) -> None:
    state = self.stack.pop()
    value = self.stack[-1]
    if isinstance(value, Dtype):
      build_dtype(value, expect(state, tuple))
    elif isinstance(value, np.ndarray):
      self._count(build_array(value, expect(state, tuple)))
    elif isinstance(value, dict):
      pass  # attributes of a state dict: the versions of its modules, of no use here
    elif hasattr(value, "__dict__") and not isinstance(value, Name):
      vars(value).update(expect(state, dict))  # a stand-in
    else:
      raise TypeError(f"a {type(value).__name__} takes no state")

  def _set_items(self, items: list) -> None:
    target = expect(self.stack[-1], dict)
    if len(items) % 2:
      raise ValueError("a dict has a key without a value")
    target.update({plain_key(key): value for key, value in zip(items[::2], items[1::2])})

  def _dict(self) -> None:
    items = self.pop_mark()
    self.append({})
    self._set_items(items)

  def _add_items(self) -> None:
    items = self.pop_mark()
    expect(self.stack[-1], set).update(map(plain_key, items))

  def _frozenset(self) -> None:
    items = self.pop_mark()
    self.append(frozenset(map(plain_key, items)))

  def _bytearray(self) -> None:
    (size,) = struct.unpack("<Q", self.read(8))
    self.append(bytearray(self.read(min(size, self.limit))))  # fewer are there: the pickle then ends early


def _refused(name: str) -> Callable[[_Machine], None]:
  def step(machine: _Machine) -> None:
    raise ValueError(f"it uses {name}, which plain data does not; nothing was run")

  return step


_NOT_PLAIN = ("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "NEWOBJ_EX")
_STEPS: dict[bytes, Callable[[_Machine], None]] = {
  pickle.REDUCE: _Machine._reduce,
  pickle.NEWOBJ: _Machine._reduce,
  pickle.BUILD: _Machine._build,
  pickle.SETITEM: lambda machine: machine._set_items([machine.stack.pop(-2), machine.stack.pop()]),
  pickle.SETITEMS: lambda machine: machine._set_items(machine.pop_mark()),
  pickle.DICT: _Machine._dict,
  pickle.ADDITEMS: _Machine._add_items,
  pickle.FROZENSET: _Machine._frozenset,
  pickle.BYTEARRAY8: _Machine._bytearray,
  **{getattr(pickle, name): _refused(name) for name in _NOT_PLAIN},
}
_Machine.dispatch = {
  **{code: _refused(f"the opcode {bytes([code])}") for code in range(256)},
  **_Unpickler.dispatch,
  **{opcode[0]: step for opcode, step in _STEPS.items()},
}
