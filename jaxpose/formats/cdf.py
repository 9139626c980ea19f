"""Human3.6M's pose files: NASA's Common Data Format (CDF) with the one variable `Pose`.

Reads what the "CDF Internal Format Description" (NASA Goddard) lays down for versions 2.6 to 3.x: single files, as a
whole or by variable compressed with gzip or run lengths. It checks that each record is there. The common Python reader
fills what a truncated file lacks with zeros, which are poses like any other.
"""

import math
import os
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float

_LIMIT = 2**30  # bytes of a file once unpacked, and of its poses; an hour of 32 joints at 50 Hz has 70 million
_FLOATS = {21: "f4", 22: "f8", 44: "f4", 45: "f8"}  # CDF_REAL4, CDF_REAL8, CDF_FLOAT, CDF_DOUBLE
_BIG_ENDIAN = (1, 2, 5, 7, 9, 11, 12, 18)
_LITTLE_ENDIAN = (4, 6, 13, 16, 17)  # what is left is VAX's own floating point
_CDR, _GDR, _RVDR, _VXR, _VVR, _ZVDR, _CCR, _CPR, _CVVR = 1, 2, 3, 6, 7, 8, 10, 11, 13
_RUN_LENGTHS, _GZIP = 1, 5
_DEEPEST = 8  # index records in one another


def read_pose(path: str | os.PathLike) -> Float[np.ndarray, "T D"]:
  """The variable `Pose`, float32 or float64 [T, D] as stored: a frame a row, in the file's units (see `parse_pose`)."""
  return parse_pose(epath.Path(path).read_bytes(), os.fspath(path))


def parse_pose(content: bytes, where: str) -> Float[np.ndarray, "T D"]:
  """The variable `Pose` in a file's bytes; `where` names the file in errors.

  The official files hold one record of T rows; a record a frame, as other writers have it, gives the same.
  Raises ValueError, naming the file, for a truncated, damaged or other file, and where a record is missing.
  """
  try:
    file = _open(content)
    variable = _variable(file, "Pose")
    values = _values(file, variable)
  except (ValueError, struct.error, zlib.error, OverflowError) as error:
    raise ValueError(f"{where}: no readable CDF of poses ({error}); get the file again") from error
  if values.ndim < 2 or not values.size:
    raise ValueError(f"{where}: its variable Pose has the shape {values.shape}, expected frames and values")
  return values.reshape(-1, values.shape[-1])


class _File(NamedTuple):
  """A file's bytes, unpacked; the code of an offset in it, "q" since version 3; and what its first records say."""

  content: memoryview
  offset: str
  order: str = ">"
  row_major: bool = True
  first_r: int = 0
  first_z: int = 0
  r_shape: tuple[int, ...] = ()


class _Variable(NamedTuple):
  dtype: np.dtype
  records: int
  shape: tuple[int, ...]  # of a record
  index: int  # where the first index record is
  compression: int


def _open(content: bytes) -> _File:
  offset = {b"\xcd\xf3\x00\x01": "q", b"\xcd\xf2\x60\x02": "i"}.get(content[:4])
  if offset is None or content[4:8] not in (b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"):
    raise ValueError("it does not start as a CDF of version 2.6 or later does")
  file = _File(memoryview(content), offset)
  if content[4:8] == b"\xcc\xcc\x00\x01":
    (compression_at, size, _), data = _record(file, 8, _CCR, "ooi")
    unpacked = _unpack(data, _compression(file, compression_at), size)
    file = _File(memoryview(content[:8] + unpacked), offset)
  (global_at, version, _, encoding, flags), _ = _record(file, 8, _CDR, "oiiii")
  (first_r, first_z, _, end, _, _, _, axes, _, _, _, _, _), rest = _record(file, global_at, _GDR, "ooooiiiiioiii")
  if version not in (2, 3) or not flags & 2:
    raise ValueError(f"version {version} of the format, or a CDF of several files, is not read")
  if encoding not in _BIG_ENDIAN + _LITTLE_ENDIAN:
    raise ValueError(f"numbers in encoding {encoding}, as of VAX computers, are not read")
  if end > len(file.content):
    raise ValueError(f"it has {len(file.content)} of {end} bytes")
  shape = _ints(rest, 0, axes)
  return file._replace(
    order=">" if encoding in _BIG_ENDIAN else "<", row_major=bool(flags & 1), first_r=first_r, first_z=first_z,
    r_shape=shape,
  )  # fmt: skip


def _record(file: _File, at: int, kinds: int | tuple[int, ...], fields: str) -> tuple[list[int], memoryview]:
  """The fields ("o" an offset, "i" an integer) of the record at an offset, and the rest of it."""
  layout = struct.Struct(f">{file.offset}i" + fields.replace("o", file.offset))
  if not 0 < at <= len(file.content) - layout.size:
    raise ValueError(f"a record should be at byte {at} of {len(file.content)}")
  size, kind, *values = layout.unpack_from(file.content, at)
  if kind not in (kinds if isinstance(kinds, tuple) else (kinds,)):
    raise ValueError(f"a record of type {kind} is at byte {at}, where one of type {kinds} belongs")
  if not layout.size <= size <= len(file.content) - at:
    raise ValueError(f"the record at byte {at} should have {size} of {len(file.content) - at} bytes")
  return values, file.content[at + layout.size : at + size]


def _kind(file: _File, at: int) -> int:
  return struct.unpack_from(f">{file.offset}i", file.content, max(at, 0))[1]


def _ints(data: memoryview, start: int, count: int) -> tuple[int, ...]:
  if not 0 <= count <= len(data) // 4:
    raise ValueError(f"{count} numbers do not fit in {len(data)} bytes")
  return struct.unpack_from(f">{count}i", data, start)


def _compression(file: _File, at: int) -> int:
  return _record(file, at, _CPR, "iii")[0][0]


def _unpack(data: memoryview, compression: int, size: int) -> bytes:
  """Packed data of which the size is known."""
  if not 0 <= size <= min(_LIMIT, 1032 * len(data)):  # the most that gzip saves; run lengths save less
    raise ValueError(f"{len(data)} bytes cannot unpack to {size}")
  if compression == _GZIP:
    inflater = zlib.decompressobj(wbits=31)
    unpacked = inflater.decompress(data, size + 1)
    complete = inflater.eof
  elif compression == _RUN_LENGTHS:
    unpacked, complete = _zeros(bytes(data)), True
  else:
    raise ValueError(f"compression {compression} (Huffman's) is not read")
  if len(unpacked) != size or not complete:
    raise ValueError(f"packed data do not give their {size} bytes")
  return unpacked


def _zeros(data: bytes) -> bytes:
  # A zero is followed by the number of zeros that it stands for, less one.
  parts, at = [], 0
  while (zero := data.find(0, at)) >= 0:
    if zero + 1 == len(data):
      raise ValueError("packed data end within a run of zeros")
    parts += [data[at:zero], bytes(data[zero + 1] + 1)]
    at = zero + 2
  return b"".join([*parts, data[at:]])


def _variable(file: _File, wanted: str) -> _Variable:
  seen = set()
  for at in (file.first_z, file.first_r):
    while at:
      if at in seen:
        raise ValueError("its variables refer to one another in a circle")
      seen.add(at)
      values, rest = _record(file, at, (_RVDR, _ZVDR), "oiiooiiiiiiioi")
      kind, (at_next, data_type, last, index, _, flags, sparse) = _kind(file, at), values[:7]
      elements, compression_at = values[10], values[12]
      width = 256 if file.offset == "q" else 64
      if bytes(rest[:width]).split(b"\0")[0].decode("latin1").strip() == wanted:
        if data_type not in _FLOATS or elements != 1 or sparse:
          raise ValueError(f"{wanted} has type {data_type}, expected floats for each frame")
        shape = _shape(file, kind, rest[width:])
        records = last + 1 if flags & 1 else 1
        compression = _compression(file, compression_at) if flags & 4 else 0
        return _Variable(np.dtype(file.order + _FLOATS[data_type]), records, shape, index, compression)
      at = at_next
  raise ValueError(f"it has no variable {wanted}")


def _shape(file: _File, kind: int, rest: memoryview) -> tuple[int, ...]:
  """The axes of a record, of those that vary."""
  if kind == _RVDR:
    sizes, varies = file.r_shape, _ints(rest, 0, len(file.r_shape))
  else:
    (count,) = _ints(rest, 0, 1)
    both = _ints(rest[4:], 0, 2 * count)
    sizes, varies = both[:count], both[count:]
  shape = tuple(size for size, vary in zip(sizes, varies) if vary)
  if not all(n > 0 for n in shape):
    raise ValueError(f"{shape} is no shape")
  return shape


def _values(file: _File, variable: _Variable) -> np.ndarray:
  size = math.prod(variable.shape) * variable.dtype.itemsize  # of a record
  if not 0 < variable.records * size <= min(_LIMIT, 1032 * len(file.content)):
    raise ValueError(f"{variable.records} records of {size} bytes are not in a file of {len(file.content)}")
  parts, expected = [], 0
  for first, last, at in _blocks(file, variable.index, set()):
    if first != expected or last < first or first >= variable.records:
      raise ValueError(f"records {first} to {last} follow record {expected - 1} of {variable.records}")
    block = bytes(_block(file, at, variable, (last + 1 - first) * size))
    end = (min(last, variable.records - 1) + 1 - first) * size  # a block may have room for more than was written
    room, pad = block[end:], block[end : end + variable.dtype.itemsize]
    if room != pad * (len(room) // variable.dtype.itemsize):
      raise ValueError(f"there are values after record {variable.records - 1}, its last")
    parts.append(block[:end])
    expected = last + 1
  if expected < variable.records:
    raise ValueError(f"it has {expected} of {variable.records} records")
  flat = np.frombuffer(b"".join(parts), variable.dtype).astype(variable.dtype.newbyteorder("="))
  if file.row_major:
    return flat.reshape(variable.records, *variable.shape)
  columns = flat.reshape(variable.records, *variable.shape[::-1])
  return columns.transpose(0, *range(columns.ndim - 1, 0, -1))


def _blocks(file: _File, at: int, path: set[int], depth: int = 0) -> Iterator[tuple[int, int, int]]:
  """First record, last record and offset of each block of records, in order; an index may refer to further indices."""
  while at:
    if at in path or depth > _DEEPEST:
      raise ValueError("its index refers to itself")
    path.add(at)
    (at_next, room, used), rest = _record(file, at, _VXR, "oii")
    if not 0 <= used <= room:
      raise ValueError(f"an index has {used} of {room} entries")
    firsts_lasts = _ints(rest, 0, 2 * room)
    offsets = struct.unpack_from(f">{room}{file.offset}", rest, 8 * room)
    for first, last, block in zip(firsts_lasts[:used], firsts_lasts[room:], offsets):
      if _kind(file, block) == _VXR:
        yield from _blocks(file, block, path, depth + 1)
      else:
        yield first, last, block
    at = at_next


def _block(file: _File, at: int, variable: _Variable, size: int) -> Any:
  if _kind(file, at) == _CVVR:
    (_, packed), rest = _record(file, at, _CVVR, "io")
    if not 0 <= packed <= len(rest) or not variable.compression:
      raise ValueError(f"a packed block has {packed} of {len(rest)} bytes")
    return _unpack(rest[:packed], variable.compression, size)
  data = _record(file, at, _VVR, "")[1]
  if len(data) != size:
    raise ValueError(f"a block has {len(data)} bytes, not {size}")
  return data
