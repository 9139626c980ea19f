"""People are people: limits, bones, ground, physics, sides and variety of every action, by simulation."""

import functools

import numpy as np
import pytest

from jaxpose.synthetic import kinematics, motion, scenes, track

SOURCE, TARGET = list(scenes.SOURCE), list(scenes.TARGET)
EVERY = [("train", i) for i in range(2 * len(SOURCE))] + [("target", i) for i in range(2 * len(TARGET))]
GROUNDED = {"walking", "talking", "reaching", "waving", "turning", "squatting", "sitting", "boxing", "kicking"}


@functools.cache
def made(split, index, seed=0):
  return motion.simulate(split, index, seed=seed)


def find(action, rounds=1):
  """Sequences of an action, one of each round."""
  split, names = ("train", SOURCE) if action in SOURCE else ("target", TARGET)
  return [made(split, names.index(action) + r * len(names)) for r in range(rounds)]


def joint(one, name):
  return one.points[:, kinematics.POINTS.index(name)]


@pytest.mark.parametrize(("split", "index"), EVERY)
def test_bodies_are_sound(split, index):
  one = made(split, index)
  low, high = kinematics.limits(one.angles)
  assert np.all(one.angles >= low - 1e-9) and np.all(one.angles <= high + 1e-9)
  for child, parent in kinematics.H36M.bones:
    length = np.linalg.norm(one.points[:, child] - one.points[:, parent], axis=-1)
    assert np.ptp(length) < 1e-6
  positions = one.motion.positions_world
  assert positions.dtype == np.float32 and positions.shape == (300, 17, 3)
  np.testing.assert_allclose(positions, one.points[:, :17], atol=1e-5)


@pytest.mark.parametrize(("split", "index"), EVERY)
def test_nobody_sinks_floats_or_teleports(split, index):
  one = made(split, index)
  gap = track.clearance(one.body, one.points)
  assert gap.min() > -1e-6
  if one.motion.action in GROUNDED:
    assert gap.max() < 0.02
  elif one.motion.action not in ("hanging", "climbing", "jumping", "running"):
    assert gap.max() < 0.03
  velocity = np.diff(one.points[:, :17], axis=0) * motion.FPS
  acceleration = np.diff(velocity, axis=0) * motion.FPS
  assert np.linalg.norm(velocity, axis=-1).max() < 14  # a sprinter's foot does 15 m/s
  assert np.linalg.norm(acceleration, axis=-1).max() < 300
  assert np.linalg.norm(velocity[:, 0], axis=-1).max() < 5


@pytest.mark.parametrize("action", ["walking", "turning", "squatting", "sitting", "crawling"])
def test_what_stands_does_not_slide(action):
  for one in find(action, 3):
    index, flesh = track.support_points(one.body)
    points = one.points[:, index]
    near = points[..., 1] - flesh < 0.015
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1) * motion.FPS
    slowest = np.where(near[1:] & near[:-1], speed, np.inf).min(1)
    supported = np.isfinite(slowest)
    assert supported.mean() > 0.9
    assert np.percentile(slowest[supported], 90) < 0.15 and np.median(slowest[supported]) < 0.03  # m/s


def test_left_is_left():
  for split, index in EVERY:
    one = made(split, index)
    upright = np.abs(one.root_angles[:, 1:]).max(1) < 0.5
    if not upright.any():
      continue
    left = (joint(one, "left_hip") - joint(one, "right_hip"))[upright]
    up = (joint(one, "thorax") - joint(one, "pelvis"))[upright]
    toes = sum(joint(one, f"{s}_ball") - joint(one, f"{s}_heel") for s in kinematics.SIDES)[upright]
    front = np.cross(left, up)  # left x up is forward in this right-handed world
    heading = one.root_angles[upright, 0]
    ahead = np.stack([np.sin(heading), np.zeros_like(heading), np.cos(heading)], -1)
    assert np.all((front * ahead).sum(-1) > 0)
    if one.motion.action in ("walking", "talking"):
      assert np.mean((toes * ahead).sum(-1) > 0) > 0.99


def test_walkers_swing_arms_against_legs_and_travel():
  together = []
  for one in find("walking", 3):
    heading = one.root_angles[:, 0]
    ahead = np.stack([np.sin(heading), np.zeros_like(heading), np.cos(heading)], -1)

    def lead(name, one=one, ahead=ahead):
      return ((joint(one, f"left_{name}") - joint(one, f"right_{name}")) * ahead).sum(-1)

    assert np.linalg.norm(np.diff(joint(one, "pelvis"), axis=0), axis=-1).sum() > 4
    assert np.percentile(lead("ankle"), 90) > 0.15 > -0.15 > np.percentile(lead("ankle"), 10)
    swings = one.angles[:, kinematics.channel("left_shoulder_flexion", "right_shoulder_flexion")]
    legs = one.angles[:, kinematics.channel("left_hip_flexion", "right_hip_flexion")]
    together.append(np.corrcoef(legs[:, 0] - legs[:, 1], swings[:, 0] - swings[:, 1])[0, 1])
  assert max(together) < 0.2 and np.median(together) < -0.6  # who carries or waves swings less


def test_no_two_cycles_are_alike():
  one = find("walking")[0]
  knee = one.angles[:, kinematics.channel("left_knee_flexion")[0]]
  shifted = [np.abs(knee[lag:] - knee[:-lag]).mean() for lag in range(20, 60)]
  assert min(shifted) > np.radians(0.5)


def test_runners_fly_and_climbers_rise():
  for one in find("running", 3):
    assert np.mean(track.clearance(one.body, one.points) > 0.015) > 0.1
  for one in find("climbing", 3):
    height = joint(one, "pelvis")[:, 1] / one.body.stature
    assert np.ptp(height) > 0.3
    # A hand that holds does not move; one of the two holds at any time.
    speed = [np.linalg.norm(np.diff(joint(one, f"{s}_wrist"), axis=0), axis=-1) * motion.FPS for s in kinematics.SIDES]
    assert np.percentile(np.minimum(*speed)[90:], 75) < 0.06


def test_jumpers_fall_with_gravity():
  one = find("jumping")[0]
  gap = np.minimum(*(np.minimum(joint(one, f"{s}_ball"), joint(one, f"{s}_heel"))[:, 1] for s in kinematics.SIDES))
  flying = gap > 0.03
  middle = flying[:-2] & flying[1:-1] & flying[2:]
  fall = np.diff(joint(one, "pelvis")[:, 1], 2) * motion.FPS**2
  assert middle.sum() > 5
  np.testing.assert_allclose(np.median(fall[middle]), -9.81, atol=0.6)


def test_sitters_sit_at_the_height_of_a_chair():
  for one in find("sitting", 3):
    pelvis = np.percentile(joint(one, "pelvis")[:, 1], 20) / one.body.stature
    assert 0.24 < pelvis < 0.36
    knees = one.angles[:, kinematics.channel("left_knee_flexion", "right_knee_flexion")]
    assert np.radians(65) < np.percentile(knees, 80) < np.radians(125)


def test_seeds_and_indices_alone_decide():
  first = motion.simulate("target", 3, seed=5, frames=40).motion
  motion.simulate("train", 0, seed=5, frames=40)
  again = motion.simulate("target", 3, seed=5, frames=40).motion
  np.testing.assert_array_equal(first.positions_world, again.positions_world)
  listed = list(motion.motions("target", 4, seed=5, frames=40))[3]
  np.testing.assert_array_equal(first.positions_world, listed.positions_world)
  other = motion.simulate("target", 3, seed=6, frames=40).motion
  assert np.abs(first.positions_world - other.positions_world).max() > 0.05


def test_people_and_actions_take_turns():
  target = [made("target", i).motion for i in range(2 * len(TARGET))]
  assert [m.action for m in target] == TARGET * 2
  assert len({m.sequence for m in target}) == len(target)
  assert len({m.subject for m in target}) > 10
  again = made("target", 0).body, made("target", 0, seed=0).body
  assert again[0] == again[1]
  same = motion.simulate("validation", 0, frames=2), motion.simulate("validation", 8 * 7, frames=2)
  bodies = {s.motion.subject: s.body for s in same}
  assert all(bodies[s.motion.subject] == s.body for s in same)


def turned(ones, step=10):
  """Root-relative poses [N, 17, 3], all facing the same way."""
  poses = []
  for one in ones:
    points = one.points[::step, :17] - one.points[::step, :1]
    hips = points[:, kinematics.POINTS.index("left_hip")] - points[:, kinematics.POINTS.index("right_hip")]
    back = kinematics.about_y(-np.arctan2(-hips[:, 2], hips[:, 0]))
    poses.append(points @ back.transpose(0, 2, 1))
  return np.concatenate(poses)


def nearest(poses, others):
  return np.array([np.linalg.norm(others - p, axis=-1).mean(-1).min() for p in poses])


def test_poses_are_many_and_the_target_is_far_from_the_source():
  source = turned([made("train", i) for i in range(2 * len(SOURCE))])
  target = turned([made("target", i) for i in range(2 * len(TARGET))])
  validation = turned([motion.simulate("validation", i, frames=150) for i in range(len(SOURCE))])
  kept = source[:1]
  for pose in source[1:]:
    if nearest(pose[None], kept)[0] > 0.1:
      kept = np.concatenate([kept, pose[None]])
  assert len(kept) > 15
  assert np.median(nearest(validation, source)) < 0.08
  assert np.median(nearest(target, source)) > 0.11


def test_unknown_splits_and_lengths_are_refused():
  with pytest.raises(ValueError, match="train, validation, target"):
    motion.simulate("test", 0)
  with pytest.raises(ValueError, match="frames=1"):
    motion.simulate("train", 0, frames=1)
