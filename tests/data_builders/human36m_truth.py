"""What Human3.6M's fixture must give, by independent float64 arithmetic from the published constants."""

import pathlib

import numpy as np

from data_builders import build
from data_builders.human36m import fixture, takes
from jaxpose import skeleton as skeletons
from jaxpose.data import calibration as numbers
from jaxpose.data import source

H36M = skeletons.get("h36m_17")
OF_32 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]  # as every paper's code lists it
CAMERAS = ("54138969", "55011271", "58860488", "60457274")
FACTS = dict(
  dataset="human36m", split="S9+S11", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=1, seed=0,
  oracles=[],
)  # fmt: skip


def made(folder: pathlib.Path, config="official", **options):
  """(what was built, its clips by name) of a fixture of `config`."""
  fixture.write(folder / "raw", config=config, **options)
  return again(folder, config)


def again(folder, config="official"):
  built = build.build(f"human36m/{config}", folder / "data", folder / "raw")
  clips = source.load_clips(f"human36m/{config}", list(built.splits), folder / "data")
  assert len({c.name for c in clips}) == len(clips)
  return built, {c.name: c for c in clips}


def turn(q, v):
  """v [..., 3] rotated by the quaternion q = (w, x, y, z): v + 2 u x (u x v + w v)."""
  u, w = np.array(q[1:]), q[0]
  return v + 2 * np.cross(np.broadcast_to(u, v.shape), np.cross(np.broadcast_to(u, v.shape), v) + w * v)


def seen(world_m, subject, camera_id):
  """Camera space and pixels in float64, as VideoPose3D computes them from its constants."""
  (w, *xyz), position = numbers.H36M_EXTRINSICS[subject][CAMERAS.index(camera_id)]
  joints = turn((w, *(-x for x in xyz)), world_m - np.array(position) / 1000)
  own = numbers.H36M_INTRINSICS[camera_id]
  xx = np.clip(joints[..., :2] / joints[..., 2:], -1, 1)
  r2 = (xx**2).sum(-1, keepdims=True)
  radial = 1 + sum(k * r2**i for i, k in enumerate(own["radial"], 1))
  tangential = (np.array(own["tangential"]) * xx).sum(-1, keepdims=True)
  xxx = xx * (radial + tangential) + np.array(own["tangential"]) * r2
  return joints, xxx * np.array(own["focal"]) + np.array(own["center"])


def truth():
  """{(subject, canonical take): world metres [T, 17, 3]} of the default fixture, by published indices."""
  order = [(s, t) for s in fixture.TAKES for t in fixture.TAKES[s]]
  poses = {(s, t): fixture.positions(s, t, frames=40 + 3 * i) for i, (s, t) in enumerate(order)}
  return {(s, takes.canonical(t)): p[:, OF_32].astype(float) / 1000 for (s, t), p in poses.items()}
