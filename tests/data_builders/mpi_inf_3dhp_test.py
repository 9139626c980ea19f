"""MPI-INF-3DHP in its own files: built, trained on, scored; every number against the files or computed by hand."""

import functools
import json
import shutil
import zipfile

import h5py
import jax
import numpy as np
import optax
import pytest
import scipy.io

from data_builders import build, verification
from data_builders.mpi_inf_3dhp import fixture, official, published
from data_builders.mpi_inf_3dhp import mpi_inf_3dhp_dataset_builder as module
from data_builders.verification import Example
from jaxpose import codec as codecs
from jaxpose import evaluate, protocols, skeleton
from jaxpose.data import pipeline, source
from jaxpose.geometry import camera as cameras
from jaxpose.methods import supervised
from jaxpose.models import mlp
from jaxpose.train import state, step
from tests import helpers

CONFIGS = ("univ", "metric", "pstmo")
FACTS = dict(
  dataset="fixture", split="test", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=0, seed=0,
  oracles=[], annotation="universal",
)  # fmt: skip
# As published, from 0: the 14 joints that PCK and AUC count, and PoseAug's 16 within the test set's 17.
COUNTED = list(range(14))
POSEAUG = [14, 8, 9, 10, 11, 12, 13, 15, 1, 0, 5, 6, 7, 2, 3, 4]
# The full set's joints that are the test set's 17, in its order.
RELEVANT = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
  folder = tmp_path_factory.mktemp("raw")
  for config in ("univ", "pstmo"):
    fixture.write(folder / config, config=config)
  return {"univ": folder / "univ", "metric": folder / "univ", "pstmo": folder / "pstmo"}


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
  data = tmp_path_factory.mktemp("data")
  for config in CONFIGS:
    assert build.build(f"mpi_inf_3dhp/{config}", data, raw[config]).skipped == {}
  return data


@pytest.fixture(scope="module")
def tests(built):
  return load("univ", "test", built)


def load(config, split, data):
  return source.load_clips(f"mpi_inf_3dhp/{config}", [split], data)


def score(name, clips, predictions):
  return protocols.evaluate(name, clips, predictions, facts=FACTS, resamples=10)


@pytest.mark.parametrize("config", CONFIGS)
def test_from_files_through_a_training_step_to_the_protocols(config, built):
  clips = load(config, "train", built)
  assert [(c.subject, c.sequence, c.camera_id) for c in clips[:9:8]] == [("S1", "S1_Seq1", "0"), ("S1", "S1_Seq2", "0")]
  assert [c.camera_id for c in clips[:8]] == ["0", "1", "2", "4", "5", "6", "7", "8"]
  assert {c.sequence: c.fps for c in clips} == {"S1_Seq1": 25, "S1_Seq2": 50, "S3_Seq1": 50, "S3_Seq2": 50}
  codec = codecs.build("root_rms", clips[0].skeleton)
  method = supervised.create(mlp.create(width=8, trunk_blocks=0, head_blocks=0), codec)
  batch = next(pipeline.batches(pipeline.windows(clips), length=1, batch_size=8, seed=0, num_steps=1))
  tx = optax.sgd(1e-2)
  before = jax.jit(functools.partial(state.create, method=method, tx=tx))(jax.random.key(0), batch)
  update = functools.partial(step.train_step, method=method, tx=tx, base_key=jax.random.key(1))
  after, metrics = jax.jit(update)(before, batch)
  assert np.isfinite(metrics["loss"]) and metrics["grad_norm"] > 0
  tests = load(config, "test", built)
  assert [c.sequence for c in tests] == list(published.TEST)
  predictions = evaluate.predict(method.graphs["lift"], after.variables, tests, flip=False)
  for protocol in ("mpi_inf_3dhp", "mpi_inf_3dhp_16"):
    report = score(protocol, tests, predictions)
    assert report["fingerprint"]["frames"] == sum(c.valid.sum() for c in tests) < sum(map(len, tests))
    assert report["metrics"]["mpjpe_mm"] > 1
    assert {k: v["frames"] for k, v in report["per_scene"].items()} == {"GS": 14, "noGS": 14, "outdoor": 14}
    activities = report["per_activity"]
    assert sum(v["frames"] for v in activities.values()) == (0 if config == "pstmo" else 42)
    assert score(protocol, clips, [c.joints_3d for c in clips])["per_activity"] == {}  # training frames have no label


@pytest.mark.parametrize("protocol", ["mpi_inf_3dhp", "mpi_inf_3dhp_16"])
@pytest.mark.parametrize("config", CONFIGS)
def test_the_truth_is_0_mm(config, protocol, built):
  clips = load(config, "test", built)
  metrics = score(protocol, clips, [c.joints_3d for c in clips])["metrics"]
  assert metrics["mpjpe_mm"] == metrics["n_mpjpe_mm"] == 0
  assert metrics["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
  assert metrics["pck_150"] == 100
  assert metrics["auc"] == pytest.approx(96.774, abs=1e-3)


@pytest.mark.parametrize("protocol, joints, counted", [("mpi_inf_3dhp", 17, 14), ("mpi_inf_3dhp_16", 16, 16)])
def test_one_joint_that_is_off(protocol, joints, counted, tests):
  wrist = tests[0].skeleton.index("left_wrist")

  def off(by):
    return score(protocol, tests, [c.joints_3d + by * (np.arange(17) == wrist)[:, None] for c in tests])["metrics"]

  ten = off(np.float32([0, 0.010, 0]))
  assert ten["mpjpe_mm"] == pytest.approx(10 / joints, rel=1e-3)
  assert ten["pck_150"] == 100
  # A wrist off by 12 mm is right at 15, 20, ..., 150 mm, the others at 5 mm and above.
  twelve = off(np.float32([0, 0, 0.012]))
  assert twelve["auc"] == pytest.approx(100 * ((counted - 1) * 30 + 28) / 31 / counted, rel=1e-5)
  far = off(np.float32([0.2, 0, 0]))
  assert far["pck_150"] == pytest.approx(100 * (counted - 1) / counted, rel=1e-5)


@pytest.mark.parametrize("protocol, joints, counted", [
  ("mpi_inf_3dhp", list(range(17)), COUNTED), ("mpi_inf_3dhp_16", POSEAUG, POSEAUG),
])  # fmt: skip
def test_mirrored_and_scaled_poses(protocol, joints, counted, tests):
  poses = [1000.0 * (c.joints_3d - c.joints_3d[:, 14:15]).astype(float) for c in tests]
  for change, error in (
    (np.float32([-1, 1, 1]), lambda p: np.abs(2 * p[..., 0])),
    (np.float32(1.1), lambda p: 0.1 * np.linalg.norm(p, axis=-1)),
    (np.float32(2.0), lambda p: np.linalg.norm(p, axis=-1)),
  ):
    errors = np.concatenate([error(p)[c.valid] for p, c in zip(poses, tests)])
    metrics = score(protocol, tests, [p / 1000 * change for p in poses])["metrics"]
    assert metrics["mpjpe_mm"] == pytest.approx(errors[:, joints].mean(), rel=1e-4)
    assert metrics["pck_150"] == pytest.approx(100 * (errors[:, counted] < 150).mean(), abs=0.05)
    if change.ndim == 0:
      assert metrics["n_mpjpe_mm"] == pytest.approx(0, abs=1e-2)
    else:
      assert metrics["pa_mpjpe_mm"] > 20  # alignment does not mirror


def standing():
  """Pixels and millimetres [1, 28, 3] of a person facing the camera, at the published indices of the joints."""
  joints = np.tile([0.0, -300, 0], (28, 1))
  for index, name in zip(RELEVANT, skeleton.get("mpi_inf_3dhp_17").names):
    stand_in = {"neck": "thorax", "head": "nose"}.get(name, name)
    joints[index] = 1000 * helpers.STANDING[skeleton.get("h36m_17").index(stand_in)]
  return joints[None] + (0, 0, 4000)


def test_a_person_facing_the_camera_keeps_its_sides(tmp_path):
  joints = standing()
  assert joints[0, 23, 0] < 0 < joints[0, 18, 0]  # 23 is the right hip, 18 the left
  views = [fixture.training_view(joints, c) for c in fixture.cameras_around(0)]
  at = tmp_path / "raw" / "S2" / "Seq1"
  at.mkdir(parents=True)
  (at / "camera.calibration").write_text(fixture.calibration_text([v["camera"] for v in views]))
  fixture.write_annot(at / "annot.mat", views)
  test = tmp_path / "raw" / "TS5"
  test.mkdir()
  values = fixture.test_values(joints[:, RELEVANT], official.test_camera("TS5"), np.ones(1, bool), np.ones(1))
  assert values["annot3"][0, 8, 0] < 0 < values["annot3"][0, 11, 0]
  fixture.write_annot_data(test / "annot_data.mat", **values)
  for joint_set in ("mpi_inf_3dhp_17", "h36m_17", "h36m_16"):
    data = tmp_path / joint_set
    build.build("mpi_inf_3dhp", data, tmp_path / "raw", skeleton=joint_set)
    for clip in (load("univ", "train", data)[0], load("univ", "test", data)[0]):
      assert clip.skeleton.name == joint_set
      for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
        right, left = (clip.skeleton.index(f"{side}_{joint}") for side in ("right", "left"))
        assert clip.joints_3d[0, right, 0] < 0 < clip.joints_3d[0, left, 0]
        assert clip.keypoints_2d[0, right, 0] < clip.keypoints_2d[0, left, 0]
      assert clip.joints_3d[0, clip.skeleton.index("head_top"), 1] < clip.joints_3d[0, clip.skeleton.root, 1]
  with pytest.raises(ValueError, match="skeleton='smpl_24' has joints that the data set lacks: .*spine1"):
    build.build("mpi_inf_3dhp", tmp_path / "x", tmp_path / "raw", skeleton="smpl_24")


def project(clip):
  """Pixels of joints_3d in the stored camera, float64."""
  rays = clip.joints_3d[..., :2].astype(float) / clip.joints_3d[..., 2:]
  return rays * clip.camera.focal.astype(float) + clip.camera.center


def test_the_metric_annotation_projects_onto_the_files_pixels(raw, built):
  trained = {(c.sequence, c.camera_id): c for c in load("metric", "train", built)}
  annot2 = scipy.io.loadmat(raw["univ"] / "S3" / "Seq2" / "annot.mat")["annot2"]
  for camera in published.VIDEO_CAMERAS:
    clip = trained["S3_Seq2", str(camera)]
    truth = annot2[camera][0].reshape(-1, 28, 2)[:, RELEVANT]
    np.testing.assert_allclose(project(clip), truth, atol=1e-3)
    np.testing.assert_allclose(cameras.project(clip.joints_3d, clip.camera), truth, atol=2e-3)  # in float32
    world = cameras.camera_to_world(clip.joints_3d, clip.camera)
    assert world[:, clip.skeleton.index("head_top"), 1].min() > world[:, clip.skeleton.index("left_ankle"), 1].min()
  for clip in load("metric", "test", built):
    np.testing.assert_allclose(project(clip), clip.keypoints_2d, atol=1e-3)


def test_all_cameras_see_one_world(built):
  clips = [c for c in load("metric", "train", built) if c.sequence == "S1_Seq1"]
  first, *others = (np.asarray(cameras.camera_to_world(c.joints_3d, c.camera)) for c in clips)
  for other in others:
    np.testing.assert_allclose(other, first, atol=1e-5)


def test_the_universal_annotation_shares_the_pelvis_alone(built):
  for universal, metric in zip(load("univ", "test", built), load("metric", "test", built)):
    root = universal.skeleton.root
    np.testing.assert_allclose(universal.joints_3d[:, root], metric.joints_3d[:, root], atol=1e-6)
    bones = [c.joints_3d - c.joints_3d[:, root : root + 1] for c in (universal, metric)]
    np.testing.assert_allclose(bones[0], fixture.UNIVERSAL * bones[1], atol=1e-5)
    np.testing.assert_array_equal(universal.keypoints_2d, metric.keypoints_2d)


def test_pstmo_has_the_same_clips_and_finds_the_camera(built):
  for split in ("train", "test"):
    for own, theirs in zip(load("univ", split, built), load("pstmo", split, built), strict=True):
      assert (own.name, own.fps) == (theirs.name, theirs.fps)
      np.testing.assert_allclose(theirs.joints_3d, own.joints_3d, atol=1e-6)
      np.testing.assert_array_equal(theirs.keypoints_2d, own.keypoints_2d)
      np.testing.assert_array_equal(theirs.valid, own.valid)
      np.testing.assert_allclose(theirs.camera.focal, own.camera.focal, rtol=1e-4)
      np.testing.assert_allclose(theirs.camera.center, own.camera.center, rtol=1e-4)


def test_valid_frames_and_activities_are_the_files(raw, built):
  for clip in load("univ", "test", built):
    path = next(raw["univ"].glob(f"**/{clip.sequence}/annot_data.mat"))
    with h5py.File(path) as file:
      assert clip.valid.tolist() == (file["valid_frame"][:, 0] == 1).tolist()
      assert protocols.mpi_inf_3dhp.activities(clip) == [
        protocols.mpi_inf_3dhp.ACTIVITIES[int(n) - 1] for n in file["activity_annotation"][:, 0]
      ]
  assert not any(any(c.extra["activity"]) for c in load("univ", "train", built))


def test_what_cannot_be_scored_is_not_valid(tests):
  clip = tests[0]
  joints, pixels = clip.joints_3d.copy(), clip.keypoints_2d.copy()
  joints[0, 3, 1], pixels[2, 5, 0] = np.nan, np.inf
  joints[3, 4, 2] = -0.5  # behind the camera
  made = official.clip(pixels, joints, np.ones(len(clip), bool), clip.camera, fps=25.0)
  assert made.valid.tolist() == [False, True, False, False] + [True] * 6
  assert made.confidence[0, 3] == made.confidence[2, 5] == 0 and made.confidence.sum() == 17 * 10 - 2
  assert np.isfinite(made.joints_3d).all() and np.isfinite(made.keypoints_2d).all()


def test_rows_beyond_the_videos_are_cut(raw, tmp_path, monkeypatch):
  monkeypatch.setitem(published.TRAIN, (1, 1), published.Train(5, 25.0))
  build.build("mpi_inf_3dhp", tmp_path, raw["univ"])
  lengths = {c.sequence: len(c) for c in load("univ", "train", tmp_path)}
  assert lengths == {"S1_Seq1": 5, "S1_Seq2": 8, "S3_Seq1": 8, "S3_Seq2": 8}


def test_cameras_are_chosen(raw, tmp_path):
  build.build("mpi_inf_3dhp", tmp_path / "all", raw["univ"], cameras=list(range(14)))
  assert [c.camera_id for c in load("univ", "train", tmp_path / "all")[:14]] == [str(n) for n in range(14)]
  build.build("mpi_inf_3dhp/pstmo", tmp_path / "one", raw["pstmo"], cameras=[4, 13])
  assert {c.camera_id for c in load("pstmo", "train", tmp_path / "one")} == {"4"}  # P-STMO left the ceiling out
  for wrong in ([14], [0, 0], []):
    with pytest.raises(ValueError, match="name each once, from 0 to 13"):
      build.build("mpi_inf_3dhp", tmp_path / "x", raw["univ"], cameras=wrong)


def without(path, *names):
  with h5py.File(path, "a") as file:
    for name in names:
      del file[name]


def test_files_that_cannot_be_used_are_named(raw, tmp_path):
  folder = tmp_path / "raw"
  shutil.copytree(raw["univ"], folder)
  (folder / "S1" / "Seq1" / "camera.calibration").unlink()
  annot = folder / "S1" / "Seq2" / "annot.mat"
  annot.write_bytes(annot.read_bytes()[:-300])
  calibration = folder / "S3" / "Seq1" / "camera.calibration"
  calibration.write_text(calibration.read_text().partition("name          5")[0])
  tests = folder / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set"
  without(tests / "TS2" / "annot_data.mat", "valid_frame")
  shutil.copy(tests / "TS4" / "annot_data.mat", tests / "TS3" / "annot_data.mat")
  copy = folder / "zz9" / "TS1"
  copy.mkdir(parents=True)
  shutil.copy(tests / "TS1" / "annot_data.mat", copy)
  skipped = build.build("mpi_inf_3dhp", tmp_path / "data", folder).skipped
  assert "no camera.calibration beside it" in skipped["S1/Seq1/annot.mat"]
  assert "annot.mat" in skipped["S1/Seq2/annot.mat"]
  assert "lacks camera 5; it has [0, 1, 2, 3, 4]" in skipped["S3/Seq1/annot.mat"]
  test_set = "mpi_inf_3dhp_test_set/mpi_inf_3dhp_test_set"
  assert "valid_frame" in skipped[f"{test_set}/TS2/annot_data.mat"]
  assert "a second copy" in skipped["zz9/TS1/annot_data.mat"]
  assert len(skipped) == 5
  with pytest.raises(ValueError, match="holds no file of the data set"):
    build.build("mpi_inf_3dhp/pstmo", tmp_path / "x", folder)


def test_a_zip_is_read_where_it_lies(raw, built, tmp_path):
  test_set = raw["univ"] / "mpi_inf_3dhp_test_set"
  with zipfile.ZipFile(tmp_path / "mpi_inf_3dhp_test_set.zip", "w") as archive:
    for path in test_set.glob("**/*.mat"):
      archive.write(path, path.relative_to(test_set))
  inside = tmp_path / "folder"
  inside.mkdir()
  shutil.copy(tmp_path / "mpi_inf_3dhp_test_set.zip", inside)
  for data, manual in ((tmp_path / "a", tmp_path / "mpi_inf_3dhp_test_set.zip"), (tmp_path / "b", inside)):
    build.build("mpi_inf_3dhp", data, manual)
    for zipped, loose in zip(load("univ", "test", data), load("univ", "test", built), strict=True):
      np.testing.assert_array_equal(zipped.joints_3d, loose.joints_3d)


def examples(ts6_valid=452):
  made = [
    Example("train", f"S{s}", "", f"S{s}_Seq{q}", str(c), "mpi_inf_3dhp_17", t.frames, t.frames, t.fps)
    for (s, q), t in published.TRAIN.items()
    for c in published.VIDEO_CAMERAS
  ]
  for name, t in published.TEST.items():
    valid = ts6_valid if name == "TS6" else t.valid
    made.append(Example("test", name, "", name, "0", "mpi_inf_3dhp_17", t.frames, valid, t.fps))
  return made


@pytest.mark.parametrize("config", CONFIGS)
def test_the_published_counts(config):
  checks = module.checks(config)
  expected = {c.what: c.expected for c in checks}
  assert expected["training frames of camera 0"] == 131592
  assert expected["training frames of the 8 video cameras"] == 1052736
  assert expected["valid test frames (2869: with the later TS6)"] == 2929
  assert [expected[f"valid frames of TS{n}"] for n in range(1, 6)] == [603, 540, 505, 553, 276]
  assert verification.verdict(checks, examples()) == "ok"
  later = verification.table(checks, examples(ts6_valid=392))[0]
  rows = [line.split() for line in later.splitlines() if "TS6 (392: the later release)" in line]
  assert rows[0][8:11] == ["392", "452", "partial"]
  assert verification.verdict(checks, examples(ts6_valid=392)) == "different"
  assert verification.verdict(checks, examples()[:-1]) == "partial"


def test_the_release_of_ts6_is_told(raw, tmp_path, monkeypatch, caplog):
  assert "original" in published.ts6_release(452)
  assert "wrong at knees and ankles" in published.ts6_release(392)
  monkeypatch.setattr(published, "LATER_TS6_VALID", 3)
  fixture.write(tmp_path / "raw", subjects=(), ts6_valid=3)
  built = build.build("mpi_inf_3dhp", tmp_path / "data", tmp_path / "raw")
  with open(f"{built.directory}/metadata.json") as file:
    metadata = json.load(file)
  assert metadata["ts6_release"].startswith("later (May 2019), 3 valid frames")
  assert metadata["annotation"] == "universal"
  assert "published results are of the original release" in caplog.text


def test_another_sequences_file_is_noticed(raw, tmp_path, caplog):
  path = next(raw["univ"].glob("**/TS1/annot_data.mat"))
  official.test_clip(path, "TS1/annot_data.mat", "TS1", "univ")
  assert "another sequence's file" not in caplog.text
  official.test_clip(path, "TS5/annot_data.mat", "TS5", "univ")
  assert "another sequence's file" in caplog.text
