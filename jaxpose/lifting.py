"""From people's 2D keypoints to 3D: a detector's joints in, a lifter's out, before the camera and in an upright world.

`predict` is all that is asked of a lifter, adapted or not: clips in, a root-relative pose for each of their frames out.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from jaxpose import placing, smoothing
from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip
from jaxpose.geometry import upright
from jaxpose.geometry.camera import Camera
from jaxpose.keypoints import check, gaps
from jaxpose.keypoints.joints import LIMBS
from jaxpose.keypoints.read import ASSUMED_FPS
from jaxpose.keypoints.tracks import Status, Tracks
from jaxpose.lifted import Lifted
from jaxpose.skeleton import Skeleton

Predict = Callable[[Sequence[Clip]], Sequence[np.ndarray]]
_HARDLY = 1e-3  # of a joint's confidence


def lift(
  tracks: Tracks,
  predict: Predict,
  target: Skeleton,
  *,
  camera: Camera | None = None,
  up: str | float | int = "auto",
  height_m: float | int | None = None,
  smooth_hz: float | int | None = None,
  moving_camera: bool = False,
  eyes_as_crown: bool = True,
  provenance: dict[str, Any] | None = None,
) -> Lifted:
  """The poses of people's keypoints: in camera axes, and in an upright world unless the camera moves.

  predict: clips to root-relative metres [T, J, 3] a clip, joints of `target`. camera: of the image; if None, that of
  `placing.assumed_camera`, with a warning. up: as in `placing.stand`. height_m: of everyone; else people are as tall as
  those trained on. smooth_hz: cutoff of `smoothing.butterworth`; poses before it are kept as raw and raw_world.
  eyes_as_crown: of detectors without a crown `predict` sees the mean of the eyes in its place; else a missing joint,
  for lifters that trained so, and for whatever explains keypoints by a body.

  Frames with less than half of the limbs' joints are left empty (NaN). What was decided stands in provenance["notes"],
  the name of the keypoints' file, without its folder, in provenance["source"].
  Raises ValueError for keypoints without a size of the image or of another than the camera's, if no frame can be
  lifted, and for predictions of another shape or that are not finite; for options before anything is predicted.
  """
  fps = tracks.fps or ASSUMED_FPS
  _check_options(target, fps, up, height_m, smooth_hz)
  size, notes = check.image_size(tracks), list(check.stand_ins(tracks.skeleton, target))
  camera, note = placing.chosen_camera(camera, size, tracks.source)
  notes.append(note)
  mapped = mapped_to(tracks, target)
  sure = trusted(tracks.skeleton, target)
  shown = mapped if eyes_as_crown else dataclasses.replace(mapped, confidence=mapped.confidence * sure)
  places, clips = cut(shown, camera)
  positions = np.full((*mapped.status.shape, 3), np.nan, np.float32)
  for (n, frames), pose in zip(places, predict(clips), strict=True):
    positions[frames, n] = _checked(np.asarray(pose), mapped, n, frames)
  if height_m is not None:
    positions, sizes = _resized(positions, mapped, height_m)
    notes += sizes
  raw, world, raw_world = None, None, None
  if smooth_hz is not None and not tracks.still:
    raw, positions = positions, smoothing.butterworth(positions, fps, smooth_hz)
  if not moving_camera and (len(tracks) == 1 or not tracks.still):
    camera, world, raw_world, note = placing.stand(positions, raw, mapped, sure, camera, fps, up)
    notes.append(note)
  seen, lifted = mapped.present.sum(), np.isfinite(positions).all((-1, -2)).sum()
  if seen > lifted:
    notes.append(f"{seen - lifted} of {seen} poses are left empty: less than half of the limbs' joints are there")
  notes += check.sides(positions, target)
  return Lifted(
    positions=positions, status=mapped.status, ids=mapped.ids, frames=mapped.frames, fps=fps, skeleton=target,
    keypoints_2d=mapped.keypoints, confidence=mapped.confidence, camera=camera, positions_world=world, raw=raw,
    raw_world=raw_world,
    provenance={
      **(provenance or {}), "source": os.path.basename(tracks.source), "format": tracks.format,
      "notes": [*tracks.notes, *notes],
    },
  )  # fmt: skip


def mapped_to(tracks: Tracks, target: Skeleton) -> Tracks:
  """The tracks in the joints of `target`, by name; a joint of several is as certain as the least certain of them."""
  joints = skeletons.joint_map(tracks.skeleton, target)
  keypoints = joints(tracks.keypoints)
  keypoints[..., [target.index(name) for name in joints.missing], :] = np.nan
  missing = np.isnan(keypoints).any(-1)
  filled = (joints.matrix @ (tracks.status == Status.FILLED)[..., None].astype(np.float32))[..., 0] > 0
  status = np.where(missing, Status.MISSING, np.where(filled, Status.FILLED, Status.SEEN)).astype(np.uint8)
  confidence = np.where(missing, 0, joints.confidence(tracks.confidence)).astype(np.float32)
  return Tracks(
    keypoints, confidence, status, tracks.ids, tracks.frames, target, tracks.fps, tracks.image_size, tracks.source,
    tracks.format, tracks.notes, tracks.still,
  )  # fmt: skip


def cut(tracks: Tracks, camera: Camera) -> tuple[list[tuple[int, slice]], list[Clip]]:
  """A clip for each unbroken stretch of a person, or each photograph, and whose frames it holds, (n, frames).

  Raises ValueError if there is none.
  """
  there = enough(tracks)
  places = [(n, frames) for n in range(len(tracks.ids)) for frames in gaps.stretches(there[:, n])]
  if tracks.still:
    places = [(n, slice(t, t + 1)) for n, frames in places for t in range(frames.start, frames.stop)]
  if not places:
    raise ValueError(f"{tracks.source}: in no frame half of the limbs' joints are there; there is nothing to lift")
  return places, [_clip(tracks, n, frames, camera) for n, frames in places]


def enough(tracks: Tracks) -> Bool[np.ndarray, "T N"]:
  """Whose frames can be lifted: those with half of the limbs' joints."""
  limbs = [tracks.skeleton.index(name) for name in LIMBS if name in tracks.skeleton.names]
  return (tracks.status[:, :, limbs] != Status.MISSING).mean(-1) >= 0.5


def _clip(tracks: Tracks, n: int, frames: slice, camera: Camera) -> Clip:
  keypoints, confidence = tracks.keypoints[frames, n], tracks.confidence[frames, n]
  return Clip(
    keypoints_2d=np.nan_to_num(keypoints), confidence=confidence, joints_3d=None, valid=np.ones(len(keypoints), bool),
    camera=camera, skeleton=tracks.skeleton, fps=float(tracks.fps or ASSUMED_FPS), subject=f"person {tracks.ids[n]}",
    sequence=f"{tracks.frames[frames.start]}-{tracks.frames[frames.stop - 1]}", camera_id=tracks.source,
  )  # fmt: skip


def trusted(source: Skeleton, target: Skeleton) -> Bool[np.ndarray, " J"]:
  """Joints that say where a body is: all but a crown that is the mean of the eyes, which lie well below it."""
  averaged = skeletons.joint_map(source, target).averaged
  return np.array([name != "head_top" or name not in averaged for name in target.names])


def explained(source: Skeleton, target: Skeleton) -> Float[np.ndarray, " J"]:
  """How far adaptation takes a joint for the body's: 1, and next to nothing where it is the mean of others.

  The lifter sees these, but the mean of the hips is not where a body's pelvis is, and a body that is bent until its
  pelvis lies there is a worse one.
  """
  averaged = skeletons.joint_map(source, target).averaged
  return np.array([_HARDLY if len(averaged.get(name, ())) > 1 else 1 for name in target.names], np.float32)


def _resized(positions: np.ndarray, tracks: Tracks, height_m: float | int) -> tuple[np.ndarray, list[str]]:
  """Everyone of that height, and a note for each of the factor."""
  factors = height_m / placing.statures(positions, tracks.skeleton)
  notes = [f"size: person {i} times {f:.3f}, to {height_m:g} m" for i, f in zip(tracks.ids, factors) if np.isfinite(f)]
  return positions * factors.astype(np.float32)[:, None, None], notes


def _check_options(target: Skeleton, fps: float | int, up: Any, height_m: Any, smooth_hz: Any) -> None:
  upright.given_pitch_rad(up)
  if smooth_hz is not None:
    smoothing.check_cutoff(smooth_hz, fps)
  if height_m is not None and not 0.3 < height_m < 3:
    raise ValueError(f"--height={height_m}; expected the height of a person in metres, from 0.3 to 3")
  if height_m is not None and "head_top" not in target.names:
    raise ValueError(f"--height= needs a lifter with a head_top, and {target.name!r} has none")


def _checked(pose: np.ndarray, tracks: Tracks, n: int, frames: slice) -> np.ndarray:
  expected = (frames.stop - frames.start, tracks.skeleton.num_joints, 3)
  what = f"person {tracks.ids[n]}, frames {tracks.frames[frames.start]} to {tracks.frames[frames.stop - 1]}"
  if pose.shape != expected:
    raise ValueError(f"{what}: predictions have shape {pose.shape}, expected {expected} [T, J, 3]")
  if not np.isfinite(pose).all():
    raise ValueError(f"{what}: predictions hold NaN or infinity; the lifter's weights are damaged, or diverged")
  return pose
