"""MMPose's predictions: the inferencer's list of frames, and the demos' {"meta_info", "instance_info"}.

A frame is {"frame_id", "instances": [{"keypoints": [[x, y]], "keypoint_scores", "bbox", "bbox_score"}]}, counted from 0
by the inferencer and from 1 by the demos; of one picture the inferencer lists the instances alone. Nobody has an id,
scores are logits of SimCC and exceed 1, and names stand in the demos' meta_info only. What `jaxpose.export` writes is
read too: it has track ids.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.keypoints import coco, joints, source
from jaxpose.keypoints.source import Source
from jaxpose.keypoints.tracks import Detections

LAYOUT = 'MMPose: [{"frame_id": 0, "instances": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}]}, ...], or ' \
  '{"meta_info": ..., "instance_info": ...}'  # fmt: skip


def matches(file: Source) -> bool:
  value = file.only
  if isinstance(value, dict):
    return "instance_info" in value
  first = value[0] if isinstance(value, list) and value else None
  return isinstance(first, dict) and ("instances" in first or "keypoint_scores" in first)


def parse(file: Source, *, skeleton: str | None = None) -> Detections:
  """The people of a predictions file. skeleton: the joint set, where the file has no names."""
  value, where = file.only, file.where
  meta, frames = ({}, value) if isinstance(value, list) else (value.get("meta_info"), value["instance_info"])
  meta = meta if isinstance(meta, dict) else {}
  if isinstance(frames, list) and frames and isinstance(frames[0], dict) and "instances" not in frames[0]:
    frames = [{"frame_id": 0, "instances": frames}]  # of one picture
  numbers, instances, owners = _instances(frames, where)
  if not instances:
    raise ValueError(f"{where}: nobody in it; there is nothing to lift")
  keypoints = _points(instances, where)
  scores = source.table(
    [i.get("keypoint_scores", [1.0] * len(i["keypoints"])) for i in instances], lambda i: f"{where}, instance {i}"
  )
  if scores.shape != keypoints.shape[:2]:
    raise ValueError(f"{where}: {scores.shape[1]} scores for {keypoints.shape[1]} keypoints; get the file again")
  its, order, notes = _skeleton(meta, keypoints, where, skeleton)
  missing = np.isnan(keypoints).any(-1)
  return Detections(
    frames=owners,
    keypoints=keypoints[:, order],
    confidence=np.where(missing | np.isnan(scores), 0, scores)[:, order],
    ids=coco.given_ids(instances, "track_id", where),
    skeleton=its,
    unit="",
    first=int(numbers.min()),
    count=int(np.ptp(numbers)) + 1,
    fps=source.positive(meta["fps"], f"{where}: fps") if meta.get("fps") is not None else None,
    image_size=_size(meta, where),
    notes=notes,
  )


def _instances(frames: Any, where: str) -> tuple[np.ndarray, list[Mapping[str, Any]], np.ndarray]:
  """Frame numbers [T], the instances of all frames, and the frame of each."""
  if not isinstance(frames, list) or not frames:
    raise ValueError(f"{where}: no list of frames in it; get the file again")
  numbers, instances, owners = [], [], []
  for i, frame in enumerate(frames):
    if not isinstance(frame, dict) or not isinstance(frame.get("instances"), list):
      raise ValueError(f"{where}, frame {i}: expected frame_id and instances, got {str(frame)[:60]!r}")
    numbers.append(source.whole(frame.get("frame_id", i), f"{where}, frame {i}: frame_id"))
    if not frame["instances"]:
      continue
    instances += coco.people(frame["instances"], f"{where}, frame {numbers[-1]}")
    owners += [numbers[-1]] * len(frame["instances"])
  return np.array(numbers, np.int64), instances, np.array(owners, np.int64)


def _points(instances: list[Mapping[str, Any]], where: str) -> np.ndarray:
  flat = [[n for p in i["keypoints"] for n in (p if isinstance(p, list) else [p, p])] for i in instances]
  widths = {len(p) if isinstance(p, list) else 2 for i in instances for p in i["keypoints"]}
  if widths == {3}:
    raise ValueError(f"{where}: keypoints of three coordinates, poses in 3D already; give the 2D model's predictions")
  if widths != {2}:
    raise ValueError(f"{where}: keypoints of {sorted(widths)} coordinates; expected [x, y] or null for each joint")
  return source.table(flat, lambda i: f"{where}, instance {i}: keypoints").reshape(len(flat), -1, 2)


def _skeleton(
  meta: Mapping[str, Any], keypoints: np.ndarray, where: str, name: str | None
) -> tuple[skeletons.Skeleton, list[int], tuple[str, ...]]:
  count = keypoints.shape[1]
  names = meta.get("keypoint_id2name")
  if isinstance(names, dict) and len(names) == count and all(isinstance(n, str) for n in names.values()) and not name:
    absent = [i for i in range(count) if str(i) not in names]
    if absent:
      raise ValueError(f"{where}: keypoint_id2name names no joint {absent[0]}; get the file again")
    return joints.from_names([names[str(i)] for i in range(count)], where)
  if name:
    its = joints.named(name, count, where)
    return its, list(range(its.num_joints)), ()
  its, note = joints.guess(keypoints, where)
  return its, list(range(its.num_joints)), (note,)


def _size(meta: Mapping[str, Any], where: str) -> tuple[int, int] | None:
  size = meta.get("image_size")
  if size is None:
    return None
  if not isinstance(size, list) or len(size) != 2:
    raise ValueError(f"{where}: image_size is {str(size)[:60]!r}; expected [width, height]")
  return source.whole(size[0], f"{where}: width", 1), source.whole(size[1], f"{where}: height", 1)
