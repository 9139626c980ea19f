"""A machine that runs pickles as data: no name is ever looked up, so nothing that a file asks for is called.

Python's own unpickler imports and calls whatever a file names. Here a name is a key of the caller's table, and each
entry of the table is a function written for it; any other name is an error. What a file can make the machine hold is
bounded by the file's own size, and what comes out is a finite tree. Python's `pickletools` documents the opcodes.
"""

import io
import pickletools
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxpose.formats.pickle_values import Dtype, Name, brief, build_array, build_dtype, check_tree, expect, plain_key

_OPCODES = {opcode.code.encode("latin1"): opcode for opcode in pickletools.opcodes}
_COPIES = 8  # bytes that calls may produce for each of the pickle's own: bytes and arrays of them are copies


class _Machine(list):
  """The stack of values; where its marks are; the memo; and the caller's parts."""

  def __init__(self, names: Mapping[str, Callable[..., Any]], persistent: Callable[..., Any] | None, refusal: str):
    super().__init__()
    self.names, self.persistent, self.refusal = names, persistent, refusal
    self.marks: list[int] = []
    self.memo: dict[int, Any] = {}
    self.produced = 0


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
  machine, file, at = _Machine(names, persistent, refusal), io.BytesIO(content), 0
  try:
    while True:
      at = file.tell()
      code = file.read(1)
      if not code:
        raise ValueError("it ends early; get the file again")
      opcode = _OPCODES.get(code)
      if opcode is None:
        raise ValueError(f"there is no opcode {code!r}")
      if opcode.name == "STOP":
        break
      if opcode.name not in _STEPS:
        raise ValueError(f"it uses {opcode.name}, which plain data does not; nothing was run")
      _STEPS[opcode.name](machine, _argument(file, opcode))
      if machine.produced > _COPIES * len(content):
        raise ValueError(f"it asks for copies of its parts, more than {_COPIES} times its {len(content)} bytes")
    if file.tell() != len(content):
      raise ValueError(f"{len(content) - file.tell()} bytes follow the value; the file is damaged or holds several")
    value = machine.pop()
    check_tree(value, limit=_COPIES * len(content))
    return value
  except (IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, struct.error) as error:
    raise ValueError(f"{where}: its pickle is malformed at byte {at}: {type(error).__name__} {error}") from error
  except ValueError as error:
    raise ValueError(f"{where}: {error} (byte {at} of its pickle)") from error


def _argument(file: io.BytesIO, opcode: pickletools.OpcodeInfo) -> Any:
  # pickletools reads text as ASCII with escapes of any kind; text of Python 2 is neither, and names have none.
  if opcode.name == "STRING":
    return _string_line(file)
  if opcode.name in ("GLOBAL", "INST"):
    return ".".join(_line(file).decode() for _ in range(2))
  return None if opcode.arg is None else opcode.arg.reader(file)


def _line(file: io.BytesIO) -> bytes:
  line = file.readline()
  if not line.endswith(b"\n"):
    raise ValueError("it ends early; get the file again")
  return line.rstrip(b"\r\n")


_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def _string_line(file: io.BytesIO) -> str:
  # Text of Python 2 in protocol 0: the repr of its bytes.
  line = _line(file)
  if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in b"'\"":
    raise ValueError(f"text in quotes should stand at {brief(line)}")

  def unescape(match: re.Match) -> bytes:
    escape = match[1]
    return bytes([int(escape[1:], 16)]) if len(escape) == 3 else _ESCAPES.get(escape, escape)

  return re.sub(rb"\\(x[0-9a-fA-F]{2}|[\\'\"nrt])", unescape, line[1:-1]).decode("latin1")


def _pop_to_mark(machine: _Machine) -> list:
  start = machine.marks.pop()
  items = machine[start:]
  del machine[start:]
  return items


def _pop(machine: _Machine, _: Any) -> None:
  if machine.marks and machine.marks[-1] == len(machine):
    machine.marks.pop()
  else:
    machine.pop()


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
  def step(machine: _Machine, _: Any) -> None:
    items = [machine.pop() for _ in range(count)]
    machine.append(tuple(items[::-1]))

  return step


def _put(machine: _Machine, index: int | None) -> None:
  machine.memo[len(machine.memo) if index is None else index] = machine[-1]


def _set_items(machine: _Machine, items: list) -> None:
  target = expect(machine[-1], dict)
  if len(items) % 2:
    raise ValueError("a dict has a key without a value")
  for key, value in zip(items[::2], items[1::2]):
    target[plain_key(key)] = value


def _known(machine: _Machine, name: str) -> None:
  if name not in machine.names:
    raise ValueError(f"the pickle asks for {name!r}, which {machine.refusal}")
  machine.append(Name(name, machine.names[name]))


def _stack_global(machine: _Machine, _: Any) -> None:
  name, module = expect(machine.pop(), str), expect(machine.pop(), str)
  _known(machine, f"{module}.{name}")


def _call(machine: _Machine, function: Any, arguments: Any) -> None:
  result = expect(function, Name).function(*expect(arguments, tuple))
  # A call that is repeated on memoised arguments makes data out of nothing.
  if isinstance(result, np.generic) or (isinstance(result, np.ndarray) and result.flags.owndata):
    machine.produced += result.nbytes
  elif isinstance(result, str | bytes | bytearray | list | dict | set | frozenset):
    machine.produced += len(result)
  machine.append(result)


def _reduce(machine: _Machine, _: Any) -> None:
  arguments, function = machine.pop(), machine.pop()
  _call(machine, function, arguments)


def _instance(machine: _Machine, name: str) -> None:
  arguments = _pop_to_mark(machine)
  _known(machine, name)
  _call(machine, machine.pop(), tuple(arguments))


def _object(machine: _Machine, _: Any) -> None:
  function, *arguments = _pop_to_mark(machine)
  _call(machine, function, tuple(arguments))


def _build(machine: _Machine, _: Any) -> None:
  state, value = machine.pop(), machine[-1]
  if isinstance(value, Dtype):
    build_dtype(value, expect(state, tuple))
  elif isinstance(value, np.ndarray):
    machine.produced += build_array(value, expect(state, tuple))
  elif isinstance(value, dict):
    pass  # attributes of a state dict: the versions of its modules, of no use here
  elif hasattr(value, "__dict__") and not isinstance(value, Name):
    vars(value).update(expect(state, dict))  # a stand-in
  else:
    raise TypeError(f"a {type(value).__name__} takes no state")


def _push(make: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
  return lambda machine, _: machine.append(make())


def _value(machine: _Machine, argument: Any) -> None:
  machine.append(argument)


def _persistent(machine: _Machine, _: Any) -> None:
  if machine.persistent is None:
    raise ValueError("it refers to something outside itself, which plain data does not; nothing was run")
  machine.append(machine.persistent(*expect(machine.pop(), tuple)))


def _nothing(machine: _Machine, _: Any) -> None:
  del machine


_Steps = dict[str, Callable[[_Machine, Any], None]]
_CONSTANTS: dict[str, Callable[[], Any]] = {
  "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_DICT": dict, "EMPTY_LIST": list,
  "EMPTY_TUPLE": tuple, "EMPTY_SET": set,
}  # fmt: skip
_VALUES = (
  "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES",
  "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT",
  "BINFLOAT",
)  # fmt: skip
_STEPS: _Steps = {
  **dict.fromkeys(("PROTO", "FRAME"), _nothing),
  **dict.fromkeys(_VALUES, _value),
  **{name: _push(make) for name, make in _CONSTANTS.items()},
  **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _put),
  **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.append(machine.memo[index])),
  "TUPLE1": _tuple(1),
  "TUPLE2": _tuple(2),
  "TUPLE3": _tuple(3),
  "TUPLE": lambda machine, _: machine.append(tuple(_pop_to_mark(machine))),
  "LIST": lambda machine, _: machine.append(_pop_to_mark(machine)),
  "DICT": lambda machine, _: _dict(machine),
  "FROZENSET": lambda machine, _: machine.append(frozenset(map(plain_key, _pop_to_mark(machine)))),
  "MARK": lambda machine, _: machine.marks.append(len(machine)),
  "POP": _pop,
  "POP_MARK": lambda machine, _: _nothing(machine, _pop_to_mark(machine)),
  "DUP": lambda machine, _: machine.append(machine[-1]),
  "APPEND": lambda machine, _: _extend(machine, [machine.pop()]),
  "APPENDS": lambda machine, _: _extend(machine, _pop_to_mark(machine)),
  "ADDITEMS": lambda machine, _: _add(machine, _pop_to_mark(machine)),
  "SETITEM": lambda machine, _: _set_items(machine, [machine.pop(-2), machine.pop()]),
  "SETITEMS": lambda machine, _: _set_items(machine, _pop_to_mark(machine)),
  "GLOBAL": _known,
  "STACK_GLOBAL": _stack_global,
  "REDUCE": _reduce,
  "NEWOBJ": _reduce,
  "INST": _instance,
  "OBJ": _object,
  "BUILD": _build,
  "BINPERSID": _persistent,
}


def _dict(machine: _Machine) -> None:
  items = _pop_to_mark(machine)
  machine.append({})
  _set_items(machine, items)


def _extend(machine: _Machine, items: list) -> None:
  expect(machine[-1], list).extend(items)


def _add(machine: _Machine, items: list) -> None:
  expect(machine[-1], set).update(map(plain_key, items))
