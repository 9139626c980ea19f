"""A sequence file of 3DPW: a Python 2 pickle with one or two people and one moving camera."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.formats import pickles

# The joints of `poses2d`, OpenPose's 18 of COCO, under this library's names.
OPENPOSE_18 = skeletons.Skeleton(
  "openpose_18",
  (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
  ),
  (1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15),
)  # fmt: skip
SMPL = skeletons.get("smpl_24")
_GENDERS = {"m": "male", "f": "female", "male": "male", "female": "female"}


class Person(NamedTuple):
  """One person of a sequence, at 30 frames a second.

  pose: SMPL's, axis-angle [T, 72]; translation: [T, 3] metres; betas: [10]; joints: [T, 24, 3], SMPL's kinematic joints
  in the world, metres; detected: [T, 18, 3], OpenPose's x, y in pixels and confidence; valid: [T], whether the camera's
  pose is trusted for this person.
  """

  gender: str
  pose: np.ndarray
  translation: np.ndarray
  betas: np.ndarray
  joints: np.ndarray
  detected: np.ndarray
  valid: np.ndarray


class Sequence(NamedTuple):
  """rotation [T, 3, 3] and translation [T, 3] take the world into each frame's camera; intrinsics [3, 3] pixels."""

  rotation: np.ndarray
  translation: np.ndarray
  intrinsics: np.ndarray
  people: list[Person]


def parse(content: bytes, name: str) -> Sequence:
  """The parts of a file that clips are made of. Raises ValueError that names the file and the key."""
  record = pickles.load(content, name)
  if not isinstance(record, Mapping):
    raise ValueError(f"{name} holds a {type(record).__name__}, expected the dict of a 3DPW sequence")
  cameras = _numbers(_get(record, name, "cam_poses"), (None, 4, 4), f"{name}: cam_poses", finite=False)
  frames = len(cameras)
  genders = _get(record, name, "genders", "gender")
  people = [_person(record, i, genders, frames, name) for i in range(len(genders))]
  if not people or not frames:
    raise ValueError(f"{name} has {len(people)} people in {frames} frames")
  return Sequence(
    cameras[:, :3, :3],
    cameras[:, :3, 3],
    _numbers(_get(record, name, "cam_intrinsics"), (3, 3), f"{name}: cam_intrinsics"),
    people,
  )


def _person(record: Mapping, index: int, genders: Any, frames: int, name: str) -> Person:
  def get(*keys: str) -> Any:
    people = _get(record, name, *keys)
    if len(people) <= index:
      raise ValueError(f"{name}: {keys[0]} has {len(people)} entries for {len(genders)} people")
    return people[index]

  gender = _GENDERS.get(str(genders[index]).lower())
  if gender is None:
    raise ValueError(f"{name}: gender {genders[index]!r} of person {index}; expected 'm' or 'f'")
  where = f"{name}: person {index}"
  valid = _numbers(get("campose_valid"), (frames,), f"{where}, campose_valid") != 0
  pose = _numbers(get("poses"), (frames, 72), f"{where}, poses")
  joints = _numbers(get("jointPositions"), (frames, 72), f"{where}, jointPositions")
  detected = _numbers(get("poses2d", "poses2D"), (frames, 3, 18), f"{where}, poses2d")
  betas = _numbers(get("betas"), (None,), f"{where}, betas")
  return Person(
    gender=gender,
    pose=pose,
    translation=_numbers(get("trans"), (frames, 3), f"{where}, trans"),
    betas=betas[:10],  # more than half of the files hold 300, of which those after the tenth are zero
    joints=joints.reshape(frames, SMPL.num_joints, 3),
    detected=detected.swapaxes(1, 2),
    valid=valid,
  )


def _get(record: Mapping, name: str, *keys: str) -> Any:
  """The value of the first of several spellings of a key."""
  for key in keys:
    if key in record:
      return record[key]
  raise ValueError(f"{name} lacks {keys[0]!r}; it has {', '.join(sorted(map(str, record)))}")


def _numbers(value: Any, shape: tuple[int | None, ...], what: str, finite: bool = True) -> np.ndarray:
  try:
    array = np.asarray(value, np.float64)
  except (TypeError, ValueError) as error:
    raise ValueError(f"{what} holds no numbers: {error}") from None
  if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape)):
    raise ValueError(f"{what} has shape {array.shape}, expected {tuple('any' if n is None else n for n in shape)}")
  if finite and not np.isfinite(array).all():
    raise ValueError(f"{what} holds NaN or infinity; get the file again")
  return array
