"""AlphaPose's alphapose-results.json: COCO's entries with the image's name for an id, of 17, 26 or 136 joints.

Its confidences go to 1, but to 6 for models trained on COCO (docs/output.md), and are clipped. Frames that nobody is in
are absent, and `idx` may be 0 for everybody (pPose_nms.py, write_json).
"""

import re

from jaxpose.keypoints import coco, source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = 'AlphaPose: [{"image_id": "31.jpg", "keypoints": [x, y, c, ...], "score": s}, ...]'


def matches(file: Source) -> bool:
  return coco.is_list(file.only, str)


def parse(file: Source, *, skeleton: str | None = None) -> Detections:
  """The people of a results file; frames are the numbers in image names, from 0 where they are plain numbers.

  skeleton: the joint set, where it is not the one of that many joints.
  """
  entries, where = coco.people(file.only, file.where), file.where
  for i, entry in enumerate(entries):
    if not isinstance(entry.get("image_id"), str):
      raise ValueError(f"{where}, entry {i}: image_id is {str(entry.get('image_id'))[:60]!r}; expected a file's name")
  keypoints, confidence = coco.triples(entries, where)
  names = [entry["image_id"] for entry in entries]
  its, notes = coco.body(keypoints.shape[1], where, skeleton)
  # From a video AlphaPose writes 0.jpg, 1.jpg, ...; other names are of pictures that may be counted from anywhere.
  plain = all(re.fullmatch(r"0|[1-9]\d*", name.rsplit(".", 1)[0]) for name in names)
  return Detections(
    frames=source.numbered(names, where),
    keypoints=keypoints[:, : its.num_joints],
    confidence=confidence[:, : its.num_joints],
    ids=coco.given_ids(entries, "idx", where),
    skeleton=its,
    first=0 if plain else None,
    notes=notes,
  )
