"""Human3.6M's pose files: NASA's Common Data Format (CDF) with the one variable `Pose`, read by cdflib.

cdflib fills what a damaged file lacks with zeros, which are poses like any other, and follows its links in circles. So
its steps are checked here: sizes and counts before they are used, and that each record is there.
"""

import errno
import math
import os
import struct
from typing import Any

import numpy as np
from cdflib import cdfread
from jaxtyping import Float

_LIMIT = 2**30  # bytes of poses; an hour of 32 joints at 50 Hz has 70 million
_FLOATS = (21, 22, 44, 45)  # CDF_REAL4, CDF_REAL8, CDF_FLOAT, CDF_DOUBLE
_MOST = 1000  # variables of a file, index records of a variable
_MOST_AXES = 10  # CDF's own limit
_INDEX, _Z_VARIABLE = 6, 8  # types of records
_Reader: Any = cdfread.CDF


def read_pose(path: str | os.PathLike, where: str = "") -> Float[np.ndarray, "T D"]:
  """The variable `Pose`, float32 or float64 [T, D] as stored: a frame a row, in the file's units.

  where: names the file in errors; its path when empty. The official files hold one record of T rows; a record a frame,
  as other writers have it, gives the same. Raises ValueError for a truncated, damaged or other file, and where a record
  is missing.
  """
  where = where or os.fspath(path)
  with open(path, "rb"):  # cdflib looks for another file where there is none
    pass
  try:
    file = _Checked(os.fspath(path))
    if not file._post25:
      raise ValueError("versions before 2.5 of the format are not read")
    values = np.asarray(file.varget("Pose"))
    if values.size and not file.is_complete:
      raise ValueError("this cdflib reads in other steps than those that are checked here; install cdflib 1.3.16")
  except Exception as error:  # of a damaged file, cdflib raises anything
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # the disk's, not an offset below 0
      raise
    raise ValueError(f"{where}: no readable CDF of poses ({error or type(error).__name__}); get it again") from error
  if values.ndim < 2 or not values.size:
    raise ValueError(f"{where}: its variable Pose has the shape {values.shape}, expected frames and values")
  return values.reshape(-1, values.shape[-1])


class _Checked(_Reader):
  """cdflib's reader with its steps checked. They are private, so `is_complete` says whether they were taken."""

  is_complete, visits = False, 0

  def _fields(self, at: int, layout: str) -> tuple[int, ...]:
    """Big-endian numbers at a byte; "o" is an offset, of 8 bytes since version 3."""
    layout = ">" + layout.replace("o", "q" if self.cdfversion == 3 else "i")
    self._f.seek(at)
    return struct.unpack(layout, self._f.read(struct.calcsize(layout)))

  def _check_counts(self, at: int) -> None:
    *_, end, r_variables, _, _, axes, z_variables = self._fields(at, "oiooooiiiii")
    size = self._f.seek(0, os.SEEK_END)
    if end > size:
      raise ValueError(f"it has {size} of {end} bytes")
    if axes > _MOST_AXES or max(r_variables, z_variables) > _MOST:
      raise ValueError(f"it claims {axes} axes and {max(r_variables, z_variables)} variables")

  def _read_gdr(self, byte_loc: int):
    self._check_counts(byte_loc)
    return super()._read_gdr(byte_loc)

  def _read_gdr2(self, byte_loc: int):
    self._check_counts(byte_loc)
    return super()._read_gdr2(byte_loc)

  def _read_vdr(self, byte_loc: int):
    axes = self._fields(byte_loc + (340 if self.cdfversion == 3 else 128), "i")[0]
    if self._fields(byte_loc, "oi")[1] == _Z_VARIABLE and axes > _MOST_AXES:  # another variable has the file's axes
      raise ValueError(f"a variable claims {axes} axes")
    variable = super()._read_vdr(byte_loc)
    if variable.data_type not in _FLOATS or variable.num_elements != 1 or variable.sparse:
      raise ValueError(f"{variable.name} has type {variable.data_type}, expected floats for each frame")
    return variable

  def _check_index(self, at: int) -> None:
    size, kind, _, room, used = self._fields(at, "oioii")
    self.visits += 1
    if kind != _INDEX or not 0 <= used <= room <= size or self.visits > _MOST:
      raise ValueError(f"an index has {used} of {room} entries in {size} bytes, or refers to itself")

  def _read_vxrs(self, byte_loc: int, **arguments):
    self._check_index(byte_loc)
    return super()._read_vxrs(byte_loc, **arguments)

  def _read_vxrs2(self, byte_loc: int, **arguments):
    self._check_index(byte_loc)
    return super()._read_vxrs2(byte_loc, **arguments)

  def _read_vvrs(self, vdr, vvr_offs, vvr_start, vvr_end, startrec: int, endrec: int):
    number = self._type_size(vdr.data_type, 1)
    record = number * math.prod(vdr.dim_sizes)
    if not 0 < record * (endrec + 1) <= _LIMIT:
      raise ValueError(f"{endrec + 1} records of {record} bytes are no poses")
    read = self._read_vvr_block if self.cdfversion == 3 else self._read_vvr_block2
    expected = 0
    for first, last, at in zip(vvr_start, vvr_end, vvr_offs):
      if first != expected or not first <= last or first > endrec:
        raise ValueError(f"records {first} to {last} follow record {expected - 1} of {endrec + 1}")
      block, expected = read(at), last + 1
      if len(block) != (last + 1 - first) * record:
        raise ValueError(f"a block has {len(block)} bytes, not {(last + 1 - first) * record}")
      room = block[(min(last, endrec) + 1 - first) * record :]  # for more records than were written
      if room != room[:number] * (len(room) // number):
        raise ValueError(f"there are values after record {endrec}, its last")
    if expected <= endrec:
      raise ValueError(f"it has {expected} of {endrec + 1} records")
    self.is_complete = True
    return super()._read_vvrs(vdr, vvr_offs, vvr_start, vvr_end, startrec, endrec)
