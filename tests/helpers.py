"""Small clips and configs that several tests share."""

import numpy as np

from jaxpose import config as configs
from jaxpose import skeleton
from jaxpose.data.clip import Clip
from jaxpose.geometry import camera as cameras

CAMERA = cameras.create((1145.0, 1143.8), (512.5, 515.5), (1000, 1002), (-0.2, 0.25, -0.003), (-0.001, -0.0014))

# A standing person facing the camera: x right, y down, so the person's right is at negative x.
STANDING = np.array(
  [
    [0, 0, 0], [-0.13, 0, 0], [-0.13, 0.45, 0], [-0.13, 0.9, 0.02], [0.13, 0, 0], [0.13, 0.45, 0], [0.13, 0.9, 0.02],
    [0, -0.25, 0], [0, -0.5, 0], [0, -0.6, -0.05], [0, -0.72, 0], [0.17, -0.46, 0], [0.2, -0.18, 0], [0.2, 0.06, -0.02],
    [-0.17, -0.46, 0], [-0.2, -0.18, 0], [-0.2, 0.06, -0.02],
  ],
  np.float32,
)  # fmt: skip


def clip(
  frames: int = 12, seed: int = 0, sequence: str = "walk", subject: str = "S1", camera_id: str = "0", **changes
) -> Clip:
  """A standing person with Gaussian joint noise of 5 cm, 4 m before the camera."""
  rng = np.random.default_rng(seed)
  joints = STANDING + rng.normal(0, 0.05, (frames, 17, 3)).astype(np.float32) + np.float32([0, 0, 4])
  fields = dict(
    keypoints_2d=np.asarray(cameras.project(joints, CAMERA), np.float32),
    confidence=np.ones((frames, 17), np.float32),
    joints_3d=joints.astype(np.float32),
    valid=np.ones(frames, bool),
    camera=CAMERA,
    skeleton=skeleton.get("h36m_17"),
    fps=30.0,
    subject=subject,
    action="Walking",
    sequence=sequence,
    camera_id=camera_id,
  )
  return Clip(**{**fields, **changes})


def statistics(sensitivity: float = 0.1) -> dict:
  """What a checkpoint says of its training set, where everyone is built like `STANDING`."""
  child, parent = np.transpose(skeleton.get("h36m_17").bones)
  lengths = np.linalg.norm(STANDING[child] - STANDING[parent], axis=-1)
  return {"bone_lengths_m": lengths.astype(float).tolist(), "sensitivity": sensitivity}


def config(**changes) -> configs.Config:
  """A run of a few steps of a narrow MLP."""
  data = dict(dataset="synthetic_mocap", splits=("train",), rig="fixed_four")
  values = dict(
    train=data,
    validation=data,
    targets=dict(target=data),
    num_steps=12,
    batch_size=8,
    log_every=3,
    eval_every=6,
    model_options=dict(width=16, trunk_blocks=1, head_blocks=1, dropout=0.25),
  )
  return configs.from_dict({**values, **changes})
