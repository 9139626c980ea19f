"""DeepLabCut's CSV: header rows scorer, [individuals,] bodyparts, coords; then a frame a row, x, y, likelihood, pixels.

Body parts have the user's own names: `joints` ({theirs: ours}) renames those that are not ours. Individuals are people,
in the order of the file. The first column is the frame's number, or the name of its picture.
"""

import csv
from collections.abc import Mapping

import numpy as np

from jaxpose.formats import text
from jaxpose.keypoints import joints as joint_sets
from jaxpose.keypoints import source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = "DeepLabCut: CSV whose first rows are scorer, [individuals,] bodyparts, coords"
_HEADER = ("scorer", "individuals", "bodyparts", "coords")
_COORDS = ("x", "y", "likelihood")


def matches(file: Source) -> bool:
  return not file.folder and file.bytes[:9].removeprefix(b"\xef\xbb\xbf").lower().startswith(b"scorer")


def parse(file: Source, *, joints: Mapping[str, str] | None = None) -> Detections:
  """The individuals of a CSV file. joints: {their body part: our joint}."""
  where = file.where
  try:
    rows = [r for r in csv.reader(text.lines(file.bytes, where)) if r]
  except csv.Error as error:
    raise ValueError(f"{where} is no CSV ({error}); get the file again") from error
  header = {}
  while (
    rows and not header.get("coords") and rows[0][0].strip().lower() in ("scorer", "individuals", "bodyparts", "coords")
  ):
    row = rows.pop(0)
    header[row[0].strip().lower()] = [cell.strip() for cell in row[1:]]
  if "bodyparts" not in header or "coords" not in header or not rows:
    raise ValueError(f"{where}: expected rows bodyparts and coords and then frames; it is cut short or another CSV")
  width = len(header["coords"])
  people = header.get("individuals", ["person"] * width)
  columns = {}
  for at, key in enumerate(zip(people, header["bodyparts"], header["coords"])):
    if key in columns:
      raise ValueError(f"{where}: the column {', '.join(key)} stands twice")
    columns[key] = at
  names = list(dict.fromkeys(header["bodyparts"]))
  skeleton, order, notes = joint_sets.from_names(names, where, joints)
  values = _values(rows, width, where)
  frames = _frames([row[0] for row in rows], where)
  individuals = list(dict.fromkeys(people))
  detections = np.full((len(individuals), len(rows), len(order), 3), np.nan)
  for i, person in enumerate(individuals):
    for j, at in enumerate(order):
      for c, coordinate in enumerate(_COORDS):
        if (column := columns.get((person, names[at], coordinate))) is not None:
          detections[i, :, j, c] = values[:, column]
  if "likelihood" not in header["coords"]:
    detections[..., 2] = 1.0  # labels of a person, not of a network
  ids = np.repeat(np.arange(1, len(individuals) + 1), len(rows)).reshape(detections.shape[:2])
  missing = np.asarray(np.isnan(detections).any(-1))
  seen = ~missing.all(-1)
  if "individuals" in header:
    notes = (*notes, "people are " + ", ".join(f"{i} {name}" for i, name in enumerate(individuals, 1)))
  return Detections(
    frames=np.broadcast_to(frames, detections.shape[:2])[seen],
    keypoints=np.where(missing[..., None], np.nan, detections[..., :2])[seen],
    confidence=np.where(missing, 0, detections[..., 2])[seen],
    ids=ids[seen],
    skeleton=skeleton,
    first=int(frames.min()),
    count=int(np.ptp(frames)) + 1,
    notes=notes,
  )


def _values(rows: list[list[str]], width: int, where: str) -> np.ndarray:
  for row in rows:
    if len(row) != width + 1:
      raise ValueError(f"{where}, frame {row[0]!r}: {len(row) - 1} values, {width} expected; the file is cut or joined")
  cells = [[cell if cell.strip() else "nan" for cell in row[1:]] for row in rows]
  try:
    values = [[float(cell) for cell in row] for row in cells]
  except ValueError:
    wrong = next(c for row in cells for c in row if not _is_number(c))
    raise ValueError(f"{where}: {wrong[:60]!r} is no number; get the file again") from None
  return source.table(values, lambda i: f"{where}, frame {rows[i][0]!r}")


def _is_number(cell: str) -> bool:
  try:
    float(cell)
  except ValueError:
    return False
  return "_" not in cell


def _frames(cells: list[str], where: str) -> np.ndarray:
  plain = [cell.strip().removesuffix(".0") for cell in cells]
  if all(cell.isascii() and cell.isdigit() and len(cell) < 16 for cell in plain):
    frames = np.array([int(cell) for cell in plain], np.int64)
  else:
    frames = source.numbered([cell.rsplit("/", 1)[-1].rsplit("\\", 1)[-1] for cell in cells], where)
  if len(np.unique(frames)) != len(frames):
    raise ValueError(f"{where}: a frame stands twice in it; get the file again")
  return frames
