"""AMASS in its own files: through an independent body model to joints, resampled, in the recommended splits."""

import shutil
import tarfile

import numpy as np
import pytest

from data_builders import body_fixture, build, verification
from data_builders.amass_h36m import amass_h36m_dataset_builder as module
from data_builders.amass_h36m import fixture, motion_file, subsets
from data_builders.verification import Example
from jaxpose import protocols, skeleton
from jaxpose.data import source
from tests.body import lbs_reference
from tests.data_builders import one_step

H36M = skeleton.get("h36m_17")
FACTS = dict(
  dataset="fixture", split="test", flip_averaging=False, keypoints_source="ground truth", checkpoint_step=0, seed=0,
  oracles=[],
)  # fmt: skip
FRAMES = 25
SPLIT = dict(train=["CMU", "KIT"], validation=["MPI_HDM05"], test=["Transitions_mocap"])


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
  folder = tmp_path_factory.mktemp("raw")
  fixture.write(folder, frames=FRAMES)
  return folder


@pytest.fixture(scope="module")
def data(raw, tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  build.build("amass_h36m", folder, raw)
  return folder


def expected(raw, entry, kind="smplh"):
  """World joints [T, 17, 3] of a motion of the fixture at its own rate, in float64."""
  dataset, subject, motion, gender, _ = entry
  with np.load(raw / dataset / subject / f"{motion}_{'poses' if kind == 'smplh' else 'stageii'}.npz") as file:
    held = {key: file[key] for key in ("poses", "trans", "betas")}
  body = body_fixture.make(kind, gender=gender)
  meshes = (lbs_reference.skin(body.arrays, p.reshape(-1, 3), held["betas"], 0)[0] for p in held["poses"])
  return np.stack([body.h36m @ mesh for mesh in meshes]) + held["trans"][:, None]


def test_joints_are_those_of_the_skinned_mesh_at_the_rate_asked_for(raw, data):
  motions = {s: source.load("amass_h36m", [s], data) for s in SPLIT}
  assert {s: [m.sequence.split("/")[0] for m in ms] for s, ms in motions.items()} == {
    s: [subsets.canonical(n) for n in names] for s, names in SPLIT.items()
  }
  by_subset = {m.sequence.split("/")[0]: m for ms in motions.values() for m in ms}
  for entry in fixture.MOTIONS:
    motion, own = by_subset[subsets.canonical(entry[0])], expected(raw, entry)
    rate = round(entry[4])
    assert (motion.fps, motion.up, motion.skeleton.name, motion.subject.split("/")[1]) == (60, "z", "h36m_17", entry[1])
    times = np.arange(len(motion.positions_world)) / 60
    assert times[-1] <= (FRAMES - 1) / rate < times[-1] + 1 / 60
    for joint in range(17):
      for axis in range(3):
        wanted = np.interp(times, np.arange(FRAMES) / rate, own[:, joint, axis])
        np.testing.assert_allclose(motion.positions_world[:, joint, axis], wanted, rtol=0, atol=2e-6)


def test_up_is_up_and_right_is_right(raw, data):
  for split in SPLIT:
    for motion in source.load("amass_h36m", [split], data):
      first = {n: motion.positions_world[0, H36M.index(n)] for n in H36M.names}
      up = first["head_top"] - (first["left_ankle"] + first["right_ankle"]) / 2
      assert up[2] > 0.8 * np.linalg.norm(up)
      # Facing forward, up and left are a right-handed frame: a swap of the legs or a mirror turns the figure round.
      for part in ("hip", "shoulder"):
        left = first[f"left_{part}"] - first[f"right_{part}"]
        face = first["nose"] - (first["thorax"] + first["head_top"]) / 2
        assert np.dot(np.cross(left, up), face) > 0, part


def test_from_files_through_a_training_step_to_a_protocol(data):
  train, test = (
    source.load_clips("amass_h36m", [split], data, rig="fixed_four", fps=30.0) for split in ("train", "test")
  )
  assert all(c.valid.all() and c.fps == 30 for c in train)
  predictions = one_step.train_and_predict(train, test)
  report = protocols.evaluate("pw3d_14", test, predictions, facts=FACTS, resamples=10)
  assert report["metrics"]["mpjpe_mm"] > 1
  perfect = protocols.evaluate("pw3d_14", test, [c.joints_3d for c in test], facts=FACTS, resamples=10)["metrics"]
  assert perfect["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
  assert perfect["pa_mpjpe_mm"] == pytest.approx(0, abs=1e-2)


def test_smpl_x_in_its_own_names(tmp_path):
  fixture.write(tmp_path / "raw", kind="smplx", frames=5)
  built = build.build("amass_h36m", tmp_path / "data", tmp_path / "raw", fps=None, splits="subset", subsets=["CMU"])
  assert list(built.splits) == ["CMU"] and list(built.skipped) == ["CMU/01/01_01_stagei.npz"]
  (motion,) = source.load("amass_h36m", ["CMU"], tmp_path / "data")
  assert motion.fps == 120 and motion.sequence == "CMU/01/01_01"
  np.testing.assert_allclose(
    motion.positions_world, expected(tmp_path / "raw", fixture.MOTIONS[0], "smplx"), rtol=0, atol=2e-6
  )
  body_fixture.write_models(tmp_path / "other/body_models", "smplh")
  options = dict(body_models=tmp_path / "other/body_models", regressor=tmp_path / "other/J_regressor_h36m.npy")
  with pytest.raises(ValueError, match="01_01_stageii.npz: poses of 165 numbers; the SMPL.H model has 156"):
    build.build("amass_h36m", tmp_path / "b", tmp_path / "raw", **options)
  with pytest.raises(ValueError, match=r"J_regressor_h36m.npy has shape \(17, 660\), expected \[17, 696\]: the SMPL-X"):
    build.build("amass_h36m", tmp_path / "b", tmp_path / "raw", regressor=options["regressor"])


def test_shapes_are_left_out_with_the_reason_and_motions_without_soft_tissue_are_not(raw, tmp_path):
  built = build.build("amass_h36m", tmp_path, raw)
  assert set(built.skipped) == {f"{d}/{s}/shape.npz" for d, s, *_ in fixture.MOTIONS}
  assert set(built.skipped.values()) == {"the shape of a subject, not a motion"}
  with np.load(raw / "Transitions_mocap/mazen_c3d/dance_stand_poses.npz") as last:
    assert "dmpls" not in last
  assert built.splits["test"].sequences == 1


def test_splits_and_subsets(raw, tmp_path):
  by_subset = build.build("amass_h36m", tmp_path / "a", raw, splits="subset")
  assert {n: s.sequences for n, s in by_subset.splits.items()} == dict.fromkeys(
    ("CMU", "HDM05", "KIT", "Transitions"), 1
  )
  chosen = build.build("amass_h36m", tmp_path / "b", raw, subsets=["MPI_HDM05", "kit"])
  assert set(chosen.splits) == {"train", "validation"}
  folder = tmp_path / "raw"
  shutil.copytree(raw, folder)
  shutil.copytree(folder / "CMU", folder / "ACCAD")
  shutil.copytree(folder / "CMU", folder / "second copy/CMU")
  shutil.copytree(folder / "CMU/01", folder / "elsewhere")
  skipped = build.build("amass_h36m", tmp_path / "c", folder).skipped
  assert skipped["ACCAD"] == "motions: 1; in no recommended split, splits=subset stores them"
  assert skipped["second copy/CMU/01/01_01_poses.npz"] == "a second copy of CMU/01/01_01_poses.npz"
  assert skipped["elsewhere/01_01_poses.npz"] == "no folder above it has the name of one of AMASS's data sets"


def test_the_folder_of_one_data_set_and_archives(raw, data, tmp_path):
  options = dict(body_models=raw / "body_models", regressor=raw / "J_regressor_h36m.npy")
  one = build.build("amass_h36m", tmp_path / "a", raw / "CMU", **options)
  (tmp_path / "raw").mkdir()
  with tarfile.open(tmp_path / "raw/CMU.tar.bz2", "w:bz2") as archive:
    archive.add(raw / "CMU", "CMU")
  with tarfile.open(tmp_path / "raw/KIT.tar.bz2", "w:bz2") as archive:
    archive.add(raw / "KIT/3", "3")  # whose name is all that says which data set it is
  packed = build.build("amass_h36m", tmp_path / "b", tmp_path / "raw", **options)
  assert one.splits["train"].sequences == 1 and packed.splits["train"].sequences == 2
  for motion, other in zip(
    source.load("amass_h36m", ["train"], data), source.load("amass_h36m", ["train"], tmp_path / "b")
  ):
    assert motion.sequence == other.sequence
    np.testing.assert_array_equal(motion.positions_world, other.positions_world)


GOOD = dict(
  poses=np.zeros((3, 156)), trans=np.zeros((3, 3)), betas=np.zeros(16), gender=np.array("male"),
  mocap_framerate=np.array(120.0),
)  # fmt: skip


@pytest.mark.parametrize(
  "gender", [np.array("female"), np.array(b"female"), np.array(["Female"]), np.array("female ", object)]
)
def test_gender_in_every_form(gender, tmp_path):
  np.savez(tmp_path / "m.npz", **{**GOOD, "gender": gender})
  assert motion_file.read(tmp_path / "m.npz", "m.npz").gender == "female"


@pytest.mark.parametrize("stored, read", [(120.00004577636719, 120), (59.94, 59.94), (100, 100)])
def test_frame_rates(stored, read, tmp_path):
  np.savez(tmp_path / "m.npz", **{**GOOD, "mocap_framerate": np.array(stored)})
  assert motion_file.read(tmp_path / "m.npz", "m.npz").fps == read


@pytest.mark.parametrize(
  "changes, reason",
  [
    (dict(poses=None), "holds no poses, it has betas, gender"),
    (dict(trans=None, mocap_framerate=None), "lacks trans, mocap_framerate"),
    (dict(gender=np.array("unknown")), "gender 'unknown'; expected one of female, male, neutral"),
    (dict(poses=np.zeros(3)), r"poses \(3,\), trans \(3, 3\) and betas \(16,\) are not"),
    (dict(poses=np.zeros((0, 156)), trans=np.zeros((0, 3))), r"poses \(0, 156\)"),
    (dict(betas=np.full(16, np.nan)), "its betas hold NaN or infinity"),
    (dict(mocap_framerate=np.array(0.0)), "mocap_framerate is 0.0, no frame rate"),
    (dict(betas=np.array("x")), "cannot be read"),
  ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(changes, reason, tmp_path):
  np.savez(tmp_path / "m.npz", **{k: v for k, v in {**GOOD, **changes}.items() if v is not None})
  with pytest.raises(ValueError, match=f"CMU/m.npz.*{reason}"):
    motion_file.read(tmp_path / "m.npz", "CMU/m.npz")


def test_a_file_cut_short(tmp_path):
  np.savez(tmp_path / "m.npz", **GOOD)
  (tmp_path / "m.npz").write_bytes((tmp_path / "m.npz").read_bytes()[:-100])
  with pytest.raises(ValueError, match="CMU/m.npz: no .npz archive, or a damaged or truncated one"):
    motion_file.read(tmp_path / "m.npz", "CMU/m.npz")


def test_errors_say_what_to_do(raw, tmp_path):
  with pytest.raises(ValueError, match="AMASS has no data set 'CMV'; it has ACCAD, BMLhandball"):
    build.build("amass_h36m", tmp_path, raw, subsets=["CMV"])
  with pytest.raises(ValueError, match=r"subsets='CMU'; give a list of data sets, as \['CMU'\]"):
    build.build("amass_h36m", tmp_path, raw, subsets="CMU")
  with pytest.raises(ValueError, match="splits='train'; choose official or subset"):
    build.build("amass_h36m", tmp_path, raw, splits="train")
  with pytest.raises(ValueError, match="fps=0; give frames a second"):
    build.build("amass_h36m", tmp_path, raw, fps=0)
  with pytest.raises(ValueError, match="no motion of AMASS to store from .* .8 .npz files found"):
    build.build("amass_h36m", tmp_path / "data", raw, subsets=["SFU"])
  with pytest.raises(FileNotFoundError, match="put body_models into the folder .* there is nothing to store without"):
    build.build("amass_h36m", tmp_path / "data", raw / "CMU")


def test_the_recommended_splits_do_not_overlap():
  names = [n for split in subsets.OFFICIAL.values() for n in split]
  assert len(names) == len(set(names)) == 14 and set(names) <= set(subsets.SUBSETS)
  spellings = [s for name, others in subsets.SUBSETS.items() for s in (name, *others)]
  assert len(spellings) == len({s.lower() for s in spellings})
  assert subsets.of_path("x/BioMotionLab_NTroje/rub001/a_poses.npz") == ("BMLrub", "rub001", "a")
  assert subsets.of_path("01/01_01_poses.npz", "CMU") == ("CMU", "01", "01_01")
  assert subsets.of_path("CMU/01_01_poses.npz") is None


def test_published_counts():
  examples = [
    Example("ACCAD", f"ACCAD/{i % 20}", "", f"ACCAD/{i % 20}/{i}", "", "h36m_17", 10, 10, 60.0) for i in range(252)
  ] + [Example("CMU", "CMU/01", "", "CMU/01/01_01", "", "h36m_17", 10, 10, 60.0)]
  assert [c.count(examples) for c in module.checks()] == [c.expected for c in module.checks()] == [252, 20]
  verdicts = [verification.verdict(module.checks(), e) for e in (examples, examples[1:], examples[252:])]
  assert verdicts == ["ok", "partial", "unknown"]  # the recommended splits leave out the one data set that is counted
