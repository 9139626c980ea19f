"""A small 3DPW in the official files' formats, of procedural people: for tests and dry runs, never for numbers."""

import os
import pathlib

import numpy as np

from data_builders import body_fixture, body_models
from data_builders.body_fixture import SMPL
from data_builders.pw3d import sequence_file

# Split, official name of a sequence, genders of its people, upright image.
SEQUENCES = (
  ("train", "courtyard_arguing_00", "mf", True),
  ("train", "outdoors_climbing_00", "f", False),
  ("validation", "downtown_walkDownhill_00", "m", True),
  ("test", "downtown_walkUphill_00", "f", True),
  ("test", "downtown_bar_00", "fm", False),
)


def write(folder: str | os.PathLike, *, seed: int = 0, config: str = "h36m_17", frames: int = 14) -> None:
  """`sequenceFiles/` with SEQUENCES; for config h36m_17 the made-up body models and regressor beside it."""
  folder = pathlib.Path(folder)
  bodies = {g[0]: body_fixture.make("smpl", gender=g, seed=seed) for g in ("female", "male")}
  if config == "h36m_17":
    body_fixture.write_models(folder / body_models.FOLDER, "smpl", seed=seed)
  people = iter(body_fixture.people(sum(len(s[2]) for s in SEQUENCES), frames, seed=seed))
  for number, (split, name, genders, upright) in enumerate(SEQUENCES):
    at = folder / "sequenceFiles" / split / f"{name}.pkl"
    at.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, number])
    record = _record(name, [(g, bodies[g], next(people)) for g in genders], upright, rng)
    at.write_bytes(body_fixture.python_2(record))


def _record(name: str, people: list, upright: bool, rng: np.random.Generator) -> dict:
  """The dict of a sequence file."""
  size = (1080, 1920) if upright else (1920, 1080)
  intrinsics = np.array([[1961.85, 0, size[0] / 2], [0, 1969.23, size[1] / 2], [0, 0, 1]])
  frames = len(people[0][2])
  cameras = _cameras(np.concatenate([p[2][:, 0] for p in people]).mean(0), frames, rng)
  lists: dict[str, list] = {k: [] for k in ("poses", "trans", "betas", "jointPositions", "poses2d", "campose_valid")}
  for number, (_, body, positions) in enumerate(people):
    # Half of the real files hold 300 coefficients, zeros beyond the tenth.
    betas = np.concatenate([rng.normal(0, 0.8, 10), np.zeros(290 if number else 0)])
    rest = body_fixture.rest_joints(body, betas[:10])
    pose, pelvis = body_fixture.follow(positions, rest)
    translation = pelvis - rest[0]
    turned, joints = body_fixture.forward(pose, rest)
    joints = joints + translation[:, None]
    face = joints[:, SMPL.index("head")] + 0.08 * turned[:, SMPL.index("head"), :, 2]
    lists["poses"].append(pose.reshape(frames, 72))
    lists["trans"].append(translation)
    lists["betas"].append(betas)
    lists["jointPositions"].append(joints.reshape(frames, 72))
    lists["poses2d"].append(_detected(joints, face, cameras, intrinsics, rng))
    lists["campose_valid"].append((np.arange(frames) != 3 + number).astype(np.int64))
  return {
    "sequence": name,
    "genders": [p[0] for p in people],
    **lists,
    "cam_poses": cameras,
    "cam_intrinsics": intrinsics,
    "img_frame_ids": 2 * np.arange(frames),
    "poses_60Hz": [np.repeat(p, 2, 0) for p in lists["poses"]],
    "trans_60Hz": [np.repeat(t, 2, 0) for t in lists["trans"]],
    "v_template_clothed": [body.arrays["v_template"] for _, body, _ in people],
    "texture_maps": [np.full((2, 2, 3), 200, np.uint8)] * len(people),
    "comment": "h\u00e4ndisch",  # a text that only Latin-1 can read
  }


def _cameras(target: np.ndarray, frames: int, rng: np.random.Generator) -> np.ndarray:
  """World -> camera [T, 4, 4] of a telephone that someone carries around the people."""
  angle = rng.uniform(-np.pi, np.pi) + 0.01 * np.arange(frames)
  around = np.stack([np.cos(angle), 0.1 + 0.01 * np.sin(9 * angle), np.sin(angle)], -1)
  position = target + 5 * around
  forward = (target - position) / np.linalg.norm(target - position, axis=-1, keepdims=True)
  right = np.cross(forward, (0, 1, 0))
  right /= np.linalg.norm(right, axis=-1, keepdims=True)
  turn = np.stack([right, np.cross(forward, right), forward], 1)
  matrices = np.tile(np.eye(4), (frames, 1, 1))
  matrices[:, :3, :3] = turn
  matrices[:, :3, 3] = -np.einsum("tab,tb->ta", turn, position)
  return matrices


def _detected(joints, face, cameras, intrinsics, rng) -> np.ndarray:
  """OpenPose's output [T, 3, 18]: joints a few pixels off, no eyes and ears, and one frame without the person."""
  out = np.zeros((len(joints), 3, 18))
  for at, name in enumerate(sequence_file.OPENPOSE_18.names):
    if name == "nose":
      point = face
    elif name in SMPL.names:
      point = joints[:, SMPL.index(name)]
    else:
      continue
    seen = np.einsum("tab,tb->ta", cameras[:, :3, :3], point) + cameras[:, :3, 3]
    image = seen @ intrinsics.T
    out[:, :2, at] = image[:, :2] / image[:, 2:] + rng.normal(0, 2, (len(joints), 2))
    out[:, 2, at] = rng.uniform(0.4, 0.95, len(joints))
  out[-1] = 0
  return out
