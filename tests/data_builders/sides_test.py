"""Left and right through the text formats of motion capture: who faces the camera has the right side at its left."""

import numpy as np
import pytest

from data_builders import build
from jaxpose.data import cameras, source
from tests import raw_motion
from tests.data_builders import bvh_mocap_test

SIDES = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")


def write(kind, folder):
  folder.mkdir()
  take = raw_motion.standing()
  if kind == "acclaim":
    (folder / "01.asf").write_text(raw_motion.asf(take))
    (folder / "01_01.amc").write_text(raw_motion.amc(take))
    return "cmu_mocap", "01"
  names = {"bvh, LeftUpLeg": bvh_mocap_test.LEFT_UP_LEG, "bvh, LeftHip": bvh_mocap_test.LEFT_HIP}[kind]
  (folder / "01_01.bvh").write_text(raw_motion.bvh(take, names))
  return "bvh_mocap", "train"


@pytest.mark.parametrize("kind", ["acclaim", "bvh, LeftUpLeg", "bvh, LeftHip"])
def test_a_person_facing_the_camera_keeps_its_sides(kind, tmp_path):
  name, split = write(kind, tmp_path / "raw")
  build.build(name, tmp_path / "data", tmp_path / "raw")
  (motion,) = source.load(name, [split], tmp_path / "data")
  at = motion.skeleton.index
  pose = motion.positions_world[0]
  for part in SIDES:
    assert pose[at(f"right_{part}"), 0] < -0.05 and pose[at(f"left_{part}"), 0] > 0.05
  assert pose[at("head_top"), 1] > pose[at("left_hip"), 1] > pose[at("left_ankle"), 1]
  # Seen from z, where it looks: image x to the camera's right, image y down.
  seen = [c for c in cameras.clips_from_motion(motion, cameras.build("fixed_four"), fps=120) if facing(c)]
  assert seen
  for clip in seen:
    for part in SIDES:
      right, left = (clip.keypoints_2d[0, at(f"{side}_{part}"), 0] for side in ("right", "left"))
      assert right < left


def facing(clip):
  """Whether the camera is before the person: up x forward is left, so forward is left x up."""
  pose, at = clip.joints_3d[0], clip.skeleton.index
  forward = np.cross(pose[at("left_hip")] - pose[at("right_hip")], pose[at("head_top")] - pose[0])
  return forward[2] < 0  # toward the camera
