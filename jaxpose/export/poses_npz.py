"""npz with all that was lifted: what the other files are made of, and what scripts read."""

import io
import json
import os

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose import whole_file
from jaxpose.formats import npz
from jaxpose.geometry.camera import Camera
from jaxpose.lifted import Lifted

UNITS = (
  "positions: metres, root-relative, camera axes (x right, y down, z forward); positions_world: metres, z up, floor at "
  "0; keypoints_2d: pixels; camera rotation and translation: world to camera; status: 0 seen, 1 filled, 2 missing"
)
_OPTIONAL = ("positions_world", "raw", "raw_world")


def write(path: str | os.PathLike, lifted: Lifted) -> None:
  """Writes positions, positions_world, raw and raw_world (before smoothing), status, keypoints_2d, confidence, ids,
  frames, fps, names, parents, camera_*, units, and provenance as JSON; what is None is left out.
  """
  arrays = {name: getattr(lifted, name) for name in ("positions", "status", "keypoints_2d", "confidence", "frames")}
  arrays |= {name: getattr(lifted, name) for name in _OPTIONAL if getattr(lifted, name) is not None}
  arrays |= {f"camera_{name}": np.asarray(value, np.float32) for name, value in lifted.camera._asdict().items()}
  arrays["ids"] = np.array(lifted.ids, np.int64)
  arrays["fps"] = np.float64(lifted.fps)
  arrays["names"], arrays["parents"] = np.array(lifted.skeleton.names), np.array(lifted.skeleton.parents)
  arrays["skeleton"], arrays["units"] = np.array(lifted.skeleton.name), np.array(UNITS)
  arrays["provenance"] = np.array(json.dumps(lifted.provenance))
  file = io.BytesIO()
  np.savez_compressed(file, **arrays)
  whole_file.write(path, file.getvalue())


def read(path: str | os.PathLike) -> Lifted:
  """What `write` wrote. Raises OSError if it is not there, ValueError for another or a damaged file."""
  where = os.fspath(path)
  arrays = npz.read(where)
  needed = {
    "positions",
    "status",
    "keypoints_2d",
    "confidence",
    "frames",
    "ids",
    "fps",
    "names",
    "parents",
    "provenance",
  }
  absent = sorted((needed | {f"camera_{n}" for n in Camera._fields}) - set(arrays))
  if absent:
    raise ValueError(f"{where} has no {', '.join(absent)}; it is no file of lifted poses")
  try:
    names, parents = tuple(map(str, arrays["names"])), tuple(map(int, arrays["parents"]))
    return Lifted(
      positions=arrays["positions"],
      status=arrays["status"],
      keypoints_2d=arrays["keypoints_2d"],
      confidence=arrays["confidence"],
      frames=arrays["frames"],
      positions_world=arrays.get("positions_world"),
      raw=arrays.get("raw"),
      raw_world=arrays.get("raw_world"),
      ids=tuple(map(int, arrays["ids"])),
      fps=float(arrays["fps"]),
      skeleton=skeletons.Skeleton(str(arrays.get("skeleton", "lifted")), names, parents),
      camera=Camera(*(arrays[f"camera_{n}"] for n in Camera._fields)),
      provenance=json.loads(str(arrays["provenance"])),
    )
  except (ValueError, TypeError) as error:
    raise ValueError(f"{where} is no file of lifted poses, or a damaged one ({error})") from error
