"""BVH: positions come back through our own reader, the error that is printed is right, and nothing flips."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jaxpose import skeleton as skeletons
from jaxpose.export import bvh, joint_rotations
from jaxpose.formats import bvh as reader
from tests.export.people import H36M, walking


def back(path, unit=1.0):
  """The file's positions [T, 17, 3] in the order of h36m_17: an End Site has its parent's name."""
  motion = reader.read(path, unit)
  ends = {"ankle": "knee", "wrist": "elbow", "top": "nose"}
  names = [
    n if n in motion.skeleton.names else f"{n.replace(n.split('_')[1], ends[n.split('_')[1]])}_end" for n in H36M.names
  ]
  names = [n.replace("head_nose", "nose") for n in names]
  return motion.positions[:, [motion.skeleton.names.index(n) for n in names]], motion


@pytest.mark.parametrize(("split", "index"), [("train", 0), ("train", 2), ("train", 6), ("target", 3), ("target", 7)])
def test_bones_of_constant_length_come_back(tmp_path, split, index):
  positions = walking(90, index, split)
  # The trunk's joints move against each other; a rig has them rigid. Where they are, the file is exact.
  rig = joint_rotations.fit(positions, H36M)
  error = bvh.write(tmp_path / "a.bvh", positions, H36M, 30)
  got, motion = back(tmp_path / "a.bvh")
  assert motion.fps == 30 and len(got) == 90
  away = 1000 * np.linalg.norm(got - positions, axis=-1)
  assert abs(away.mean() - error) < 0.1
  np.testing.assert_allclose(away, 1000 * rig.residual_m, atol=0.01)
  rigid = got.astype(np.float64)  # bones of one length, now in the trunk too
  again = bvh.write(tmp_path / "b.bvh", rigid, H36M, 30)
  twice, _ = back(tmp_path / "b.bvh")
  assert again < 0.01 and 1000 * np.abs(twice - rigid).max() < 0.01


@pytest.mark.parametrize("noise", [0.02, 0.05])
def test_the_error_with_bones_that_change_their_length_is_told(tmp_path, noise):
  positions = walking(90).astype(np.float64)
  rng = np.random.default_rng(0)
  stretched = positions.copy()
  for child, parent in H36M.bones:  # in tree order in h36m_17
    length = 1 + noise * rng.normal(size=(len(positions), 1))
    stretched[:, child] = stretched[:, parent] + length * (positions[:, child] - positions[:, parent])
  error = bvh.write(tmp_path / "a.bvh", stretched, H36M, 30)
  got, _ = back(tmp_path / "a.bvh")
  assert abs(1000 * np.linalg.norm(got - stretched, axis=-1).mean() - error) < 0.1
  assert 1 < error < 25


def turns_deg(rig):
  """The greatest turn of any joint, in its parent's frame, from one frame to the next."""
  steps = np.einsum("tjba,tjbc->tjac", rig.rotations[:-1], rig.rotations[1:])
  return np.degrees(Rotation.from_matrix(steps.reshape(-1, 3, 3)).magnitude()).max()


@pytest.mark.parametrize(
  ("split", "index"),
  [("train", 0), ("train", 1), ("train", 2), ("target", 0), ("target", 1), ("target", 4), ("target", 7)],
)
@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_no_joint_turns_by_more_than_90_degrees_a_frame(split, index, noise):
  positions = walking(200, index, split) + noise * np.random.default_rng(0).normal(size=(200, 17, 3))
  assert turns_deg(joint_rotations.fit(positions, H36M)) < 90


def test_straight_arms_do_not_spin(tmp_path):
  """Arms that are straight up to 5 mm, in any direction, and swing about."""
  positions = walking(120).astype(np.float64)
  rng = np.random.default_rng(0)
  t = np.arange(120)[:, None] / 30
  for side, sign in (("left", 1), ("right", -1)):
    shoulder, elbow, wrist = (H36M.index(f"{side}_{n}") for n in ("shoulder", "elbow", "wrist"))
    way = np.concatenate([sign * np.cos(t), np.sin(t), 0.5 * np.sin(2 * t)], -1)
    way /= np.linalg.norm(way, axis=-1, keepdims=True)
    positions[:, elbow] = positions[:, shoulder] + 0.3 * way + 0.005 * rng.normal(size=(120, 3))
    positions[:, wrist] = positions[:, shoulder] + 0.55 * way + 0.005 * rng.normal(size=(120, 3))
  rig = joint_rotations.fit(positions, H36M)
  assert turns_deg(rig) < 90
  for side in ("left", "right"):  # nothing bends, so nothing turns about itself: no twist in the shoulder's swing
    elbow = H36M.index(f"{side}_elbow")
    assert 1000 * rig.residual_m[:, elbow].max() < 25


def test_a_knee_turns_the_thigh_and_the_shin_only_bends():
  positions = walking(90, 2)  # reaching low: knees bend
  rig = joint_rotations.fit(positions, H36M)
  for side in ("left", "right"):
    knee = H36M.index(f"{side}_knee")
    turn = Rotation.from_matrix(rig.rotations[:, knee]).as_rotvec()
    bent = np.linalg.norm(turn, axis=-1) > np.radians(25)
    if bent.any():
      axis = turn[bent] / np.linalg.norm(turn[bent], axis=-1, keepdims=True)
      assert (axis[:, 0] > 0.9).mean() > 0.9  # a hinge about x, backwards


def test_euler_angles_are_scipy_s_and_hold_at_the_lock():
  rotations = Rotation.random(500, random_state=0)
  ours = bvh.euler_zxy_deg(rotations.as_matrix()[:, None])[:, 0]
  again = Rotation.from_euler("ZXY", ours, degrees=True)
  assert (rotations.inv() * again).magnitude().max() < 1e-7
  locked = Rotation.from_euler("ZXY", [[30, 90, 20], [30, -90, 20]], degrees=True)
  again = Rotation.from_euler("ZXY", bvh.euler_zxy_deg(locked.as_matrix()[:, None])[:, 0], degrees=True)
  assert (locked.inv() * again).magnitude().max() < 1e-5


def test_smallest_swing_is_perpendicular_and_finite_at_the_opposite():
  aim = Rotation.random(100, random_state=1).apply([0, 0, 1.0])
  rest = np.array([0, -1.0, 0])
  swing = joint_rotations.smallest_swing(rest, np.concatenate([aim, [-rest], [rest]]))
  np.testing.assert_allclose(swing @ rest, np.concatenate([aim, [-rest], [rest]]), atol=1e-9)
  axes = Rotation.from_matrix(swing[:100]).as_rotvec()
  np.testing.assert_allclose(axes @ rest, 0, atol=1e-9)
  np.testing.assert_allclose(np.linalg.det(swing), 1, atol=1e-9)


def test_text_is_as_blender_reads_it(tmp_path):
  bvh.write(tmp_path / "a.bvh", walking(3), H36M, 25, unit="cm")
  lines = (tmp_path / "a.bvh").read_text().splitlines()
  assert lines[:2] == ["HIERARCHY", "ROOT pelvis"] and lines[4].strip() == (
    "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
  )
  assert sum("End Site" in line for line in lines) == 5 and lines[-6:-4] == ["MOTION", "Frames: 3"]
  assert lines[-4].startswith("Frame Time: 0.04")
  positions, _ = back(tmp_path / "a.bvh", 0.01)
  assert 0.5 < positions[0, 0, 1] < 1.2


def test_other_skeletons_go_too(tmp_path):
  positions = walking(30)
  sixteen = skeletons.joint_map(H36M, skeletons.get("h36m_16"))
  assert bvh.write(tmp_path / "a.bvh", sixteen(positions), sixteen.target, 30) < 15
  fourteen = skeletons.joint_map(H36M, skeletons.get("lsp_14"))
  assert bvh.write(tmp_path / "b.bvh", fourteen(positions), fourteen.target, 30) < 60  # one rigid trunk


def test_gaps_and_unknown_units_are_refused_and_nothing_is_written(tmp_path):
  positions = walking(30)
  positions[3, 4] = np.nan
  with pytest.raises(ValueError, match="a rig needs one frame or more of finite positions"):
    bvh.write(tmp_path / "a.bvh", positions, H36M, 30)
  with pytest.raises(ValueError, match="--bvh_unit=inch; known are m, cm"):
    bvh.write(tmp_path / "a.bvh", walking(2), H36M, 30, unit="inch")
  assert not list(tmp_path.iterdir())
