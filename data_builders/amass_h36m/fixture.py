"""A small AMASS in the official files' formats, of procedural people: for tests and dry runs, never for numbers."""

import os
import pathlib
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from data_builders import body_fixture, body_models

# Folder, subject, motion, gender, the file's frame rate.
MOTIONS = (
  ("CMU", "01", "01_01", "male", 120.00004577636719),
  ("KIT", "3", "walking_run03", "female", 100.0),
  ("MPI_HDM05", "bk", "HDM_bk_01-01_01_120", "male", 120.0),
  ("Transitions_mocap", "mazen_c3d", "dance_stand", "female", 120.0),
)
_UPRIGHT = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up to z up: x, -z, y


def write(folder: str | os.PathLike, *, seed: int = 0, kind: str = "smplh", frames: int = 25) -> None:
  """MOTIONS as `DATASET/SUBJECT/MOTION_poses.npz` with each subject's `shape.npz`, or in SMPL-X's names and layout for
  kind "smplx"; the made-up body models and regressor beside them. The last motion has no `dmpls`.
  """
  folder = pathlib.Path(folder)
  body_fixture.write_models(folder / body_models.FOLDER, kind, seed=seed)
  people = body_fixture.people(len(MOTIONS), frames, seed=seed)
  for number, ((dataset, subject, motion, gender, fps), positions) in enumerate(zip(MOTIONS, people)):
    at = folder / dataset / subject
    at.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, number])
    body = body_fixture.make(kind, gender=gender, seed=seed)
    betas = rng.normal(0, 0.8, body_fixture.NUM_BETAS)
    poses, translation = parameters(body, betas, positions, rng)
    name = np.array(gender) if number % 2 else np.array(gender.encode())  # both kinds of text occur
    if kind == "smplh":
      soft = {"dmpls": rng.normal(0, 1, (frames, 8))} if number < len(MOTIONS) - 1 else {}
      record: dict[str, Any] = dict(poses=poses, trans=translation, betas=betas, gender=name, **soft)
      record |= dict(mocap_framerate=np.array(fps))
      np.savez(at / f"{motion}_poses.npz", **record)
      np.savez(at / "shape.npz", betas=betas, gender=name)
    else:
      parts = dict(
        zip(("root_orient", "pose_body", "pose_jaw", "pose_eye", "pose_hand"), np.split(poses, (3, 66, 69, 75), 1))
      )
      record = dict(poses=poses, trans=translation, betas=betas, gender=name, mocap_frame_rate=np.array(fps), **parts)
      record |= dict(
        num_betas=np.array(16), surface_model_type=np.array("smplx"), mocap_time_length=np.array(frames / fps)
      )
      np.savez(at / f"{motion}_stageii.npz", **record)
      np.savez(at / f"{motion}_stagei.npz", betas=betas, gender=name)


def parameters(body: body_fixture.Body, betas, positions, rng) -> tuple[np.ndarray, np.ndarray]:
  """poses [T, 3 J] and trans [T, 3] in a world with z up, of a person's joints [T, 17, 3] with y up."""
  rest = body_fixture.rest_joints(body, betas)
  pose, pelvis = body_fixture.follow(positions, rest)
  upright = Rotation.from_matrix(_UPRIGHT)
  pose[:, 0] = (upright * Rotation.from_rotvec(pose[:, 0])).as_rotvec()
  rest_of_it = rng.normal(0, 0.2, (len(pose), len(rest) - 22, 3))  # hands and face
  return np.concatenate([pose[:, :22], rest_of_it], 1).reshape(len(pose), -1), pelvis @ _UPRIGHT.T - rest[0]
