import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose.synthetic import body, kinematics

BODY = body.proportioned(1.75)
LIMBS = (("arm", "thorax", "shoulder", "elbow", "wrist"), ("leg", "pelvis", "hip", "knee", "ankle"))


def pose(angles=None, root_angles=(0, 0, 0, 0), **named):
  values = np.zeros((1, len(kinematics.CHANNELS))) if angles is None else angles
  for name, degrees in named.items():
    values[:, kinematics.channel(name)] = np.radians(degrees)
  turned = np.tile(np.asarray(root_angles, np.float64), (len(values), 1))
  return kinematics.forward(BODY, np.zeros((len(values), 3)), turned, values)


def at(made, name):
  return made[name][0]


def test_zero_angles_stand_upright_face_z_and_have_the_left_at_x():
  made = pose()
  assert at(made, "left_hip")[0] > 0 > at(made, "right_hip")[0]
  assert at(made, "left_wrist")[0] > 0 > at(made, "right_wrist")[0]
  assert at(made, "nose")[2] > 0 and at(made, "left_ball")[2] > at(made, "left_heel")[2]
  heights = [at(made, n)[1] for n in ("left_ankle", "left_knee", "pelvis", "spine", "thorax", "nose", "head_top")]
  assert np.all(np.diff(heights) > 0)
  mirrored = made.points[0, list(kinematics.H36M.flip)] * (-1, 1, 1)
  np.testing.assert_allclose(mirrored, made.points[0, :17], atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
def test_joints_bend_the_way_that_people_do(side):
  out = kinematics.SIDES[side]
  rest = pose()
  for name, point, axis, sign in (
    ("knee_flexion", "ankle", 2, -1), ("elbow_flexion", "wrist", 2, 1), ("hip_flexion", "knee", 2, 1),
    ("hip_abduction", "knee", 0, out), ("shoulder_flexion", "elbow", 2, 1), ("shoulder_abduction", "elbow", 0, out),
    ("ankle_dorsiflexion", "ball", 1, 1), ("clavicle_elevation", "shoulder", 1, 1),
    ("clavicle_protraction", "shoulder", 2, 1),
  ):  # fmt: skip
    moved = pose(**{f"{side}_{name}": 25}).points - rest.points
    assert sign * moved[0, kinematics.POINTS.index(f"{side}_{point}"), axis] > 0.01, name
  inward = pose(**{f"{side}_hip_rotation": 30})
  assert out * (at(inward, f"{side}_ball") - at(inward, f"{side}_heel"))[0] < -0.01
  bent = pose(**{f"{side}_elbow_flexion": 90, f"{side}_shoulder_rotation": 40})
  assert out * (at(bent, f"{side}_wrist") - at(bent, f"{side}_elbow"))[0] < -0.01


def test_trunk_and_root_turn_to_the_left_and_bend_forward():
  for made in (pose(lumbar_flexion=30), pose(thoracic_flexion=30), pose(root_angles=(0, 0.5, 0, 0))):
    assert at(made, "head_top")[2] > 0.1
  for made in (pose(lumbar_lateral=15), pose(neck_lateral=15), pose(root_angles=(0, 0, 0.3, 0))):
    assert at(made, "head_top")[0] > 0.02
  for made in (pose(neck_twist=30), pose(root_angles=(0.5, 0, 0, 0)), pose(root_angles=(0, 0, 0, 0.5))):
    assert at(made, "nose")[0] > 0.02


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_bones_keep_their_length(seed):
  rng = np.random.default_rng(seed)
  angles = rng.uniform(-3, 3, (4, len(kinematics.CHANNELS)))
  points = kinematics.forward(BODY, rng.normal(size=(4, 3)), rng.uniform(-3, 3, (4, 4)), angles).points
  rest = pose().points
  for child, parent in kinematics.H36M.bones:
    lengths = np.linalg.norm(points[:, child] - points[:, parent], axis=-1)
    np.testing.assert_allclose(lengths, np.linalg.norm(rest[0, child] - rest[0, parent]), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from(["left", "right"]), st.sampled_from(LIMBS))
def test_reach_inverts_forward_kinematics(seed, side, limb):
  name, frame, ball, hinge, end = limb
  rng = np.random.default_rng(seed)
  angles = rng.uniform(-0.2, 0.2, (8, len(kinematics.CHANNELS)))
  channels = kinematics.limb_channels(side, name)
  angles[:, channels] = rng.uniform((-0.5, -0.1, -0.6, 0.6), (1.8, 0.7, 0.6, 2.2), (8, 4))
  root, root_angles = rng.normal(size=(8, 3)), rng.uniform(-1, 1, (8, 4))
  made = kinematics.forward(BODY, root, root_angles, angles)
  joint, middle, target = (made[f"{side}_{n}"] for n in (ball, hinge, end))
  found = kinematics.reach(BODY, side, name, getattr(made, frame), joint, target, middle - joint)
  np.testing.assert_allclose(found, angles[:, channels], atol=1e-6)


def test_reach_falls_short_softly_and_points_the_right_way():
  down = np.stack([np.zeros(50), -np.linspace(0.5, 2.0, 50) * BODY.leg, np.zeros(50)], -1)
  upright, joint = np.tile(np.eye(3), (50, 1, 1)), np.zeros((50, 3))
  leg = kinematics.reach(BODY, "left", "leg", upright, joint, down, np.tile((0.0, 0.0, 1.0), (50, 1)))
  knee = leg[:, 3]
  assert np.all(np.diff(knee) <= 1e-9) and knee[-1] > 0.05  # never snaps straight
  assert np.abs(np.diff(knee, 2)).max() < 0.2


def test_overhead_hands_do_not_flip():
  t = np.linspace(0, 2 * np.pi, 80)
  target = np.stack([0.05 * np.cos(t), np.full(80, 0.9 * BODY.arm), 0.05 * np.sin(t)], -1)
  upright, joint = np.tile(np.eye(3), (80, 1, 1)), np.zeros((80, 3))
  angles = np.zeros((80, len(kinematics.CHANNELS)))
  pole = np.tile((1.0, 0.0, 0.3), (80, 1))
  angles[:, kinematics.limb_channels("left", "arm")] = kinematics.reach(
    BODY, "left", "arm", upright, joint, target, pole
  )
  free = kinematics.forward(BODY, joint, np.zeros((80, 4)), angles)
  held = kinematics.forward(BODY, joint, np.zeros((80, 4)), kinematics.clamp(angles))
  for made in (free, held):
    assert np.linalg.norm(np.diff(made["left_wrist"], axis=0), axis=-1).max() < 0.1
    assert made["left_wrist"][:, 1].min() > made["left_shoulder"][:, 1].max()


def test_clamp_keeps_limits():
  rng = np.random.default_rng(0)
  wild = rng.uniform(-4, 4, (200, len(kinematics.CHANNELS)))
  tame = kinematics.clamp(wild)
  for side in kinematics.SIDES:
    for name in ("knee_flexion", "elbow_flexion", "hip_flexion", "ankle_dorsiflexion"):
      low, high = kinematics.LIMITS_DEG[f"{side}_{name}"]
      values = np.degrees(tame[:, kinematics.channel(f"{side}_{name}")])
      assert values.min() >= low - 1e-9 and values.max() <= high + 1e-9
  hanging = np.zeros((1, len(kinematics.CHANNELS)))
  low, high = kinematics.limits(hanging)
  np.testing.assert_allclose(np.degrees(np.stack([low[0], high[0]], -1)), list(kinematics.LIMITS_DEG.values()))


def test_unknown_angles_are_named():
  with pytest.raises(ValueError, match="left_tail_flexion.*left_knee_flexion"):
    kinematics.channel("left_tail_flexion")
