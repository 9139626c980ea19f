"""3DPW in its own files: built, trained on, scored; every joint against the pickles and an independent body model."""

import pickle
import re
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders import body_fixture, build, sources
from data_builders.pw3d import fixture
from data_builders.pw3d import pw3d_dataset_builder as module
from data_builders.verification import Example
from jaxpose import protocols, skeleton
from jaxpose.data import source
from tests.body import lbs_reference
from tests.data_builders import one_step

H36M, SMPL = skeleton.get("h36m_17"), skeleton.get("smpl_24")
FACTS = dict(
  dataset="fixture", split="test", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=0, seed=0,
  oracles=[],
)  # fmt: skip
# Rows of a regressor file with the left leg first, in the order of h36m_17.
LEFT_FIRST = [0, 4, 5, 6, 1, 2, 3, *range(7, 17)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
  folder = tmp_path_factory.mktemp("raw")
  fixture.write(folder)
  return folder


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  assert build.build("pw3d", folder, raw).skipped == {}
  assert build.build("pw3d/smpl_24", folder, raw).skipped == {}
  return folder


def load(data, split, config="h36m_17"):
  return source.load_clips(f"pw3d/{config}", [split], data)


def record(raw, split, name):
  return pickle.loads((raw / "sequenceFiles" / split / f"{name}.pkl").read_bytes(), encoding="latin1")


def score(clips, predictions, name="pw3d_14"):
  return protocols.evaluate(name, clips, predictions, facts=FACTS, resamples=10)


def test_from_files_through_a_training_step_to_the_protocol(data):
  train, test = load(data, "train"), load(data, "test")
  assert [c.name for c in test] == [
    "person0/downtown_bar_00/", "person1/downtown_bar_00/", "person0/downtown_walkUphill_00/"
  ]  # fmt: skip
  report = score(test, one_step.train_and_predict(train, test))
  assert report["fingerprint"]["frames"] == sum(int(c.valid.sum()) for c in test) == 3 * 13
  assert set(report["per_action"]) == {"bar", "walkUphill"}
  perfect = score(test, [c.joints_3d for c in test])["metrics"]
  assert perfect["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
  assert perfect["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  wrong = [c.joints_3d.copy() for c in test]
  for prediction in wrong:
    prediction[:, H36M.index("left_wrist"), 0] += 0.01
  assert score(test, wrong)["metrics"]["mpjpe_mm"] == pytest.approx(10 / 14, rel=1e-3)


def test_joints_are_those_of_the_skinned_mesh_in_the_cameras_axes(raw, data):
  for clip in load(data, "test"):
    person = int(clip.subject.removeprefix("person"))
    held = record(raw, "test", clip.sequence)
    gender = {"m": "male", "f": "female"}[held["genders"][person]]
    body = body_fixture.make("smpl", gender=gender)
    regressor = np.load(raw / "J_regressor_h36m.npy")[LEFT_FIRST]
    np.testing.assert_array_equal(regressor, body.h36m)
    for frame in np.flatnonzero(clip.valid)[::4]:
      pose = held["poses"][person][frame].reshape(24, 3)
      vertices, joints = lbs_reference.skin(body.arrays, pose, held["betas"][person][:10], 0)
      translation = held["trans"][person][frame]
      np.testing.assert_allclose(joints + translation, held["jointPositions"][person][frame].reshape(24, 3), atol=1e-9)
      world = regressor @ vertices + translation
      camera = held["cam_poses"][frame]
      expected = world @ camera[:3, :3].T + camera[:3, 3]
      np.testing.assert_allclose(clip.joints_3d[frame], expected, rtol=0, atol=2e-6)
      image = expected @ held["cam_intrinsics"].T
      np.testing.assert_allclose(clip.keypoints_2d[frame], image[:, :2] / image[:, 2:], rtol=0, atol=2e-3)


def test_without_body_models_the_files_own_joints(raw, data):
  clips = load(data, "test", "smpl_24")
  held = record(raw, "test", "downtown_bar_00")
  for person, clip in enumerate(clips[:2]):
    assert clip.skeleton == SMPL
    for frame in np.flatnonzero(clip.valid):
      camera = held["cam_poses"][frame]
      world = held["jointPositions"][person][frame].reshape(24, 3)
      np.testing.assert_allclose(clip.joints_3d[frame], world @ camera[:3, :3].T + camera[:3, 3], rtol=0, atol=1e-6)
  report = score(clips, [c.joints_3d for c in clips], "generic")
  assert report["fingerprint"]["joint_set"] == "smpl_24"
  assert report["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
  with pytest.raises(ValueError, match="has joints 'smpl_24'; protocol 'pw3d_14' scores 'h36m_17'"):
    score(clips, [c.joints_3d for c in clips])


@pytest.mark.parametrize("config", ["h36m_17", "smpl_24"])
def test_the_data_set_says_what_it_is(config, data):
  facts = source.facts(f"pw3d/{config}", data)
  assert facts["keypoints_source"] == "ground truth"
  assert ("not comparable" in facts["annotation"]) == (config == "smpl_24")
  assert metadata(config, data)["comparable_with_published"] == (config == "h36m_17")
  notes = metadata(config, data)["notes"]
  assert ["left leg first" in n for n in notes] == ([True, True] if config == "h36m_17" else [])


def metadata(config, data):
  return tfds.builder_from_directory(source.directory(f"pw3d/{config}", data)).info.metadata


def test_clips_hold_what_the_files_say(raw, data):
  for clip in (c for split in module.SPLITS for c in load(data, split)):
    split = next(s for s, name, *_ in fixture.SEQUENCES if name == clip.sequence)
    held = record(raw, split, clip.sequence)
    person = int(clip.subject.removeprefix("person"))
    np.testing.assert_array_equal(clip.valid, held["campose_valid"][person] == 1)
    assert not clip.valid.all() and clip.fps == 30
    np.testing.assert_array_equal(clip.confidence, np.repeat(clip.valid[:, None], 17, 1))
    upright = held["cam_intrinsics"][0, 2] == 540
    assert clip.camera.size.tolist() == ([1080, 1920] if upright else [1920, 1080])
    assert clip.camera.rotation.tolist() == np.eye(3).tolist() and not clip.camera.translation.any()
    assert (clip.joints_3d[~clip.valid] == 0).all()


@pytest.mark.parametrize("config", ["h36m_17", "smpl_24"])
def test_right_stays_right_for_a_figure_that_faces_the_camera(config, raw, tmp_path):
  held = record(raw, "test", "downtown_walkUphill_00")
  frames = len(held["cam_poses"])
  body = body_fixture.make("smpl", gender="female")
  rest = body_fixture.rest_joints(body, np.zeros(10))
  # At rest the body faces +z with its left at +x. The camera stands before it at 4 m and looks back at it: its right
  # is the world's +x, its down is -y.
  camera = np.array([[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, -1, 4], [0, 0, 0, 1.0]])
  held |= dict(
    poses=[np.zeros((frames, 72))],
    trans=[np.zeros((frames, 3))],
    betas=[np.zeros(10)],
    jointPositions=[np.tile(rest.reshape(-1), (frames, 1))],
    cam_poses=np.tile(camera, (frames, 1, 1)),
    campose_valid=[np.ones(frames, int)],
  )
  at = tmp_path / "raw/sequenceFiles/test/downtown_walkUphill_00.pkl"
  at.parent.mkdir(parents=True)
  at.write_bytes(body_fixture.python_2(held))
  options = {} if config == "smpl_24" else dict(
    body_models=raw / "body_models", regressor=raw / "J_regressor_h36m.npy"
  )  # fmt: skip
  build.build(f"pw3d/{config}", tmp_path / "data", tmp_path / "raw", **options)
  (clip,) = load(tmp_path / "data", "test", config)
  for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
    # Someone who faces a camera has the right side on the left of the image.
    right, left = (clip.skeleton.index(f"{side}_{part}") for side in ("right", "left"))
    assert clip.joints_3d[0, right, 0] < -0.05 < 0.05 < clip.joints_3d[0, left, 0]
    assert clip.keypoints_2d[0, right, 0] < clip.camera.center[0] < clip.keypoints_2d[0, left, 0]
  assert clip.joints_3d[0, clip.skeleton.index("left_ankle"), 1] > 0.5  # feet are down


def test_openpose_keypoints_by_name(raw, tmp_path):
  build.build("pw3d/smpl_24", tmp_path, raw, keypoints="openpose")
  assert "OpenPose" in metadata("smpl_24", tmp_path)["keypoints_source"]
  held = record(raw, "test", "downtown_bar_00")
  for person, clip in enumerate(load(tmp_path, "test", "smpl_24")[:2]):
    detected = held["poses2d"][person]
    for name, at in {"left_knee": 12, "right_knee": 9, "neck": 1, "head": 0}.items():
      index = SMPL.index(name)
      np.testing.assert_allclose(clip.keypoints_2d[:, index], detected[:, :2, at], rtol=1e-6)
      np.testing.assert_allclose(clip.confidence[:, index], detected[:, 2, at], rtol=1e-6)
    pelvis = SMPL.index("pelvis")
    np.testing.assert_allclose(clip.keypoints_2d[0, pelvis], detected[0, :2, [8, 11]].mean(0), rtol=1e-6)
    assert clip.confidence[0, pelvis] == np.float32(detected[0, 2, [8, 11]].min())
    assert not clip.confidence[:, SMPL.index("left_foot")].any()
    assert not clip.confidence[-1].any() and not clip.keypoints_2d[-1].any()  # nobody was found


def test_the_archive_is_read_in_place(raw, data, tmp_path):
  shutil.make_archive(tmp_path / "raw/sequenceFiles", "zip", raw, "sequenceFiles")
  built = build.build("pw3d/smpl_24", tmp_path / "a", tmp_path / "raw")
  again = build.build("pw3d/smpl_24", tmp_path / "b", tmp_path / "raw/sequenceFiles.zip")
  assert built.splits == again.splits and not built.skipped
  for one, other in zip(load(tmp_path / "a", "test", "smpl_24"), load(data, "test", "smpl_24"), strict=True):
    np.testing.assert_array_equal(one.joints_3d, other.joints_3d)


def changed(raw, tmp_path, **changes):
  """A copy of the files in which one sequence differs; None leaves a key out."""
  shutil.copytree(raw, tmp_path / "raw")
  held = {**record(raw, "test", "downtown_walkUphill_00"), **changes}
  content = body_fixture.python_2({k: v for k, v in held.items() if v is not None})
  (tmp_path / "raw/sequenceFiles/test/downtown_walkUphill_00.pkl").write_bytes(content)
  return tmp_path / "raw"


@pytest.mark.parametrize(
  "changes, reason",
  [
    (dict(cam_poses=None), "lacks 'cam_poses'; it has "),
    (dict(poses=[np.zeros((14, 69))]), r"person 0, poses has shape \(14, 69\), expected \(14, 72\)"),
    (dict(jointPositions=[np.full((14, 72), np.nan)]), "person 0, jointPositions holds NaN or infinity"),
    (dict(trans=[]), "trans has 0 entries for 1 people"),
    (dict(genders=["x"]), "gender 'x' of person 0; expected 'm' or 'f'"),
    (dict(cam_intrinsics=np.zeros((3, 3))), "are no focal lengths and centre in pixels"),
    (dict(betas=["text"]), "person 0, betas holds no numbers"),
  ],
)
def test_what_cannot_be_read_is_left_out_with_the_reason(changes, reason, raw, tmp_path):
  built = build.build("pw3d/smpl_24", tmp_path / "data", changed(raw, tmp_path, **changes))
  ((name, why),) = built.skipped.items()
  assert name == "sequenceFiles/test/downtown_walkUphill_00.pkl" and name in why
  assert re.search(reason, why)
  assert built.splits["test"].sequences == 2


def test_other_spellings_of_keys(raw, tmp_path):
  held = record(raw, "test", "downtown_walkUphill_00")
  folder = changed(raw, tmp_path, genders=None, gender=held["genders"], poses2d=None, poses2D=held["poses2d"])
  assert not build.build("pw3d/smpl_24", tmp_path / "data", folder).skipped


def test_frames_behind_the_camera_and_without_a_camera_are_not_valid(raw, tmp_path):
  held = record(raw, "test", "downtown_walkUphill_00")
  cameras = held["cam_poses"].copy()
  cameras[5, :3, 3] -= (0, 0, 5.1)  # the camera stands in the person
  cameras[3] = np.nan  # the frame that campose_valid excludes
  build.build("pw3d/smpl_24", tmp_path / "data", changed(raw, tmp_path, cam_poses=cameras))
  clip = load(tmp_path / "data", "test", "smpl_24")[-1]
  assert np.flatnonzero(~clip.valid).tolist() == [3, 5]


def test_errors_say_what_to_do(raw, tmp_path):
  with pytest.raises(ValueError, match="keypoints='alphapose'; choose one of projected, openpose"):
    build.build("pw3d", tmp_path, raw, keypoints="alphapose")
  with pytest.raises(ValueError, match="pw3d/smpl_24 uses no body model"):
    build.build("pw3d/smpl_24", tmp_path, raw, body_models=raw / "body_models")
  with pytest.raises(FileNotFoundError, match="body_models='.*nowhere' does not exist"):
    build.build("pw3d", tmp_path, raw, body_models=raw / "nowhere")
  shutil.copytree(raw / "sequenceFiles", tmp_path / "raw/sequenceFiles")
  with pytest.raises(FileNotFoundError, match="put body_models into the folder .* can be had as pw3d/smpl_24"):
    build.build("pw3d", tmp_path / "data", tmp_path / "raw")
  shutil.copytree(raw / "body_models", tmp_path / "raw/body_models")
  with pytest.raises(FileNotFoundError, match="the Human3.6M joint regressor: put J_regressor_h36m.npy"):
    build.build("pw3d", tmp_path / "data", tmp_path / "raw")
  shutil.copy(raw / "J_regressor_h36m.npy", tmp_path / "raw")
  next((tmp_path / "raw/body_models").glob("*_f_*")).unlink()
  with pytest.raises(
    FileNotFoundError, match="courtyard_arguing_00.pkl is of a female body, for which there is no model"
  ):
    build.build("pw3d", tmp_path / "data", tmp_path / "raw")
  shutil.rmtree(tmp_path / "raw/sequenceFiles")
  with pytest.raises(ValueError, match="no sequence of 3DPW in .*raw; expected sequenceFiles/train/NAME.pkl"):
    build.build("pw3d", tmp_path / "data", tmp_path / "raw")
  body_fixture.write_models(tmp_path / "other/body_models", "smplh")
  with pytest.raises(ValueError, match="SMPL.H model of 52 joints; the data set's poses are of 24"):
    build.build("pw3d", tmp_path / "data", raw, body_models=tmp_path / "other/body_models")


def test_published_counts():
  def example(split, sequence, person, valid):
    return Example(split, f"person{person}", "", sequence, "", "h36m_17", 1000, valid, 30.0)

  examples = [example("test", f"s{i}", 0, 900) for i in range(24)] + [
    example("test", f"s{i}", 1, 800) for i in range(13)
  ]
  examples += [example("train", f"t{i}", 0, 5) for i in range(24)]
  counts = {c.what: (c.count(examples), c.expected) for c in module.checks()}
  assert counts["people in the test sequences"] == (37, 37)
  assert counts["test sequences"] == counts["training sequences"] == (24, 24)
  assert counts["sequences"] == (48, 60)
  assert counts["people"] == (61, 87)
  assert counts["scored test frames"] == (24 * 900 + 13 * 800, 35515)
  assert {c.what for c in module.checks() if c.note} == {"people", "people in the test sequences", "scored test frames"}


def test_nothing_but_the_sequences_is_taken_for_one(raw):
  names = [name for name in sources.in_folder(raw) if name.endswith(".pkl")]
  assert len(names) == len(fixture.SEQUENCES) + 2  # the body models are pickles too
