"""The one operation of forward kinematics on files of angles, over all frames at once.

Rotations are float64 [3, 3, T], frames last: NumPy runs small products over a last axis of frames many times
faster than a stack of 3 x 3 matrices.
"""

import numpy as np
from jaxtyping import Float


def turn(rotation: Float[np.ndarray, "3 3 T"], axis: str, angle: Float[np.ndarray, " T"]) -> Float[np.ndarray, "3 3 T"]:
  """rotation @ R_axis(angle): turns a frame by `angle` radians about its own axis "x", "y" or "z", right-handed."""
  first = "xyz".index(axis)
  j, k = (first + 1) % 3, (first + 2) % 3
  cos, sin = np.cos(angle), np.sin(angle)
  turned = rotation.copy()
  turned[:, j] = cos * rotation[:, j] + sin * rotation[:, k]
  turned[:, k] = cos * rotation[:, k] - sin * rotation[:, j]
  return turned


def identity(frames: int) -> Float[np.ndarray, "3 3 T"]:
  return np.repeat(np.eye(3)[:, :, None], frames, -1)


def narrow(positions: Float[np.ndarray, "J 3 T"], where: str) -> Float[np.ndarray, "T J 3"]:
  """Joints as float32, frames first, NaN where the file has it; a ValueError names the first frame beyond float32."""
  with np.errstate(over="ignore"):
    result = np.ascontiguousarray(np.moveaxis(positions, -1, 0), np.float32)
  if np.isinf(result).any():
    frame = int(np.argwhere(np.isinf(result))[0][0])
    raise ValueError(f"{where}: frame {frame} (from 0) has a position beyond float32; a number of that frame is wrong")
  return result
