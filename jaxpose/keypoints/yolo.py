"""YOLO's folder of NAME_1.txt, a line a person: class cx cy w h, then x y c of 17 joints, [score] [id], normalised.

A frame without people has no file. Two numbers after the joints are score and id; a single one is an id where it is
a whole number above 1, else a score. The class must be 0, a person.
"""

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.formats import text
from jaxpose.keypoints import coco, source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = "YOLO: a folder of NAME_1.txt, a line a person: 0 cx cy w h (x y c)*17 [score] [id]"
_HEAD, _BODY = 5, 51


def matches(file: Source) -> bool:
  if file.json:
    return False
  line = next((line for content in file.content.values() for line in content.splitlines() if line.strip()), b"")
  tokens = line[:4000].split()
  return _HEAD + _BODY <= len(tokens) <= _HEAD + _BODY + 2 and all(_is_number(t) for t in tokens)


def parse(file: Source) -> Detections:
  """The people of a folder's files, or of one file."""
  rows, tails, names = [], [], []
  for name, content in file.content.items():
    if not content.strip():
      continue
    where = f"{file.where}/{name}" if file.folder else file.where
    for number, line in enumerate(text.lines(content, where), 1):
      values = text.numbers(line.split(), where, number)
      if not values:
        continue
      if not _HEAD + _BODY <= len(values) <= _HEAD + _BODY + 2:
        raise text.error(where, number, f"{len(values)} numbers; expected {_HEAD + _BODY}, and perhaps score and id")
      if values[0] == 0:
        rows.append({"keypoints": values[_HEAD : _HEAD + _BODY]})
        tails.append(values[_HEAD + _BODY :])
        names.append(name)
  if not rows:
    raise ValueError(f"{file.where}: nobody in it (class 0); there is nothing to lift")
  keypoints, confidence = coco.triples(rows, file.where)
  ids = _ids(tails, file.where)
  return Detections(
    frames=source.numbered(names, file.where) if file.folder else np.zeros(len(rows), np.int64),
    keypoints=keypoints,
    confidence=confidence,
    ids=ids,
    skeleton=skeletons.get("coco_17"),
    unit="unit",
    first=1 if file.folder else 0,  # the first frame of a video is NAME_1
  )


def _ids(tails: list[list[float]], where: str) -> np.ndarray:
  """Ids [D], or -1 for everybody: lines that were tracked all end in an id."""
  last = [tail[-1] if len(tail) == 2 or (tail and tail[0] > 1) else -1.0 for tail in tails]
  if min(last) < 0:
    single = [tail[0] for tail in tails if len(tail) == 1]
    if single and all(value == 1 for value in single) and len(single) == len(tails):
      return np.ones(len(tails), np.int64)  # one person, whom the tracker called 1
    return np.full(len(tails), -1, np.int64)
  return np.array([source.whole(value, f"{where}, line {i}: id") for i, value in enumerate(last)], np.int64)


def _is_number(token: bytes) -> bool:
  try:
    float(token)
  except ValueError:
    return False
  return True
