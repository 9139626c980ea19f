"""P-STMO's data_train_3dhp.npz and data_test_3dhp.npz: pixels and universal 3D in the test set's 17 joints."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_builders.mpi_inf_3dhp import official, published
from jaxpose.data.clip import Clip
from jaxpose.formats import npz
from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera

TRAIN, TEST = "data_train_3dhp.npz", "data_test_3dhp.npz"
_SIZE = (2048, 2048)  # of all training videos
_FIT_PX = 2.0


def read(path: str | os.PathLike, name: str) -> dict[str, Any]:
  """The dict of one file: {'S1 Seq1': [{camera: {'data_2d', 'data_3d'}}, fps]} or {'TS1': {..., 'valid'}}."""
  content = npz.read(path, ("data",), where=name)["data"]
  if not isinstance(content, Mapping):
    raise ValueError(f"{name}: 'data' is no dict; is this P-STMO's file?")
  return dict(content)


def train_clips(where: str, key: str, sequence: Any, cameras: Sequence[int]) -> list[Clip]:
  """The clips of a training sequence 'S1 Seq1', [{camera: arrays}, fps]: those of `cameras` that it has.

  Their cameras are fitted to the pelvis: the file holds none. `where` names file and sequence in messages.
  """
  if not isinstance(sequence, list | tuple) or len(sequence) != 2 or not isinstance(sequence[0], Mapping):
    raise ValueError(f"{where}: expected a list of the cameras' dict and the frame rate")
  if len(key.split()) != 2:
    raise ValueError(f"{where}: a training sequence is named like 'S1 Seq1'")
  clips = []
  for camera in (str(c) for c in cameras if str(c) in sequence[0]):
    at = f"{where}, camera {camera}"
    pixels, joints = _arrays(sequence[0][camera], at)
    clips.append(
      official.clip(
        pixels,
        joints,
        None,
        fitted_camera(pixels, joints, at),
        fps=float(sequence[1]),
        subject=key.split()[0],
        sequence=key.replace(" ", "_"),
        camera_id=camera,
      )
    )
  return clips


def test_clips(where: str, sequence: str, values: Any) -> list[Clip]:
  """The clip of a test sequence; the file has no activities."""
  pixels, joints = _arrays(values, where)
  if "valid" not in values or np.size(values["valid"]) != len(joints):
    raise ValueError(f"{where} lacks 'valid', one number for each of {len(joints)} frames")
  return [
    official.clip(
      pixels,
      joints,
      np.asarray(values["valid"]).ravel() > 0,
      official.test_camera(sequence),
      fps=published.TEST[sequence].fps,
      subject=sequence,
      sequence=sequence,
      camera_id="0",
    )
  ]


def fitted_camera(pixels: np.ndarray, joints: np.ndarray, where: str) -> Camera:
  """The pinhole camera of 2048 x 2048 pixels that sees the pelvis of joints [T, 17, 3] at its pixels, by least squares.

  The universal skeleton is scaled about the pelvis, which is thus where the true one is: it alone projects. Raises
  ValueError where it does not, or does not move enough to tell focal length from centre.
  """
  root = official.RELEVANT.root
  focal, center = [], []
  for axis in range(2):
    ray = joints[:, root, axis] / joints[:, root, 2]
    equations = np.stack([ray, np.ones_like(ray)], -1)
    solution, _, rank, _ = np.linalg.lstsq(equations, pixels[:, root, axis], rcond=None)
    error = np.abs(equations @ solution - pixels[:, root, axis])
    if rank < 2 or not solution[0] > 0 or not np.median(error) < _FIT_PX:
      raise ValueError(f"{where}: no camera sees the pelvis where data_2d has it; its own intrinsics are in no file")
    focal.append(solution[0])
    center.append(solution[1])
  return geometry.create(focal, center, _SIZE)


def _arrays(values: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
  """data_2d [T, 17, 2] in pixels and data_3d [T, 17, 3] in metres."""
  arrays = []
  for variable, channels in (("data_2d", 2), ("data_3d", 3)):
    if not isinstance(values, Mapping) or variable not in values:
      raise ValueError(f"{where} lacks {variable!r}")
    array = np.asarray(values[variable])
    if array.ndim != 3 or array.shape[1:] != (official.RELEVANT.num_joints, channels):
      raise ValueError(f"{where}: {variable} has shape {array.shape}, expected [frames, 17, {channels}]")
    arrays.append(array.astype(np.float64))
  if len(arrays[0]) != len(arrays[1]):
    raise ValueError(f"{where}: {len(arrays[0])} frames of data_2d, {len(arrays[1])} of data_3d")
  return arrays[0], arrays[1] / 1000
