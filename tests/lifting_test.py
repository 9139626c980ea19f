"""Lifting by a stand-in that knows the true poses: what is left is what maps, cuts, places and turns them."""

import dataclasses
import warnings

import ml_dtypes
import numpy as np
import pytest

from jaxpose import keypoints, lifted, lifting, placing
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras
from jaxpose.export import poses_npz, save
from jaxpose.keypoints import Status, sample
from jaxpose.keypoints.sample import FPS, FRAMES, SIZE

H36M, COCO = skeletons.get("h36m_17"), skeletons.get("coco_17")


@pytest.fixture(scope="module")
def scene():
  return sample.scene()


def absolute(scene):
  """Metres in camera axes [T, 2, 17, 3]."""
  points = scene.points[:, :, :17]
  return np.stack([cameras.see(points[:, n], scene.camera)[0] for n in range(2)], 1)


def heights_over_the_lowest_joints(scene):
  """The world's floor is where ankles are, which no joint lies below."""
  heights = scene.points[:, :, :17, 2]
  return heights - np.percentile(heights.min(-1), 1)


def truth(scene):
  """Root-relative metres in camera axes [T, 2, 17, 3]."""
  return absolute(scene) - absolute(scene)[:, :, :1]


def pixels(scene, joints=COCO):
  points = sample.detector_joints(scene.points, joints)
  return np.stack([cameras.see(points[:, n], scene.camera)[1] for n in range(2)], 1)


def knowing(poses, people=None, clips=None):
  """Predicts the true poses [T, N, J, 3] of the frames that a clip's name says; notes clips in a list."""

  def predict(given):
    (clips if clips is not None else []).extend(given)
    out = []
    for clip in given:
      first, last = map(int, clip.sequence.split("-"))
      n = int(clip.subject.split()[1]) - 1
      out.append(poses[first : last + 1, n if people is None else people[n]])
    return out

  return predict


def in_camera_axes(got):
  return got.positions_world @ np.asarray(got.camera.rotation).T + np.asarray(got.camera.translation)


@pytest.fixture
def tracks(scene):
  return keypoints.arrays(pixels(scene), image_size=SIZE, fps=FPS)


def test_true_poses_come_to_stand_where_they_stood(scene, tracks, tmp_path):
  poses = truth(scene)
  got = lifting.lift(tracks, knowing(poses), H36M, camera=scene.camera)
  np.testing.assert_array_equal(got.positions, poses)
  assert got.present.all() and got.raw is None and (got.status == Status.SEEN).all()
  # The place: COCO's hips and shoulders are means of ours. Depth is smoothed, so in the mean.
  world = np.asarray(got.positions_world)
  seen = np.asarray(lifted.reprojected(got))
  limbs = [H36M.index(name) for name in ("left_ankle", "right_ankle", "left_wrist", "right_wrist", "left_knee")]
  assert np.median(np.linalg.norm(seen - got.keypoints_2d, axis=-1)[:, :, limbs]) < 4
  assert lifted.reprojection_px(got) < 1
  # The world: heights over the floor, and how far they walk.
  np.testing.assert_allclose(world[..., 2], heights_over_the_lowest_joints(scene), atol=0.1)
  way = lambda p: np.linalg.norm(p[-1, :, 0] - p[0, :, 0], axis=-1)  # noqa: E731
  np.testing.assert_allclose(way(world), way(scene.points), rtol=0.05)
  assert any("up: the camera looks down by 1" in note for note in got.provenance["notes"])
  assert any("head_top is the mean of left_eye, right_eye" in note for note in got.provenance["notes"])
  # Every writer takes it.
  files = save.save(tmp_path, got, ("json", "html", "bvh", "trc")).files
  assert {f.name for f in files} >= {"poses.npz", "viewer.html", "person1.bvh", "person2.trc"}
  back = poses_npz.read(tmp_path / "poses.npz")
  np.testing.assert_array_equal(back.positions_world, world)
  assert back.provenance == got.provenance


@pytest.mark.parametrize("name", sample.FILES)
def test_the_sample_s_files_are_lifted(name, scene):
  tracks = keypoints.read(sample.FILES[name], image_size=SIZE, fps=FPS, frames=FRAMES)
  # Linked ids may be in another order: who is on the left at first.
  order = np.argsort(pixels(scene)[0, :, 0, 0])[np.argsort(np.argsort(tracks.keypoints[0, :, 0, 0]))]
  poses = truth(scene)[:, order]
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    got = lifting.lift(tracks, knowing(poses), H36M)
  assert [str(w.message) for w in caught] == [n for n in got.provenance["notes"] if "ASSUMED" in n]
  assert len(tracks.ids) == 2 and got.present.sum() == 2 * FRAMES - 12  # the gap of 12 frames is too long to fill
  np.testing.assert_array_equal(got.positions[got.present], poses[got.present])
  heights = heights_over_the_lowest_joints(scene)[:, order]
  off = np.abs(got.positions_world[..., 2] - heights)[got.present]
  assert np.median(off) < 0.02
  assert 2 < lifted.reprojection_px(got) < 6  # of 2 px noise


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, ml_dtypes.bfloat16])
def test_any_number_is_a_keypoint(scene, dtype):
  made = keypoints.arrays(pixels(scene)[:, 0].astype(dtype), image_size=SIZE, fps=FPS)
  np.testing.assert_array_equal(made.keypoints[:, 0], pixels(scene)[:, 0].astype(dtype).astype(np.float32))
  assert made.ids == (1,) and made.skeleton.name == "coco_17"
  listed = keypoints.arrays(pixels(scene)[:, 0].tolist(), image_size=SIZE, fps=FPS)
  np.testing.assert_array_equal(listed.keypoints[:, 0], pixels(scene)[:, 0])


def test_nan_is_missing_short_gaps_are_filled_and_long_ones_cut_the_clip(scene):
  points, poses = pixels(scene), truth(scene)
  points[20:26, 0] = np.nan  # 0.24 s
  points[50:60, 0] = np.nan  # 0.4 s
  hidden = [COCO.index(f"{s}_{j}") for s in ("left", "right") for j in ("hip", "knee", "ankle", "wrist")]
  points[70:, 1, hidden] = np.nan
  clips = []
  tracks = keypoints.arrays(points, image_size=SIZE, fps=FPS)
  got = lifting.lift(tracks, knowing(poses, clips=clips), H36M, camera=scene.camera, smooth_hz=6)
  assert [(c.subject, c.sequence) for c in clips] == [("person 1", "0-49"), ("person 1", "60-99"), ("person 2", "0-69")]
  np.testing.assert_array_equal(got.present[:, 0], (np.arange(FRAMES) < 50) | (np.arange(FRAMES) >= 60))
  np.testing.assert_array_equal(got.present[:, 1], np.arange(FRAMES) < 70)
  assert (got.status[20:26, 0] == Status.FILLED).all() and (got.status[50:60, 0] == Status.MISSING).all()
  assert any("30 of 190 poses are left empty" in note for note in got.provenance["notes"])
  assert clips[0].fps == FPS and all(np.isfinite(c.keypoints_2d).all() for c in clips)
  # Smoothed, and raw beside.
  np.testing.assert_array_equal(got.raw[got.present], poses[got.present])
  assert 0 < np.abs(got.positions - got.raw)[got.present].max() < 0.1
  assert got.raw_world is not None and np.isfinite(got.raw_world[got.present]).all()


def test_joints_are_mapped_by_name_with_the_least_confidence(scene):
  confidence = np.full((FRAMES, 17), 0.9)
  confidence[:, COCO.index("left_hip")] = 0.5
  points = pixels(scene)[:, 0]
  points[40:43, COCO.index("left_hip")] = np.nan
  points[:, COCO.index("left_eye")] = np.nan
  made = keypoints.arrays(points, confidence, image_size=SIZE, fps=FPS)
  mapped = lifting.mapped_to(made, H36M)
  hips = points[:, [COCO.index("left_hip"), COCO.index("right_hip")]].mean(1)
  seen = np.isfinite(hips[:, 0])
  np.testing.assert_allclose(mapped.keypoints[seen, 0, 0], hips[seen], rtol=1e-6)
  np.testing.assert_allclose(mapped.confidence[:, 0, 0], 0.5, rtol=1e-6)
  np.testing.assert_array_equal(mapped.status[:, 0, 0], np.where(seen, Status.SEEN, Status.FILLED))
  assert (mapped.status[:, 0, H36M.index("head_top")] == Status.MISSING).all()
  lsp = lifting.mapped_to(made, skeletons.get("lsp_14"))  # its neck is the mean of the shoulders
  assert (lsp.status[..., :12] != Status.MISSING).all()


def test_height_scales_poses_and_places_exactly(scene, tracks):
  poses = truth(scene)
  plain = lifting.lift(tracks, knowing(poses), H36M, camera=scene.camera, up="camera")
  statures = placing.statures(poses, H36M)
  tall = lifting.lift(tracks, knowing(poses), H36M, camera=scene.camera, up="camera", height_m=2.0)
  factors = (2.0 / statures)[:, None, None]
  np.testing.assert_allclose(tall.positions, plain.positions * factors, atol=1e-5)
  before, after = in_camera_axes(plain), in_camera_axes(tall)
  np.testing.assert_allclose(after, before * factors, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(placing.statures(tall.positions, H36M), 2.0, atol=1e-5)


def test_a_procedural_body_s_stature_is_measured():
  from jaxpose.synthetic import motion

  for index in (0, 7, 42):
    made = motion.simulate("train", index, frames=60)
    top = made.points[:, :17, 1].max()  # the crown of who stands, over the floor
    assert abs(placing.statures(made.points[:, None, :17], H36M)[0] / top - 1) < 0.05


def test_a_camera_that_moves_and_photographs_have_no_world(scene, tracks):
  poses = truth(scene)
  moving = lifting.lift(tracks, knowing(poses), H36M, camera=scene.camera, moving_camera=True)
  assert moving.positions_world is None and lifted.reprojection_px(moving) is None
  still, clips = dataclasses.replace(tracks, still=True), []
  got = lifting.lift(still, knowing(poses, clips=clips), H36M, camera=scene.camera, smooth_hz=6)
  assert got.positions_world is None and got.raw is None and len(clips) == 2 * FRAMES
  np.testing.assert_array_equal(got.positions, poses)


def test_nobody_upright_is_a_level_camera(scene, tracks):
  poses = truth(scene)[..., [1, 0, 2]] * np.float32([1, -1, 1])  # lying on their sides
  got = lifting.lift(tracks, knowing(poses), H36M, camera=scene.camera)
  assert any("nobody ever stands upright" in note for note in got.provenance["notes"])
  np.testing.assert_allclose(got.camera.rotation[:, 2], [0, -1, 0], atol=1e-6)


def test_poses_that_keypoints_cannot_have_still_stand_before_the_camera(scene, tracks):
  poses = -truth(scene)  # mirrored at the root: by rays these lie behind the camera
  got = lifting.lift(tracks, knowing(poses), H36M, camera=scene.camera, up="camera")
  assert (in_camera_axes(got)[..., 0, 2] > 1).all()


def test_errors_name_what_is_wrong_before_anything_is_predicted(scene, tracks):
  poses = truth(scene)

  def never(clips):
    raise AssertionError("predicted")

  for options, message in (
    ({"height_m": 178}, r"--height=178; expected the height of a person in metres"),
    ({"smooth_hz": 20}, r"a cutoff of 20 Hz at 25 frames a second"),
    ({"up": "sideways"}, r"--up=sideways; expected auto, camera"),
    ({"camera": placing.assumed_camera((640, 480))}, r"the image is 1280x720, the camera's \[640. 480.\]"),
  ):
    with pytest.raises(ValueError, match=message):
      lifting.lift(tracks, never, H36M, **{"camera": scene.camera, **options})
  with pytest.raises(ValueError, match="has a head_top|needs a lifter with a head_top"):
    lifting.lift(tracks, never, skeletons.get("coco_17"), camera=scene.camera, height_m=1.8)
  unknown = dataclasses.replace(tracks, image_size=None)
  with pytest.raises(ValueError, match="--image_size=WIDTHxHEIGHT or --video=FILE"):
    lifting.lift(unknown, never, H36M)
  with pytest.raises(ValueError, match=r"person 1, frames 0 to 99: predictions have shape \(100, 16, 3\), expected"):
    lifting.lift(tracks, knowing(poses[:, :, 1:]), H36M, camera=scene.camera)
  broken = poses.copy()
  broken[3, 1, 2, 0] = np.nan
  with pytest.raises(ValueError, match="person 2, frames 0 to 99: predictions hold NaN"):
    lifting.lift(tracks, knowing(broken), H36M, camera=scene.camera)
  with pytest.raises(ValueError, match="keypoints: keypoints has shape"):
    keypoints.arrays(np.zeros((5, 17)), image_size=SIZE)
  with pytest.raises(ValueError, match="row 3 hold what is no pixel, or infinity"):
    keypoints.arrays(np.where(np.arange(9)[:, None, None] == 3, np.inf, pixels(scene)[:9, 0]), image_size=SIZE)
  with pytest.raises(ValueError, match="keypoints: 17 joints, but --skeleton=halpe_26 has 26"):
    keypoints.arrays(pixels(scene), image_size=SIZE, joints="halpe_26")


def test_bones_that_change_their_length_are_measured(scene, tracks):
  got = lifting.lift(tracks, knowing(truth(scene)), H36M, camera=scene.camera)
  rigid = lifted.bone_variation(got)
  assert rigid < 1e-3
  breathing = got.positions[:1] * np.where(np.arange(FRAMES) % 2, 1.1, 0.9).astype(np.float32)[:, None, None, None]
  np.testing.assert_allclose(lifted.bone_variation(dataclasses.replace(got, positions=breathing)), 0.1, rtol=1e-5)
  smoothed = dataclasses.replace(got, raw=breathing)
  np.testing.assert_allclose(lifted.bone_variation(smoothed), 0.1, rtol=1e-5)


def test_the_assumed_camera_sees_55_degrees():
  camera = placing.assumed_camera((1920, 1080))
  np.testing.assert_allclose(camera.focal, 1844, atol=0.5)
  note = placing.camera_note(camera, assumed=True)
  assert "focal 1844 px, 55 degrees along the longer side, ASSUMED" in note and "20 %" in note
  with pytest.raises(ValueError, match="--fov=0; expected degrees"):
    placing.assumed_camera((1920, 1080), 0)
