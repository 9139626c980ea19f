"""MPII and Leeds Sports Pose in their own files: what is annotated, hidden and missing, and a 2D consumer."""

import io
import shutil
import zipfile

import jax
import numpy as np
import optax
import pytest
import scipy.io
from PIL import Image

from data_builders import build, verification
from data_builders import photographs_fixture as photographs
from data_builders.lsp import fixture as lsp_fixture
from data_builders.lsp import lsp_dataset_builder as lsp
from data_builders.mpii import annotations
from data_builders.mpii import fixture as mpii_fixture
from data_builders.mpii import mpii_dataset_builder as mpii
from data_builders.verification import Example
from jaxpose import codec as codecs
from jaxpose import evaluate, skeleton
from jaxpose.data import source
from jaxpose.methods import objectives, supervised
from jaxpose.models import mlp
from tests import helpers

KINDS = ("mpii", "lsp/lsp", "lsp/lspet")
# As published, from 0.
MPII = ["RAnk", "RKnee", "RHip", "LHip", "LKnee", "LAnk", "Pelvis", "Thorax", "UpperNeck", "HeadTop", "RWri", "RElb",
        "RSho", "LSho", "LElb", "LWri"]  # fmt: skip
LSP = ["RAnk", "RKnee", "RHip", "LHip", "LKnee", "LAnk", "RWri", "RElb", "RSho", "LSho", "LElb", "LWri", "Neck", "Top"]
HUMAN36M = dict(
  RAnk="right_ankle", RKnee="right_knee", RHip="right_hip", LAnk="left_ankle", LKnee="left_knee", LHip="left_hip",
  RWri="right_wrist", RElb="right_elbow", RSho="right_shoulder", LWri="left_wrist", LElb="left_elbow",
  LSho="left_shoulder", Pelvis="pelvis", Thorax="thorax", UpperNeck="nose", Neck="thorax", HeadTop="head_top",
  Top="head_top",
)  # fmt: skip


def standing(names):
  """Pixels [1, J, 2] of a person facing the camera, in a published order."""
  order = [skeleton.get("h36m_17").index(HUMAN36M[n]) for n in names]
  return helpers.STANDING[None, order, :2].astype(float) * 200 + (300, 250)


def write(kind, folder):
  dataset, _, config = kind.partition("/")
  if dataset == "mpii":
    mpii_fixture.write(folder)
  else:
    lsp_fixture.write(folder, config=config, people=8)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  data, raw = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("raw")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(lsp, "TRAIN_IMAGES", 5)
    for kind in KINDS:
      write(kind, raw / kind)
      assert build.build(kind, data, raw / kind).skipped == {}
  return raw, data


def load(kind, data, split="train"):
  return source.load_clips(kind, [split], data)


@pytest.mark.parametrize("kind", KINDS)
def test_from_files_through_a_self_supervised_step(kind, built):
  clips = load(kind, built[1])
  codec = codecs.build("root_rms", clips[0].skeleton)
  method = supervised.create(
    mlp.create(num_joints=codec.skeleton.num_joints, width=8, trunk_blocks=0, head_blocks=0), codec
  )
  rows = evaluate.cut(clips, valid_only=True)
  assert len(rows.clip) == len(clips)
  batch = jax.tree.map(lambda x: x[:5], rows.batch)
  encode = jax.jit(lambda b: codec.encode(b["keypoints_2d"], b["camera"], b["confidence"]))
  seen = encode(batch)
  assert np.isfinite(seen).all()
  # Where a missing joint lies in the file says nothing.
  missing = batch["confidence"] == 0
  assert missing.any() or kind == "lsp/lsp"
  moved = {**batch, "keypoints_2d": np.where(missing[..., None], np.float32(999), batch["keypoints_2d"])}
  np.testing.assert_array_equal(encode(moved), seen)

  variables = jax.jit(method.init)(jax.random.key(0), batch)
  objective = objectives.reprojection(method.lifter, codec)
  tx = optax.sgd(1e-3)

  @jax.jit
  def update(variables, seen):
    value, grads = jax.value_and_grad(lambda v: objective(v, seen, jax.random.key(0))[0])(variables)
    updates, _ = tx.update(grads, tx.init(variables))
    return value, optax.apply_updates(variables, updates)

  values = []
  for _ in range(5):
    value, variables = update(variables, seen)
    values.append(float(value))
  assert np.isfinite(values).all() and values[-1] < values[0]


@pytest.mark.parametrize("kind", KINDS)
def test_provenance_and_size(kind, built):
  raw, data = built
  clips = load(kind, data)
  assert len({c.name for c in clips}) == len(clips)
  for clip in clips:
    assert clip.joints_3d is None and len(clip) == 1 and clip.valid.tolist() == [True]
    points = clip.keypoints_2d[clip.confidence > 0]
    assert (points >= 0).all() and (points < clip.camera.size).all()
    path = raw / kind / clip.extra["image"]
    if path.exists():
      with Image.open(path) as image:
        assert clip.camera.size.tolist() == list(image.size)
    assert clip.camera.focal[0] == clip.camera.focal[1] == clip.camera.size.max()
  assert {(raw / kind / c.extra["image"]).exists() for c in clips} == {True, False}


@pytest.mark.parametrize("kind", KINDS)
def test_encoded_images_are_stored_as_they_are(kind, built, tmp_path):
  raw, data = built
  made = build.build(kind, tmp_path, raw / kind, images="bytes")
  clips = load(kind, tmp_path)
  with_image = [c for c in load(kind, data) if (raw / kind / c.extra["image"]).exists()]
  assert [c.name for c in clips] == [c.name for c in with_image]
  for clip in clips:
    (encoded,) = clip.extra["encoded_image"]
    assert encoded == (raw / kind / clip.extra["image"]).read_bytes()
    with Image.open(io.BytesIO(encoded)) as image:
      assert list(image.size) == clip.camera.size.tolist()
  assert made.skipped and all("is not there, and images='bytes' stores it" in v for v in made.skipped.values())


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_is_none_is_named(kind, built, tmp_path):
  shutil.copytree(built[0] / kind, tmp_path / "raw")
  victim = sorted((tmp_path / "raw").glob("**/*.jpg"))[0]
  victim.write_bytes(b"not an image")
  skipped = build.build(kind, tmp_path / "data", tmp_path / "raw").skipped
  assert len(skipped) == 1 and f"{victim.name} is no image" in next(iter(skipped.values()))


def test_options_are_checked(built, tmp_path):
  for kind in ("mpii", "lsp"):
    with pytest.raises(ValueError, match="images='here'; it is one of path, bytes"):
      build.build(kind, tmp_path, built[0] / "mpii", images="here")
    with pytest.raises(ValueError, match="occluded=2; it is the confidence of an occluded joint"):
      build.build(kind, tmp_path, built[0] / "mpii", occluded=2)


def write_mpii(folder, people, train=True):
  mpii_fixture.write_mat(
    folder / mpii_fixture.FILE, [{"name": "000001163.jpg", "people": people, "train": train, "activity": "yoga"}]
  )


def test_mpii_a_person_facing_the_camera_keeps_its_sides(tmp_path):
  points = standing(MPII)
  person = mpii_fixture.person(points[0], np.random.default_rng(0))
  assert sorted(p["id"] for p in person["annopoints"]["point"]) == [j for j in range(16) if j != 5]
  write_mpii(tmp_path / "raw", [person])
  build.build("mpii", tmp_path / "data", tmp_path / "raw")
  (clip,) = load("mpii", tmp_path / "data")
  assert clip.confidence[0].tolist() == [float(j != 5) for j in range(16)]  # the left ankle is not labelled
  sides_kept(clip, points[0], MPII)
  to_human36m = skeleton.joint_map(clip.skeleton, skeleton.get("h36m_17"))
  mapped, confidence = to_human36m(clip.keypoints_2d)[0], to_human36m.confidence(clip.confidence)[0]
  h36m = skeleton.get("h36m_17")
  for joint in ("hip", "knee", "wrist", "shoulder"):
    assert mapped[h36m.index(f"right_{joint}"), 0] < mapped[h36m.index(f"left_{joint}"), 0]
  assert confidence[h36m.index("left_ankle")] == 0


def sides_kept(clip, points, names):
  for index, name in enumerate(names):
    if clip.confidence[0, index]:
      np.testing.assert_allclose(clip.keypoints_2d[0, index], points[index], atol=1e-3)
    side = {"R": "right_", "L": "left_"}.get(name[0], "")
    assert clip.skeleton.names[index].startswith(side)
    if side and clip.confidence[0, index]:
      # Facing the camera, the right side is on the left of the image.
      assert (clip.keypoints_2d[0, index, 0] < 300) == (side == "right_")


def test_mpii_fields_of_every_form():
  """Empty, numeric and character flags; single structs and arrays; MATLAB's count from 1."""

  def point(joint, flag):
    return {"x": np.array([[joint * 10.0 + 1]]), "y": np.array([[2.0]]), "id": np.array([[joint]]), "is_visible": flag}

  flags = {0: np.zeros((0, 0)), 1: "0", 2: "1", 3: np.array([[0]], np.uint8), 4: np.array([[1]], np.uint8), 5: ""}
  points = [point(j, flag) for j, flag in flags.items()]
  raw = {
    "annopoints": {"point": [*points, {"x": np.array([[61.0]]), "y": np.array([[2.0]]), "id": np.array([[6]])}]},
    "objpos": {"x": np.array([[11.0]]), "y": np.array([[21.0]])},
    "scale": np.array([[2.5]]),
    **{k: np.array([[v]]) for k, v in dict(x1=1.0, y1=1.0, x2=31.0, y2=41.0).items()},
  }
  person = annotations.person(annotations.Reference("a.jpg", 1, True, True, "", raw))
  assert person.visible[:7].tolist() == [True, False, True, False, True, True, True]
  assert person.annotated.tolist() == [True] * 7 + [False] * 9
  np.testing.assert_array_equal(person.keypoints[:7], [(10 * j + 0.5, 1.5) for j in range(7)])
  half = [0.5, 0.5, 30.5, 40.5]
  assert (person.center.tolist(), person.scale, person.head.tolist()) == ([10.5, 20.5], 2.5, half)
  assert person.head_size == pytest.approx(0.6 * 50)  # PCKh
  alone = annotations.person(annotations.Reference("a.jpg", 1, True, True, "", {"annopoints": {"point": points[2]}}))
  assert alone.annotated.tolist() == [j == 2 for j in range(16)]
  for nothing in ({}, {"annopoints": np.zeros((0, 0))}, {"annopoints": {"point": []}}):
    person = annotations.person(annotations.Reference("a.jpg", 1, True, True, "", nothing))
    assert not person.annotated.any() and person.head_size == person.scale == 0
  with pytest.raises(ValueError, match=r"a\.jpg, person 3: joint number 16"):
    annotations.person(annotations.Reference("a.jpg", 3, True, True, "", {"annopoints": {"point": point(16, "1")}}))


def test_mpii_people_splits_and_labels(built):
  raw, data = built
  train, test = load("mpii", data), load("mpii", data, "test")
  assert [c.subject for c in train] == ["1", "1", "2", "1", "1", "2"]  # images with one, two and no people
  assert [c.extra["single_person"] for c in train] == [True, False, False, True, False, False]
  assert len({c.sequence for c in train}) == 4
  assert {c.action for c in train} == {"yoga", "curling"}
  for clip in train:
    annotated = clip.confidence[0] > 0
    assert clip.extra["scale"] > 0 and clip.extra["head_size"] > 0
    assert (clip.extra["visible"][0, ~annotated] == 0).all()
    assert clip.extra["visible"][0, 2] == 0 and clip.confidence[0, 2] == 1  # hidden, yet annotated
    # The head's joints have an empty flag, which counts as visible.
    assert clip.extra["visible"][0, 8:10].tolist() == [1, 1]
  for clip in test:  # their joints are withheld
    assert not clip.confidence.any() and clip.valid.tolist() == [False]
    assert clip.extra["scale"] > 0 and clip.extra["center"].all()


def test_hidden_joints_get_the_confidence_that_is_asked_for(built, tmp_path):
  for kind in KINDS:
    build.build(kind, tmp_path, built[0] / kind, occluded=0.25)
    for usual, asked in zip(load(kind, built[1]), load(kind, tmp_path)):
      visible = usual.extra["visible"] > 0
      np.testing.assert_array_equal(asked.confidence, np.where(usual.confidence == 0, 0, np.where(visible, 1, 0.25)))


def test_mpii_bad_files_say_what_is_wrong(tmp_path):
  person = mpii_fixture.person(standing(MPII)[0], np.random.default_rng(0))
  bad = {**person, "annopoints": {"point": [{**person["annopoints"]["point"][0], "id": 17}]}}
  records = [
    {"name": f"{n}.jpg", "people": p, "train": True, "activity": "yoga"} for n, p in (("a", [person]), ("b", [bad]))
  ]
  mpii_fixture.write_mat(tmp_path / "raw" / mpii_fixture.FILE, records)
  assert "b.jpg, person 1: joint number 17" in build.build("mpii", tmp_path / "a", tmp_path / "raw").skipped["b.jpg"]
  scipy.io.savemat(tmp_path / "raw" / mpii_fixture.FILE, {"RELEASE": np.zeros((2, 2))})
  with pytest.raises(ValueError, match="RELEASE is no struct"):
    build.build("mpii", tmp_path / "b", tmp_path / "raw")
  (tmp_path / "raw" / mpii_fixture.FILE).rename(tmp_path / "raw" / "other.mat")
  with pytest.raises(ValueError, match="holds no mpii_human_pose_v1_u12_1.mat"):
    build.build("mpii", tmp_path / "c", tmp_path / "raw")


@pytest.mark.parametrize("config", ["lsp", "lspet"])
def test_lsp_flags_and_sides(config, tmp_path):
  points = np.repeat(standing(LSP), 2, 0)
  flags = np.array([[True] * 14, [j % 3 > 0 for j in range(14)]])
  lsp_fixture.write_joints(tmp_path / "raw" / "joints.mat", config, points, flags)
  stored = scipy.io.loadmat(tmp_path / "raw" / "joints.mat")["joints"]
  if config == "lsp":
    assert stored.shape == (3, 14, 2) and stored[2, 0].tolist() == [0, 1]  # 1: occluded
  else:
    assert stored.shape == (14, 3, 2) and stored[0, 2].tolist() == [1, 0]  # 1: labelled
  build.build(f"lsp/{config}", tmp_path / "data", tmp_path / "raw")
  first, second = load(f"lsp/{config}", tmp_path / "data")
  assert (first.confidence == 1).all() and (first.extra["visible"] == 1).all()
  sides_kept(first, points[0], LSP)
  np.testing.assert_array_equal(second.extra["visible"][0], flags[1])
  np.testing.assert_array_equal(second.confidence[0], np.ones(14) if config == "lsp" else flags[1])
  sides_kept(second, points[1], LSP)
  low, high = points[0].min(0), points[0].max(0)
  np.testing.assert_allclose(first.extra["center"], (low + high) / 2, rtol=1e-5)
  assert first.extra["scale"] == pytest.approx((high - low).max() / 200)


def test_lsp_splits_and_names(built):
  train, test = load("lsp/lsp", built[1]), load("lsp/lsp", built[1], "test")
  assert [c.sequence for c in train + test] == [f"im{n:04d}" for n in range(1, 9)]
  assert len(train) == 5
  assert train[0].extra["image"] == "lsp_dataset/images/im0001.jpg"
  extended = load("lsp/lspet", built[1])
  assert extended[0].extra["image"] == "lspet_dataset/images/im00001.jpg" and len(extended) == 8
  assert lsp.LAYOUTS["lsp"].third_is_occlusion and not lsp.LAYOUTS["lspet"].third_is_occlusion


def test_lsp_tells_its_two_sets_apart(built, tmp_path):
  for kind in ("lsp/lsp", "lsp/lspet"):
    shutil.copytree(built[0] / kind, tmp_path / "raw", dirs_exist_ok=True)
  for kind in ("lsp/lsp", "lsp/lspet"):
    build.build(kind, tmp_path / "data", tmp_path / "raw")
    for both, alone in zip(load(kind, tmp_path / "data"), load(kind, built[1])):
      np.testing.assert_array_equal(both.keypoints_2d, alone.keypoints_2d)
  lsp_fixture.write_joints(
    tmp_path / "raw" / "lsp_dataset_original" / "joints.mat", "lsp", standing(LSP), np.ones((1, 14), bool)
  )
  with pytest.raises(
    ValueError, match="two sets of joints, lsp_dataset/joints.mat and lsp_dataset_original/joints.mat"
  ):
    build.build("lsp/lsp", tmp_path / "x", tmp_path / "raw")
  with pytest.raises(ValueError, match="no joints.mat of 14 x 3 x images: .*is 3 x 14 x 8"):
    build.build("lsp/lspet", tmp_path / "y", built[0] / "lsp/lsp")


@pytest.mark.parametrize("kind", KINDS)
def test_a_zip_is_read_where_it_lies(kind, built, tmp_path):
  raw, data = built
  with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
    for path in (raw / kind).glob("**/*"):
      archive.write(path, path.relative_to(raw / kind))
  build.build(kind, tmp_path / "data", tmp_path / "set.zip", images="bytes")
  loose = {c.name: c for c in load(kind, data)}
  for clip in load(kind, tmp_path / "data"):
    np.testing.assert_array_equal(clip.keypoints_2d, loose[clip.name].keypoints_2d)
    assert clip.extra["encoded_image"][0] == (raw / kind / clip.extra["image"]).read_bytes()


def test_published_counts():
  def people(split, count):
    return [Example(split, "1", "", str(n), "", "lsp_14", 1, 1, 1.0) for n in range(count)]

  whole = people("train", 1000) + people("test", 1000)
  assert verification.verdict(lsp.checks("lsp"), whole) == "ok"
  assert verification.verdict(lsp.checks("lsp"), whole[:-1]) == "partial"
  assert verification.verdict(lsp.checks("lspet"), people("train", 10000)) == "ok"
  withheld = [e._replace(valid=0) for e in people("test", 11823)]
  unlabelled = [e._replace(valid=0) for e in people("train", 3)]
  examples = people("train", 25925) + people("valid", 2958) + unlabelled + withheld
  assert [c.count(examples) for c in mpii.checks()] == [c.expected for c in mpii.checks()]
  # Third parties counted these, and not all alike.
  assert verification.verdict(mpii.checks(), examples) == verification.verdict(mpii.checks(), examples[1:]) == "unknown"


def test_fixture_poses_lie_in_their_image():
  for joint_set in ("mpii_16", "lsp_14"):
    points = photographs.poses(skeleton.get(joint_set), 3, 1, (120, 160))
    assert (points >= 0).all() and (points < (120, 160)).all() and np.ptp(points, axis=1).max() > 60
