"""Rigs: the person stays upright, left stays left, projection agrees with the geometry, frames are marked."""

import json
import pathlib
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import skeleton as skeletons
from jaxpose.data import calibration, cameras
from jaxpose.data.clip import Motion, with_gaps
from jaxpose.geometry import camera as geometry

HERE = pathlib.Path(__file__).parent
H36M = skeletons.get("h36m_17")
PELVIS, LEFT_HIP, RIGHT_HIP, HEAD = (H36M.index(n) for n in ("pelvis", "left_hip", "right_hip", "head_top"))
ANKLES = [H36M.index("left_ankle"), H36M.index("right_ankle")]

# A standing person in metres, y up, who faces +z: the person's left is +x.
PERSON = {
  "pelvis": (0, 0.95, 0), "spine": (0, 1.2, 0), "thorax": (0, 1.45, 0),
  "nose": (0, 1.55, 0.08), "head_top": (0, 1.7, 0),
  "left_hip": (0.13, 0.95, 0), "left_knee": (0.13, 0.5, 0.02), "left_ankle": (0.13, 0.05, 0),
  "left_shoulder": (0.17, 1.42, 0), "left_elbow": (0.3, 1.15, 0), "left_wrist": (0.35, 0.9, 0.1),
}  # fmt: skip
POSE = np.array(
  [PERSON[n] if n in PERSON else np.multiply(PERSON[n.replace("right", "left")], (-1, 1, 1)) for n in H36M.names]
)


def motion(path=((0.0, 0.0),), yaw=0.0, up="y", fps=50.0, sequence="walk"):
  """The person at (x, z) places on the ground, turned by `yaw` about the vertical."""
  c, s = np.cos(yaw), np.sin(yaw)
  pose = POSE @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
  places = np.array(path, np.float64)
  positions = pose + np.stack([places[:, 0], np.zeros(len(places)), places[:, 1]], -1)[:, None]
  if up == "z":
    positions = np.stack([positions[..., 0], -positions[..., 2], positions[..., 1]], -1)
  return Motion(positions.astype(np.float32), H36M, fps, "S1", "Walk", sequence, up)


def motion_of(positions):
  return Motion(positions, H36M, 50.0, "S1", "Walk", "walk")


def face(camera, target):
  """The yaw (motion's own y-up frame) that turns the person towards a camera of a z-up world."""
  to_camera = -camera.rotation.T @ camera.translation - target
  return np.arctan2(to_camera[0], -to_camera[1])  # z-up (x, y) is y-up (x, -z): the person faces -y at yaw 0


@pytest.mark.parametrize("up", ["y", "z"])
@pytest.mark.parametrize("name", cameras.RIGS)
def test_a_person_who_faces_the_camera_is_upright_with_the_left_hip_at_the_right(name, up):
  rig = cameras.build(name)
  for clip in cameras.clips_from_motion(motion(up=up), rig):
    yaw = face(clip.camera, np.array([*rig.center, 0.0]))
    again = {c.camera_id: c for c in cameras.clips_from_motion(motion(yaw=yaw, up=up), rig)}[clip.camera_id]
    np.testing.assert_array_equal(again.camera.translation, clip.camera.translation)  # the same cameras
    (keypoints,) = again.keypoints_2d
    assert keypoints[LEFT_HIP, 0] > keypoints[RIGHT_HIP, 0]
    assert (keypoints[HEAD, 1] < keypoints[ANKLES, 1]).all()
    back = {c.camera_id: c for c in cameras.clips_from_motion(motion(yaw=yaw + np.pi, up=up), rig)}[clip.camera_id]
    assert back.keypoints_2d[0, LEFT_HIP, 0] < back.keypoints_2d[0, RIGHT_HIP, 0]
    assert abs(np.linalg.det(clip.camera.rotation) - 1) < 1e-5
    # Nothing is mirrored: the body keeps its handedness (hips, up, forward) in camera space.
    body = again.joints_3d[0] - again.joints_3d[0, PELVIS]
    frame = np.stack([body[LEFT_HIP], body[HEAD], body[H36M.index("left_wrist")]])
    own = np.stack([POSE[j] - POSE[PELVIS] for j in (LEFT_HIP, HEAD, H36M.index("left_wrist"))])
    np.testing.assert_allclose(np.linalg.det(frame), np.linalg.det(own), rtol=1e-3)


@pytest.mark.parametrize("name", cameras.RIGS)
def test_clips_agree_with_the_camera_model(name):
  """Pixels, camera space and the stored camera are one story, distortion included."""
  rng = np.random.default_rng(0)
  clips = cameras.clips_from_motion(motion(rng.uniform(-0.4, 0.4, (6, 2)), fps=25.0), cameras.build(name))
  for clip in clips:
    joints = jnp.asarray(clip.joints_3d)
    np.testing.assert_allclose(geometry.project(joints, clip.camera), clip.keypoints_2d, atol=2e-3)
    world = np.asarray(geometry.camera_to_world(joints, clip.camera))
    assert abs(world[..., 2].min() - 0.0) < 2e-3  # the ankles, on the floor
    bones = np.array(H36M.bones).T
    np.testing.assert_allclose(
      np.linalg.norm(world[:, bones[0]] - world[:, bones[1]], axis=-1),
      np.broadcast_to(np.linalg.norm(POSE[bones[0]] - POSE[bones[1]], axis=-1), (6, 16)),
      atol=1e-4,
    )
    assert clip.fps == 25.0 and clip.subject == "S1" and clip.action == "Walk" and clip.sequence == "walk"
  assert len({c.name for c in clips}) == len(clips)


def test_h36m_cameras_are_the_published_ones():
  with np.load(HERE.parent / "golden" / "h36m_camera.npz") as z:
    world, expected, pixels = z["world_m"], z["camera_m"], z["pixels"]
    camera_id, camera = cameras.build("h36m", subject="S1").cameras(np.random.default_rng(0), np.zeros(3))[0]
    assert camera_id == "54138969" and tuple(camera.size) == tuple(z["resolution_wh"])
  np.testing.assert_allclose(geometry.world_to_camera(jnp.asarray(world), camera), expected, atol=1e-5)
  np.testing.assert_allclose(geometry.project(jnp.asarray(expected), camera), pixels, atol=1e-3)
  joints, ours, _, _ = cameras.see(world.astype(np.float64), camera)
  np.testing.assert_allclose(joints, expected, atol=1e-5)
  np.testing.assert_allclose(ours, pixels, atol=1e-3)


@pytest.mark.parametrize("subject", calibration.H36M_EXTRINSICS)
def test_h36m_person_stands_in_the_middle_of_all_four_images(subject):
  clips = cameras.clips_from_motion(motion(), cameras.build("h36m", subject=subject))
  assert [c.camera_id for c in clips] == list(calibration.H36M_INTRINSICS)
  for clip in clips:
    assert clip.valid.all()
    assert np.abs(clip.keypoints_2d[0, PELVIS] - 500).max() < 150
    assert 3 < clip.joints_3d[0, PELVIS, 2] < 7


def test_frames_outside_the_image_or_too_near_are_not_valid():
  path = [(0, 0), (1.0, 0), (30.0, 0), (0, 30.0), (-30.0, 0), (0, -30.0)]
  rig = cameras.build("fixed_four", recentre="clip")
  far = motion(path)
  middle = np.array(path).mean(0)
  for clip in cameras.clips_from_motion(far, rig):
    z = clip.joints_3d[..., 2]
    inside = ((clip.keypoints_2d >= 0) & (clip.keypoints_2d < 1000)).all(-1) & (z >= cameras.NEAREST_M)
    np.testing.assert_array_equal(clip.valid, inside.all(-1))
    assert not clip.valid[2:].any() and np.isfinite(clip.keypoints_2d).all()
    np.testing.assert_allclose(  # centred on the mean
      np.asarray(geometry.camera_to_world(jnp.asarray(clip.joints_3d), clip.camera))[0, PELVIS, :2],
      [-middle[0], middle[1]],
      atol=1e-4,
    )
  assert any((c.joints_3d[..., 2] < 0).any() for c in cameras.clips_from_motion(far, rig))


def test_max_outside_counts_joints():
  camera = cameras.build("fixed_four").cameras(np.random.default_rng(0), np.zeros(3))[0][1]
  lifted = motion([(0, 0)] * 3)
  lifted.positions_world[1, HEAD, 1] = 4  # one joint out of the image
  lifted.positions_world[2, [HEAD, LEFT_HIP], 1] = 4
  for allowed, expected in ((0, [True, False, False]), (1, [True, True, False]), (2, [True, True, True])):
    clip = cameras.clips_from_motion(lifted, cameras.build("fixed_four", max_outside=allowed))[0]
    assert clip.valid.tolist() == expected
    np.testing.assert_array_equal(clip.camera.rotation, camera.rotation)


def test_a_joint_behind_the_camera_is_never_allowed():
  around = motion(30 * np.stack([np.cos(np.arange(8)), np.sin(np.arange(8))], -1))
  clips = cameras.clips_from_motion(around, cameras.build("fixed_four", max_outside=17))
  for clip in clips:
    np.testing.assert_array_equal(clip.valid, (clip.joints_3d[..., 2] >= cameras.NEAREST_M).all(-1))
  assert 0 < cameras.summary(clips)["valid_frames"] < 4 * 8


def test_gaps_of_a_motion_are_gaps_of_its_clips_and_move_nothing():
  whole = motion([(0.01 * i, 0) for i in range(20)])
  positions = whole.positions_world.copy()
  positions[6:9] = np.nan
  gappy = with_gaps(positions, skeleton=H36M, fps=50.0, subject="S1", sequence="walk")
  alone = np.delete(whole.positions_world, range(6, 9), 0)
  rig = cameras.build("fixed_four")
  for gap, full, cut in zip(*(cameras.clips_from_motion(m, rig) for m in (gappy, whole, motion_of(alone)))):
    assert not gap.valid[6:9].any() and np.delete(gap.valid, range(6, 9)).all() and full.valid.all()
    np.testing.assert_array_equal(gap.confidence[:, 0], ~np.isin(np.arange(20), (6, 7, 8)))
    np.testing.assert_allclose(np.delete(gap.joints_3d, range(6, 9), 0), cut.joints_3d, atol=1e-6)
  # At 40 fps frames 5, 6, 7 are 6.25, 7.5, 8.75 of the file's; 4 is its frame 5, and 3.75 (3) needs no missing one.
  between = cameras.clips_from_motion(gappy, rig, fps=40)[0]
  assert np.flatnonzero(~between.valid).tolist() == [5, 6, 7]


def test_a_motion_without_two_known_frames_beside_each_other_may_lose_all_when_resampled():
  positions = motion([(0, 0)] * 3).positions_world.copy()
  positions[0] = np.nan
  positions[2] = np.nan
  gappy = with_gaps(positions, skeleton=H36M, fps=50.0)
  for clip in cameras.clips_from_motion(gappy, cameras.build("fixed_four"), fps=25):
    assert len(clip) == 2 and not clip.valid.any() and not clip.confidence.any()


@pytest.mark.parametrize("lens", [(-0.2, 0.1, 2e-3, -1e-3), (-0.3, 0, 0, 0)])
def test_an_opencv_lens_sees_what_the_camera_model_projects(lens):
  eye = geometry.from_opencv([[800, 0, 500], [0, 800, 500], [0, 0, 1]], lens, (1000, 1000))
  points = np.random.default_rng(0).uniform((-3, -3, 1), (3, 3, 3), (20, 17, 3))
  joints, pixels, outside, near = cameras.see(points, eye)
  np.testing.assert_allclose(pixels, geometry.project(joints, eye), rtol=1e-5, atol=2e-3)
  r2 = (np.square(points[..., :2] / points[..., 2:])).sum(-1)
  assert not near.any() and (~outside).any()
  if lens[1] == 0:  # r (1 - 0.3 r^2) comes back from r^2 = 1 / 0.9 on
    assert outside[r2 > 1 / 0.9].all() and (~outside[r2 < 1]).any()


def test_summary_counts_clips_without_valid_frames():
  rig = cameras.build("fixed_four")
  clips = cameras.clips_from_motion(motion([(0, 0)] * 3), rig)
  away = 40 * np.array([np.cos(1.4), -np.sin(1.4)])  # between two cameras, and so out of every image
  clips += cameras.clips_from_motion(motion([away, -away]), rig)
  assert cameras.summary(clips) == {"clips": 8, "clips_without_valid_frames": 4, "frames": 20, "valid_frames": 12}


def test_window_recentring_follows_a_walk_and_clip_recentring_does_not():
  walk = motion(np.stack([np.linspace(0, 12, 600), np.zeros(600)], -1))
  left = cameras.clips_from_motion(walk, cameras.build("h36m"))
  followed = cameras.clips_from_motion(walk, cameras.build("h36m", recentre="window", window_s=2.0))
  assert cameras.summary(left)["valid_frames"] < 0.6 * 4 * 600
  assert cameras.summary(followed)["valid_frames"] == 4 * 600
  for a, b in zip(left, followed):  # only the place differs, never the pose
    np.testing.assert_allclose(a.joints_3d - a.joints_3d[:, :1], b.joints_3d - b.joints_3d[:, :1], atol=2e-5)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(frames=st.integers(1, 400), source=st.sampled_from([120.0, 120.0048, 60.0, 50.0, 25.0]), fps=st.floats(5, 200))
def test_resampling_keeps_time(frames, source, fps):
  times = np.arange(frames) / source
  resampled = cameras.resample(times[:, None], source, fps)
  np.testing.assert_allclose(resampled[:, 0], np.arange(len(resampled)) / fps, rtol=2e-3, atol=1e-9)
  assert resampled[-1, 0] <= times[-1] + 1e-9  # nothing is extrapolated, and nothing left out at the end
  assert times[-1] - resampled[-1, 0] < (1 / fps) * 1.001 + 1e-9


def test_an_integer_stride_takes_frames_as_they_are():
  positions = np.random.default_rng(0).normal(size=(121, 17, 3))
  np.testing.assert_array_equal(cameras.resample(positions, 120.0, 30.0), positions[::4])
  np.testing.assert_array_equal(cameras.resample(positions, 120.0048, 60.0), positions[::2])
  assert len(cameras.resample(positions, 120.0, 50.0)) == 51
  assert cameras.clips_from_motion(motion([(0, 0)] * 9), cameras.build("fixed_four"), fps=25)[0].fps == 25


def test_sampled_cameras_depend_on_seed_rig_subject_and_sequence_alone():
  def places(seed=0, name="mpi_inf_3dhp_test", **kwargs):
    clips = cameras.clips_from_motion(motion(**kwargs), cameras.build(name), seed=seed)
    return np.stack([c.camera.translation for c in clips])

  np.testing.assert_array_equal(places(), places())
  np.testing.assert_array_equal(places(), places(path=((1.0, 2.0),)))
  assert not np.array_equal(places(), places(seed=1))
  assert not np.array_equal(places(), places(sequence="run"))
  assert not np.array_equal(places(), places(name="random"))
  # The same in another process, whose string hashes differ.
  code = (
    f"import sys, json; sys.path.insert(0, {str(HERE)!r}); import cameras_test as t;"
    "clips = t.cameras.clips_from_motion(t.motion(), t.cameras.build('mpi_inf_3dhp_test'));"
    "print(json.dumps([c.camera.translation.tolist() for c in clips]))"
  )
  run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=HERE.parents[1])
  np.testing.assert_allclose(json.loads(run.stdout), places(), atol=1e-5)


def test_sampled_cameras_stay_in_their_ranges_and_mostly_hold_the_person():
  rig = cameras.build("mpi_inf_3dhp_test", cameras_per_motion=60)
  clips = cameras.clips_from_motion(motion(), rig)
  target = np.array([0, 0, 0.9])
  offsets = np.stack([-c.camera.rotation.T @ c.camera.translation - target for c in clips])
  distance = np.linalg.norm(offsets, axis=-1)
  elevation = np.arcsin(offsets[:, 2] / distance)
  assert distance.min() > 2.4 and distance.max() < 6.1
  assert -0.55 < elevation.min() < -0.3 and 0.7 < elevation.max() < 0.95
  assert {c.camera_id.split("_")[1] for c in clips} == set(calibration.MPI_INF_3DHP_TEST_INTRINSICS)
  assert cameras.summary(clips)["valid_frames"] > 50


def test_errors_name_the_value_and_the_choices():
  with pytest.raises(ValueError, match="unknown camera rig 'h37m'; known are h36m, mpi_inf"):
    cameras.build("h37m")
  with pytest.raises(ValueError, match="'h36m' has no option 'subjekt'; it has subject, recentre"):
    cameras.build("h36m", subjekt="S1")
  with pytest.raises(ValueError, match="subject 'S2'; known are S1, S5"):
    cameras.build("h36m", subject="S2")
  with pytest.raises(ValueError, match="recentre='frame'"):
    cameras.build("h36m", recentre="frame")
  with pytest.raises(ValueError, match="distance=.*expected"):
    cameras.build("random", distance=(6.0, 3.0))
  with pytest.raises(ValueError, match="focal=.*above 0"):
    cameras.build("random", focal=(0.0, 400.0))
  with pytest.raises(ValueError, match="cameras_per_motion=0"):
    cameras.build("random", cameras_per_motion=0)
  with pytest.raises(ValueError, match="fps=-1"):
    cameras.clips_from_motion(motion(), cameras.build("fixed_four"), fps=-1.0)
