"""What `jaxpose.load` gives: plain arrays in, poses out, with the run's own predictions inside."""

import json
import warnings

import jax
import numpy as np
import pytest

import jaxpose
from jaxpose import codec as codecs
from jaxpose import evaluate, experiment, keypoints, lifted, lifting, placing, pose_lifter, safetensors_file, weights
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras
from jaxpose.experiment import Trained
from jaxpose.keypoints import sample
from tests import helpers

H36M, COCO = skeletons.get("h36m_17"), skeletons.get("coco_17")
SIZE = (1000, 1002)
STATISTICS = {"bone_lengths_m": [0.13, 0.45, 0.45] * 2 + [0.25, 0.25, 0.11, 0.13] + [0.17, 0.28, 0.25] * 2}


def untrained(window=1, **changes) -> Trained:
  config = helpers.config(window=window, overlap=window // 2, **changes)
  codec = codecs.build(config.codec, H36M)
  method = experiment.build_method(config, codec)
  variables = method.init(jax.random.key(0), experiment.dummy_batch(17, window))
  return Trained(config, codec, method, variables, 7, {**STATISTICS, "sensitivity": 0.02})


@pytest.fixture(scope="module")
def lifter():
  return pose_lifter.PoseLifter("untrained", untrained())


def coco(frames=12, seed=0):
  """Keypoints [T, 17, 2] of COCO's joints: limbs of a standing person, a face about the nose."""
  clip = helpers.clip(frames, seed)
  at = [H36M.index(n) if n in H36M.names else H36M.index("nose") for n in COCO.names]
  return clip.keypoints_2d[:, at]


def lift(lifter, points, **options):
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    return lifter.lift(points, image_size=SIZE, **options)


def test_poses_are_those_that_the_run_predicts(lifter):
  points = coco()
  got = lift(lifter, points)
  tracks = keypoints.arrays(points, image_size=SIZE, joints="coco_17", fps=30.0)
  trained = lifter.trained
  clips = lifting.cut(lifting.mapped_to(tracks, H36M), placing.assumed_camera(SIZE))[1]
  expected = evaluate.predict(trained.method.graphs["lift"], trained.variables, clips)[0]
  assert got.positions.shape == (12, 17, 3) and got.status.shape == (12, 17)
  np.testing.assert_array_equal(got.positions, expected)
  assert got.positions_world is not None and got.positions_world.shape == (12, 17, 3)
  assert got.lifted.provenance["model"] == "untrained" and got.lifted.provenance["step"] == 7
  with pytest.warns(UserWarning, match="ASSUMED"):
    lifter.lift(points, image_size=SIZE)


def test_people_keep_their_place_also_who_is_never_seen(lifter):
  points = np.stack([coco(seed=1), np.full((12, 17, 2), np.nan), coco(seed=2)], 1)
  got = lift(lifter, points)
  assert got.positions.shape == (12, 3, 17, 3)
  for n, seed in ((0, 1), (2, 2)):
    np.testing.assert_allclose(got.positions[:, n], lift(lifter, coco(seed=seed)).positions, atol=1e-5)
  assert np.isnan(got.positions[:, 1]).all() and (got.status[:, 1] == keypoints.Status.MISSING).all()
  nobody = np.full((12, 1, 17, 2), np.nan)
  assert lift(lifter, np.concatenate([nobody, points], 1)).positions.shape == (12, 4, 17, 3)


def test_missing_joints_confidence_height_and_smoothing(lifter):
  points, confidence = coco(40), np.ones((40, 17))
  points[3, COCO.index("left_wrist")] = np.nan
  confidence[20:40] = 0.1
  got = lift(lifter, points, confidence=confidence, fps=25, height=1.8, smooth_hz=6.0)
  assert got.status[3, H36M.index("left_wrist")] == keypoints.Status.FILLED
  assert np.isfinite(got.positions[:20]).all() and np.isnan(got.positions[20:]).all()
  assert got.lifted.raw is not None and got.lifted.fps == 25
  assert placing.statures(got.lifted.raw, H36M) == pytest.approx(1.8, rel=1e-4)
  seen = lift(lifter, points, confidence=confidence, threshold="ignore")
  assert np.isfinite(seen.positions).all()


@pytest.mark.parametrize("window", [1, 5])
@pytest.mark.parametrize("adapt", ["vanilla", "online", "video"])
def test_every_way_to_adapt_moves_the_poses_and_leaves_gaps_alone(adapt, window):
  lifter = pose_lifter.PoseLifter("untrained", untrained(window))
  points = np.stack([coco(8, seed=1), coco(8, seed=2)], 1)
  points[:3, 1] = np.nan  # a clip shorter than a window
  before, after = lift(lifter, points), lift(lifter, points, adapt=adapt)
  there = np.isfinite(after.positions).all((-1, -2))
  np.testing.assert_array_equal(there, np.isfinite(points).all((-1, -2)))
  assert np.abs(after.positions - before.positions)[there].max() > 1e-3
  assert after.lifted.provenance["adapt"] == adapt


def test_written_weights_come_back_and_are_loaded(tmp_path, lifter):
  size = weights.write(tmp_path / "mine", lifter.trained)
  assert size == sum(f.stat().st_size for f in (tmp_path / "mine").iterdir())
  again = jaxpose.load(tmp_path / "mine")
  assert again.name == "mine" and again.trained.config == lifter.trained.config
  assert again.trained.statistics == lifter.trained.statistics
  jax.tree.map(np.testing.assert_array_equal, again.trained.variables, lifter.trained.variables)
  np.testing.assert_array_equal(lift(again, coco()).positions, lift(lifter, coco()).positions)
  # Damaged, they are one clear error.
  run = tmp_path / "mine" / "run.json"
  described = json.loads(run.read_text())
  described["config"]["model_options"]["width"] = 8
  run.write_text(json.dumps(described))
  with pytest.raises(ValueError, match="weights of another model"):
    jaxpose.load(tmp_path / "mine")
  run.write_text("{")
  with pytest.raises(ValueError, match="describes no run"):
    jaxpose.load(tmp_path / "mine")


def test_safetensors_are_written_as_they_are_read(tmp_path):
  tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a/c": np.int64([1]), "e": np.zeros((0, 2), np.uint8)}
  safetensors_file.write(tmp_path / "x.safetensors", tensors)
  read = safetensors_file.read(str(tmp_path / "x.safetensors"))
  assert {n: (t.dtype, t.shape) for n, t in read.items()} == {n: (t.dtype, t.shape) for n, t in tensors.items()}
  for name, tensor in tensors.items():
    np.testing.assert_array_equal(read[name], tensor)
  length = int.from_bytes((tmp_path / "x.safetensors").read_bytes()[:8], "little")
  assert length % 8 == 0
  with pytest.raises(ValueError, match="y.safetensors: .*complex128"):
    safetensors_file.write(tmp_path / "y.safetensors", {"z": np.zeros(1, np.complex128)})
  assert not (tmp_path / "y.safetensors").exists()


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"adapt": "offline"}, "--adapt=offline; expected one of none, vanilla, online, video"),
    ({"joints": "coco_18"}, "unknown skeleton 'coco_18'"),
    ({"joints": "halpe_26"}, "17 joints, but --skeleton=halpe_26 has 26"),
    ({"confidence": np.zeros((12, 17))}, "every confidence is 0"),
    ({"height": 17.8}, "--height=17.8"),
  ],
)
def test_mistakes_are_one_clear_error(lifter, options, message):
  with pytest.raises(ValueError, match=message):
    lift(lifter, coco(), **options)


def test_a_camera_by_focal_length_or_field_of_view():
  tracks = keypoints.arrays(coco(), image_size=(1920, 1080))
  by_focal = pose_lifter.camera(tracks, focal=1500.0)
  assert by_focal is not None
  np.testing.assert_allclose(by_focal.focal, (1500, 1500), rtol=1e-6)
  np.testing.assert_allclose(by_focal.center, (960, 540))
  by_fov = pose_lifter.camera(tracks, fov=2 * np.degrees(np.arctan(960 / 1500)))
  np.testing.assert_allclose(by_fov.focal, (1500, 1500), rtol=1e-6)
  assert pose_lifter.camera(tracks) is None
  for wrong, message in (((3.0, None), "--focal=3"), ((1500.0, 60.0), "say the same"), ((None, 200.0), "--fov=200")):
    with pytest.raises(ValueError, match=message):
      pose_lifter.camera(tracks, *wrong)


def test_what_cannot_be_loaded_names_what_can():
  with pytest.raises(FileNotFoundError, match="no lifter 'cmu_fram': shipped are cmu_clip, cmu_frame"):
    jaxpose.load("cmu_fram")


def test_the_shipped_weights_know_people_of_the_sample():
  made = sample.scene()
  seen = sample.detector_joints(made.points, COCO)
  pixels = np.stack([cameras.see(seen[:, n], made.camera)[1] for n in range(2)], 1)
  truth = np.stack([cameras.see(made.points[:, n, :17], made.camera)[0] for n in range(2)], 1)
  truth = truth - truth[:, :, :1]
  options = dict(image_size=sample.SIZE, fps=sample.FPS, camera=made.camera)
  got = {name: jaxpose.load(name).lift(pixels, **options) for name in ("cmu_frame", "cmu_clip")}
  errors = {name: np.linalg.norm(poses.positions - truth, axis=-1).mean() for name, poses in got.items()}
  assert errors["cmu_clip"] < 0.045 and errors["cmu_frame"] < 0.06  # 36 and 51 mm; their mean pose is off by 156
  after = jaxpose.load("cmu_frame").lift(pixels, **options, adapt="online")
  assert lifted.reprojection_px(after.lifted) < 0.8 * lifted.reprojection_px(got["cmu_frame"].lifted)
