"""OpenPose's folder of NAME_000000000000_keypoints.json, a file a frame, also when nobody is in it.

A file is {"people": [{"person_id": [-1], "pose_keypoints_2d": [x, y, c] * 25}]}; a missing joint is 0, 0, 0, and the
order of people means nothing. BODY_25 and COCO_18 are told apart by their count. Coordinates follow --keypoint_scale:
0 pixels of the video, 1 and 2 of the network's input and output, 3 from 0 to 1, 4 from -1 to 1.
"""

from typing import Any

import numpy as np

from jaxpose.keypoints import coco, joints, source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = 'OpenPose: a folder of NAME_000000000000_keypoints.json, each {"people": [{"pose_keypoints_2d": [...]}]}'
UNITS = {None: "", 0: "px", 1: "px", 2: "px", 3: "unit", 4: "signed"}


def matches(file: Source) -> bool:
  value = next(iter(file.json.values()), None)
  return isinstance(value, dict) and isinstance(value.get("people"), list)


def parse(file: Source, *, keypoint_scale: int | None = None) -> Detections:
  """The people of a folder's files, or of one file.

  keypoint_scale: as OpenPose was given it; None tells pixels from 0 to 1 by the values.
  """
  if keypoint_scale not in UNITS:
    raise ValueError(f"--keypoint_scale={keypoint_scale}; OpenPose knows 0 to 4")
  where, rows, frames, ids = file.where, [], [], []
  names = {name.removesuffix("_keypoints.json").removesuffix(".json") for name in file.json}
  numbers = source.numbered(sorted(names, key=_order), where) if file.folder else np.zeros(1, np.int64)
  for frame, (name, value) in zip(numbers, sorted(file.json.items(), key=lambda item: _order(_stem(item[0])))):
    for at, person in enumerate(_people(value, f"{where}/{name}" if file.folder else where)):
      rows.append({"keypoints": person["pose_keypoints_2d"], "name": f"{name}, person {at}"})
      frames.append(frame)
      ids.append(person.get("person_id", [-1]))
  keypoints, confidence = coco.triples(rows, where)
  skeleton = joints.by_count(keypoints.shape[1], where)
  return Detections(
    frames=np.array(frames, np.int64),
    keypoints=keypoints,
    confidence=confidence,
    ids=coco.given_ids([{"person_id": i} for i in ids], "person_id", where),
    skeleton=skeleton,
    unit=UNITS[keypoint_scale],
    first=int(numbers.min()),
    count=int(np.ptp(numbers)) + 1,
  )


def _stem(name: str) -> str:
  return name.removesuffix("_keypoints.json").removesuffix(".json")


def _order(stem: str) -> tuple[int, str]:
  return source.number(stem) or 0, stem


def _people(value: Any, where: str) -> list[dict[str, Any]]:
  people = value.get("people") if isinstance(value, dict) else None
  if not isinstance(people, list):
    raise ValueError(f"{where}: no list of people in it; every file of the folder holds one frame")
  for person in people:
    if not isinstance(person, dict) or not isinstance(person.get("pose_keypoints_2d"), list):
      raise ValueError(f"{where}: a person without pose_keypoints_2d; was OpenPose run with its body model?")
  return [person for person in people if person["pose_keypoints_2d"]]
