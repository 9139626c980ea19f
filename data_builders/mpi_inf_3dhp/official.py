"""MPI-INF-3DHP's own files, one sequence a file: training annot.mat with camera.calibration, test annot_data.mat."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from data_builders.mpi_inf_3dhp import published
from jaxpose import skeleton as skeletons
from jaxpose.data import calibration
from jaxpose.data.clip import Clip
from jaxpose.formats import matlab
from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera
from jaxpose.protocols.mpi_inf_3dhp import ACTIVITIES

# What is scored: "univ" is the universal skeleton, scaled about the pelvis, so only the pelvis projects onto annot2.
VARIABLES = {"univ": "univ_annot3", "metric": "annot3"}
FULL, RELEVANT = skeletons.get("mpi_inf_3dhp_28"), skeletons.get("mpi_inf_3dhp_17")
_TO_RELEVANT = skeletons.joint_map(FULL, RELEVANT)
_PROJECTION_PX = 2.0  # the published test intrinsics fit the annotation to a quarter of a pixel


def train_clips(
  path: str | os.PathLike,
  name: str,
  cameras: Mapping[int, Camera],
  key: tuple[int, int],
  annotation: str,
  chosen: Sequence[int],
) -> list[Clip]:
  """The clips of a training sequence, one a chosen camera: mpi_inf_3dhp_17, metres, camera axes.

  path: of annot.mat; name: its name in messages; cameras: of its camera.calibration; key: (subject, sequence);
  annotation: a key of VARIABLES. Rows beyond the sequence's published number of frames are cut: the videos have no such
  frames. Raises ValueError, naming the file, for what is not there or has another shape.
  """
  variable = VARIABLES[annotation]
  content = matlab.read(path, ("annot2", variable), where=name)
  pixels, joints = (_cells(content[v], v, name, c) for v, c in (("annot2", 2), (variable, 3)))
  subject, sequence = f"S{key[0]}", f"S{key[0]}_Seq{key[1]}"
  clips = []
  for number in chosen:
    if number not in cameras:
      raise ValueError(f"{name}: its camera.calibration lacks camera {number}; it has {sorted(cameras)}")
    flat, solid = pixels[number], joints[number]
    if len(flat) != len(solid):
      raise ValueError(f"{name}: camera {number} has {len(flat)} rows of annot2 and {len(solid)} of {variable}")
    frames = published.TRAIN[key].frames
    clips.append(
      clip(
        _TO_RELEVANT(flat[:frames]),
        _TO_RELEVANT(solid[:frames]) / 1000,
        None,
        cameras[number],
        fps=published.TRAIN[key].fps,
        subject=subject,
        sequence=sequence,
        camera_id=str(number),
      )
    )
  return clips


def test_clip(path: str | os.PathLike, name: str, sequence: str, annotation: str) -> Clip:
  """The clip of a test sequence, TS1 to TS6: mpi_inf_3dhp_17, metres, camera axes; `valid` is the file's valid_frame.

  Its camera is the published one; the world is the camera's own space, as no pose of the camera is used. Raises
  ValueError, naming the file, also for one without valid_frame: some copies lack it, and nothing else says which frames
  the evaluation scores.
  """
  variable = VARIABLES[annotation]
  content = matlab.read(path, ("annot2", variable, "valid_frame", "activity_annotation"), where=name)
  pixels, joints = (_frames_first(content[v], v, name, c) for v, c in (("annot2", 2), (variable, 3)))
  valid, activity = (content[v].ravel() for v in ("valid_frame", "activity_annotation"))
  for array, what in ((pixels, "annot2"), (valid, "valid_frame"), (activity, "activity_annotation")):
    if len(array) != len(joints):
      raise ValueError(f"{name}: {what} has {len(array)} frames, {variable} {len(joints)}")
  made = clip(
    pixels,
    joints / 1000,
    valid > 0,
    test_camera(sequence),
    activity=[_activity(x) for x in activity],
    fps=published.TEST[sequence].fps,
    subject=sequence,
    sequence=sequence,
    camera_id="0",
  )
  _check_camera(made, name)
  return made


def valid_frames(path: str | os.PathLike) -> int:
  """How many frames of a test sequence are scored."""
  return int((matlab.read(path, ("valid_frame",))["valid_frame"] > 0).sum())


def test_camera(sequence: str) -> Camera:
  """The published camera of a test sequence, at the world's origin."""
  return geometry.create(**calibration.MPI_INF_3DHP_TEST_INTRINSICS[sequence])


def clip(
  pixels: np.ndarray,
  joints: np.ndarray,
  valid: np.ndarray | None,
  camera: Camera,
  *,
  activity: Sequence[str] | None = None,
  **provenance: Any,
) -> Clip:
  """A clip of mpi_inf_3dhp_17 from pixels [T, 17, 2] and metres [T, 17, 3].

  A frame that is not finite, or has a joint behind the camera, is not valid; confidence is 0 where it is not finite.
  activity: a text a frame, "" for none.
  """
  known = np.asarray(np.isfinite(np.concatenate([pixels, joints], -1)).all(-1, keepdims=True))  # [T, J, 1]
  usable = (np.where(known, joints[..., 2:], 0) > 0).all((1, 2))
  return Clip(
    keypoints_2d=np.where(known, pixels, 0).astype(np.float32),
    confidence=known[..., 0].astype(np.float32),
    joints_3d=np.where(known, joints, 0).astype(np.float32),
    valid=usable & np.asarray(True if valid is None else valid, bool),
    camera=camera,
    skeleton=RELEVANT,
    extra={"activity": list(activity) if activity is not None else [""] * len(joints)},
    **provenance,
  )


def _cells(cells: Any, variable: str, name: str, channels: int) -> list[np.ndarray]:
  """Arrays [T, 28, channels], one a camera, from a cell of 14 matrices [T, 28 * channels]."""
  if not isinstance(cells, list) or len(cells) != published.CAMERAS:
    raise ValueError(f"{name}: {variable} is no cell of {published.CAMERAS} cameras")
  width = FULL.num_joints * channels
  for number, matrix in enumerate(cells):
    if np.ndim(matrix) != 2 or np.shape(matrix)[1] != width:
      raise ValueError(
        f"{name}: {variable} of camera {number} has shape {np.shape(matrix)}, expected [frames, {width}]"
      )
  return [m.reshape(len(m), FULL.num_joints, channels) for m in cells]


def _frames_first(array: Any, variable: str, name: str, channels: int) -> np.ndarray:
  """[T, 17, channels] from MATLAB's channels x 17 x 1 x T."""
  expected = (channels, RELEVANT.num_joints, 1)
  shape = np.shape(array)
  if shape == expected[:2]:  # MATLAB has no trailing axes of length 1: one frame
    shape = (*expected, 1)
  if len(shape) != 4 or shape[:3] != expected:
    raise ValueError(f"{name}: {variable} has shape {shape}, expected {channels} x {RELEVANT.num_joints} x 1 x frames")
  return array.reshape(shape)[:, :, 0].transpose(2, 1, 0)


def _activity(number: float) -> str:
  return ACTIVITIES[int(number) - 1] if number in range(1, len(ACTIVITIES) + 1) else ""


def _check_camera(made: Clip, name: str) -> None:
  """Warns where the pelvis, which both annotations share, is not where the published camera sees it."""
  assert made.joints_3d is not None  # `clip` makes them
  root = made.skeleton.root
  seen = made.valid & (made.confidence[:, root] > 0)
  if not seen.any():
    return
  x, z = made.joints_3d[seen, root, :2], made.joints_3d[seen, root, 2:]
  error = np.linalg.norm(x / z * made.camera.focal + made.camera.center - made.keypoints_2d[seen, root], axis=-1)
  if np.median(error) > _PROJECTION_PX:
    logging.warning(
      "%s: the pelvis lies %.1f px from its annotation in the published camera of %s; is this another sequence's file?",
      name, np.median(error), made.sequence,
    )  # fmt: skip
