"""MATLAB's .mat files, of version 5 to 7.2 and of version 7.3, as the same plain values.

| MATLAB | here |
|---|---|
| numeric, logical | np.ndarray with MATLAB's axes: a number is [1, 1], a row vector [1, n] |

and of files before version 7.3

| | |
|---|---|
| char | str; of several rows, a list of str |
| cell | list; of more than one row and more than one column, a list of rows |
| struct 1x1 | dict |
| struct array | list of dicts, as cells are arranged; empty: [] |

A trap of the format: a struct array of one element is a struct, and an empty one may be an empty numeric array. `each`
makes both a list again.
"""

import os
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np
from etils import epath

from jaxpose.formats import matlab5, matlab73

LIMIT = 4 * 2**30  # bytes of values that one read may give


def read(
  path: str | os.PathLike, keys: Sequence[str] | None = None, *, where: str = "", limit: int = LIMIT
) -> dict[str, Any]:
  """The file's variables by name, or those in `keys` alone; the others are then not read.

  where: names the file in errors; its path when empty. Declared sizes are checked against what the file can hold, and
  against `limit` bytes, before memory is taken. Raises ValueError, naming the file and the variable, if a key is
  missing, the file is truncated or damaged, for sparse matrices, function handles and objects, and for all but arrays
  of numbers in version 7.3.
  """
  where = where or os.fspath(path)
  if os.path.isfile(path) and h5py.is_hdf5(path):
    return matlab73.read(path, where, keys, limit)
  return matlab5.read(epath.Path(path).read_bytes(), where, keys, limit)


def each(value: Any) -> list:
  """A struct array as a list, whatever its length: a lone struct is one element, and an empty array none."""
  if isinstance(value, list):
    return value
  return [] if isinstance(value, np.ndarray) and not value.size else [value]
