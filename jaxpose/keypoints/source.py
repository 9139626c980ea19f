"""Files as they lie there, before anything is known of their format: bytes, JSON, folders; and numbers out of JSON."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

LARGEST = 1e6  # pixels; a coordinate beyond it is none, and would not survive the arithmetic after it

_NO_KEYPOINTS = (
  (lambda b: b.startswith(b"\x89HDF"), "an HDF5 file; DeepLabCut writes CSV too (save_as_csv=True): give that"),
  (lambda b: b[4:8] == b"ftyp" or b.startswith((b"\x1a\x45\xdf\xa3", b"RIFF")), "a video; detect people in it first"),
  (lambda b: b.startswith(b"\x80") and b.endswith(b"."), "a pickle, which is not read; write npz or JSON"),
  (lambda b: b.startswith((b"\xff\xd8\xff", b"\x89PNG")), "a picture; detect people in it first"),
)


class Source(NamedTuple):
  """A file, or a folder's files of one kind, by name, in order of the numbers in their names.

  content: bytes by name. json: the parsed files by name, where they are JSON. folder: whether it is one.
  """

  where: str
  content: Mapping[str, bytes]
  json: Mapping[str, Any]
  folder: bool = False

  @property
  def only(self) -> Any:
    """The JSON value of a single file; None in a folder and for anything that is no JSON."""
    return None if self.folder else next(iter(self.json.values()), None)

  @property
  def bytes(self) -> bytes:
    return next(iter(self.content.values()), b"")


def load(path: str | os.PathLike) -> Source:
  """A file or folder of keypoints. Raises OSError if it is not there, ValueError for what cannot hold keypoints."""
  where = os.fspath(path)
  if os.path.isdir(where):
    return _folder(where)
  if not os.path.exists(where):
    raise FileNotFoundError(f"there is no file or folder {where}")
  with open(where, "rb") as file:
    content = file.read()
  if not content.strip():
    raise ValueError(f"{where} is empty; get the file again")
  for recognised, what in _NO_KEYPOINTS:
    if recognised(content):
      raise ValueError(f"{where} is {what}")
  name = os.path.basename(where)
  is_json = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")
  return Source(where, {name: content}, {name: parse_json(content, where)} if is_json else {})


def _folder(where: str) -> Source:
  kinds = {kind: [n for n in os.listdir(where) if n.endswith(kind)] for kind in (".json", ".txt")}
  present = [kind for kind, names in kinds.items() if names]
  if len(present) != 1:
    what = "neither .json nor .txt files" if not present else "both .json and .txt files"
    raise ValueError(
      f"{where} is a folder with {what}; expected OpenPose's folder of .json, one a frame, or YOLO's of .txt"
    )
  names = sorted(kinds[present[0]], key=lambda n: (number(n) or 0, n))
  content = {}
  for name in names:
    with open(os.path.join(where, name), "rb") as file:
      content[name] = file.read()
  parsed = {n: parse_json(b, f"{where}/{n}") for n, b in content.items()} if present == [".json"] else {}
  return Source(where, content, parsed, True)


def parse_json(content: bytes, where: str) -> Any:
  try:
    return json.loads(content)
  except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
    raise ValueError(f"{where} is no JSON, or cut short ({error}); get the file again") from error


def number(name: str) -> int | None:
  """The frame number in a file's name: the last digits of its stem; None without any."""
  digits = re.findall(r"\d{1,15}", os.path.basename(name).rsplit(".", 1)[0])
  return int(digits[-1]) if digits else None


def numbered(names: Sequence[str], where: str) -> np.ndarray:
  """Frame numbers of file names that differ in their number alone, as "v_31.jpg" does.

  Raises ValueError for a name without a number, and for names of more than one recording.
  """
  stems = {}
  for name in names:
    if (value := number(name)) is None:
      raise ValueError(f"{where}: {name!r} has no frame number in it; name frames as 0.jpg, 1.jpg and so on")
    stems[name] = value
  heads = {re.sub(r"\d+(\D*)$", r"\1", name.rsplit(".", 1)[0]): name for name in stems}
  if len(heads) > 1:
    one, other = list(heads.values())[:2]
    raise ValueError(f"{where}: {one!r} and {other!r} are not frames of one recording; write a file for each")
  return np.array([stems[name] for name in names], np.int64)


def table(rows: Sequence[Any], name: Callable[[int], str]) -> np.ndarray:
  """Rows of numbers as float64 [D, width]; null and NaN are NaN. `name(i)` says which row is at fault.

  Raises ValueError for rows of different lengths, for what is no number, and for numbers beyond any pixel.
  """
  try:
    array = np.array(rows)
  except (ValueError, OverflowError):
    array = np.empty(0, object)
  if array.ndim != 2 or array.dtype.kind not in "iuf":
    array = _slow_table(rows, name)
  array = array.astype(np.float64)
  wrong = np.abs(array) > LARGEST  # NaN is not
  if wrong.any():
    i, j = np.argwhere(wrong)[0]
    raise ValueError(f"{name(int(i))}: {array[i, j]:g} is no pixel, nor a confidence; get the file again")
  return array


def _slow_table(rows: Sequence[Any], name: Callable[[int], str]) -> np.ndarray:
  """As `table`, value by value, for rows with nulls and for errors that say where."""
  for i, row in enumerate(rows):
    if not isinstance(row, list | tuple) or not row:
      raise ValueError(f"{name(i)}: expected a list of numbers, got {str(row)[:60]!r}")
    if len(row) != len(rows[0]):
      raise ValueError(f"{name(i)}: {len(row)} numbers, but {len(rows[0])} in {name(0)}; one file holds one joint set")
    for value in row:
      if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError(f"{name(i)}: {str(value)[:60]!r} is no number")
      if value is not None and abs(value) > LARGEST:
        raise ValueError(f"{name(i)}: {str(value)[:60]} is no pixel, nor a confidence; get the file again")
  return np.array([[np.nan if v is None else float(v) for v in row] for row in rows]).reshape(len(rows), -1)


def whole(value: Any, what: str, least: int = 0, most: int = 10**12) -> int:
  """A whole number in a range, or a ValueError that says of what."""
  if isinstance(value, float) and value.is_integer():
    value = int(value)
  if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
    raise ValueError(f"{what} is {str(value)[:60]!r}; expected a whole number from {least}")
  return value


def positive(value: Any, what: str) -> float:
  """A positive finite number, or a ValueError that says of what."""
  if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
    raise ValueError(f"{what} is {str(value)[:60]!r}; expected a positive number")
  return float(value)
