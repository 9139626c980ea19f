"""C3D, the biomechanics laboratories' file, by ezc3d (extra `c3d`): z up, millimetres, gaps as negative residuals."""

import os
import warnings
from types import ModuleType

import numpy as np
from jaxtyping import Float

from jaxpose import whole_file
from jaxpose.export.trc import marker
from jaxpose.skeleton import Skeleton

MOST_FRAMES = 65_535  # its header counts them in two bytes


def library() -> ModuleType:
  """ezc3d. Raises ValueError, saying how to install it, where it is missing."""
  try:
    import ezc3d
  except ImportError as error:
    raise ValueError("C3D needs ezc3d: pip install 'jaxpose[c3d]'") from error
  return ezc3d


def write(path: str | os.PathLike, positions: Float[np.ndarray, "T J 3"], skeleton: Skeleton, fps: float | int) -> None:
  """Writes one person's positions [T, J, 3], metres, z up; NaN is a gap.

  Raises ValueError for more frames than a file can count, and without ezc3d.
  """
  file = library().c3d()
  if not 0 < len(positions) <= MOST_FRAMES:
    raise ValueError(f"{os.fspath(path)}: {len(positions)} frames; a C3D file holds 1 to {MOST_FRAMES}, write several")
  millimetres = 1000 * positions.astype(np.float64)
  missing = np.asarray(~np.isfinite(millimetres).all(-1))
  points = np.ones((4, skeleton.num_joints, len(positions)))
  points[:3] = np.where(missing[..., None], 0, millimetres).transpose(2, 1, 0)
  file["parameters"]["POINT"]["RATE"]["value"] = [float(fps)]
  file["parameters"]["POINT"]["UNITS"]["value"] = ["mm"]
  file["parameters"]["POINT"]["LABELS"]["value"] = [marker(name) for name in skeleton.names]
  file["data"]["points"] = points
  file["data"]["meta_points"]["residuals"] = np.where(missing.T[None], -1.0, 0.0)
  file["data"]["meta_points"]["camera_masks"] = np.zeros((7, skeleton.num_joints, len(positions)), bool)
  with whole_file.writing(path) as temporary, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    file.write(str(temporary))
