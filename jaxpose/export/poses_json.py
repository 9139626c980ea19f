"""JSON in MMPose's shape, {"meta_info", "instance_info"}, with track ids, 3D, status and units beside its keys."""

import json
import os
from typing import Any

import numpy as np

from jaxpose import whole_file
from jaxpose.lifted import Lifted


def write(path: str | os.PathLike, lifted: Lifted) -> None:
  """Writes a frame a frame, also where nobody is. An instance has track_id, keypoints ([x, y] px, null where missing),
  keypoint_scores, keypoints_3d ([x, y, z] in the unit and axes of meta_info.units) and status (0 seen, 1 filled, 2
  missing). `jaxpose.keypoints` and MMPose's own scripts read the 2D.
  """
  text = json.dumps(as_dict(lifted), separators=(",", ":"), allow_nan=False) + "\n"
  whole_file.write(path, text.encode())


def as_dict(lifted: Lifted) -> dict[str, Any]:
  world = lifted.positions_world is not None
  poses = lifted.positions if lifted.positions_world is None else lifted.positions_world
  there = lifted.present
  frames = []
  for t, frame in enumerate(lifted.frames.tolist()):
    instances = [
      {
        "track_id": lifted.ids[n],
        "keypoints": _points(lifted.keypoints_2d[t, n], 2),
        "keypoint_scores": _rounded(lifted.confidence[t, n], 3),
        "keypoints_3d": _points(poses[t, n], 4),
        "status": lifted.status[t, n].tolist(),
      }
      for n in np.flatnonzero(there[t])
    ]
    frames.append({"frame_id": frame, "instances": instances})
  skeleton = lifted.skeleton
  meta = {
    "dataset_name": skeleton.name,
    "num_keypoints": skeleton.num_joints,
    "keypoint_id2name": {str(i): name for i, name in enumerate(skeleton.names)},
    "keypoint_name2id": {name: i for i, name in enumerate(skeleton.names)},
    "skeleton_links": [[p, c] for c, p in skeleton.bones],
    "fps": float(lifted.fps),
    "image_size": list(lifted.size),
    "units": {
      "keypoints": "px",
      "keypoints_3d": "m, z up, floor at 0" if world else "m, relative to the root; x right, y down, z forward",
    },
    "camera": {name: np.asarray(value, np.float64).tolist() for name, value in lifted.camera._asdict().items()},
    "provenance": lifted.provenance,
  }
  return {"meta_info": meta, "instance_info": frames}


def _points(points: np.ndarray, digits: int) -> list[list[float] | None]:
  return [_rounded(p, digits) if np.isfinite(p).all() else None for p in points]


def _rounded(values: np.ndarray, digits: int) -> list[float]:
  return [round(float(v), digits) for v in values]
