"""TRC, OpenSim's marker files: tab-separated, y up, millimetres. Without gaps: OpenSim stops at an empty cell.

Names are Pose2Sim's, so that its models and scaling find them. Millimetres, since OpenSim before 4.0 previewed metres
wrongly.
"""

import os

import numpy as np
from jaxtyping import Float

from jaxpose import whole_file
from jaxpose.skeleton import Skeleton

_FIELDS = (
  "DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame", "OrigNumFrames"
)  # fmt: skip
_NAMES = {"pelvis": "Hip", "thorax": "Neck", "neck": "Neck", "head_top": "Head", "head": "HeadCentre"}


def write(
  path: str | os.PathLike,
  positions: Float[np.ndarray, "T J 3"],
  skeleton: Skeleton,
  fps: float | int,
  first_frame: int = 0,
) -> None:
  """Writes one person's positions [T, J, 3], metres, y up; time 0 is the recording's frame 0.

  Raises ValueError for positions that are not finite: write a file for each unbroken stretch.
  """
  if not len(positions) or not np.isfinite(positions).all():
    raise ValueError(f"{os.fspath(path)}: a TRC file has no empty cells; write a file for each unbroken stretch")
  names, count, frames = [marker(n) for n in skeleton.names], skeleton.num_joints, len(positions)
  head = [
    ["PathFileType", "4", "(X/Y/Z)", os.path.basename(os.fspath(path))],
    list(_FIELDS),
    [f"{fps:g}", f"{fps:g}", str(frames), str(count), "mm", f"{fps:g}", str(first_frame + 1), str(frames)],
    ["Frame#", "Time", *(cell for name in names for cell in (name, "", ""))],
    ["", "", *(f"{axis}{i}" for i in range(1, count + 1) for axis in "XYZ")],
  ]
  values = 1000 * positions.astype(np.float64).reshape(frames, -1)
  rows = [
    [str(first_frame + t + 1), f"{(first_frame + t) / fps:.6f}", *(f"{v:.4f}" for v in row)]
    for t, row in enumerate(values)
  ]
  whole_file.write(path, ("\n".join("\t".join(line) for line in head + rows) + "\n").encode())


def marker(name: str) -> str:
  """Pose2Sim's name of a joint: Hip, RHip, LKnee, Neck, Head, Nose."""
  if name in _NAMES:
    return _NAMES[name]
  side = {"left": "L", "right": "R"}.get(name.split("_")[0], "")
  words = name.split("_")[1:] if side else name.split("_")
  return side + "".join(word.capitalize() for word in words)
