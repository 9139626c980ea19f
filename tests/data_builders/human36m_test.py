"""Human3.6M: the official files and VideoPose3D's, against independent float64 arithmetic."""

import functools
import pathlib

import numpy as np
import pytest

from data_builders import build, verification
from data_builders.human36m import (
  calibration,
  checks,
  fixture,
  human36m_dataset_builder,
  metadata_fixture,
  official,
  takes,
  videopose3d,
)
from data_builders.human36m.joints import H36M_32, HOURGLASS_16
from jaxpose import protocols
from jaxpose import skeleton as skeletons
from jaxpose.data import calibration as numbers
from tests import helpers
from tests.data_builders.human36m_truth import CAMERAS, FACTS, H36M, OF_32, again, made, seen, truth, turn


@pytest.fixture(scope="module")
def derived(tmp_path_factory):
  """made(...) of any configuration, once."""
  return functools.cache(lambda config: made(tmp_path_factory.mktemp(config), config))


@pytest.mark.parametrize("layout", fixture.LAYOUTS)
def test_world_to_camera_to_pixels_equals_independent_arithmetic(layout, tmp_path):
  """Archives come without metadata.xml here: both calibrations are held against the same numbers."""
  built, clips = made(tmp_path, layout=layout, metadata=layout != "archives")
  expected = truth()
  assert not built.skipped and len(clips) == 4 * len(expected)
  for (subject, take), world in expected.items():
    for camera_id in CAMERAS:
      clip = clips[f"{subject}/{take}/{camera_id}"]
      joints, pixels = seen(world, subject, camera_id)
      np.testing.assert_allclose(clip.joints_3d, joints, atol=2e-6)
      np.testing.assert_allclose(clip.keypoints_2d, pixels, atol=1e-3)
      assert clip.valid.all() and (clip.confidence == 1).all() and clip.fps == 50
      assert tuple(clip.camera.size) == (1000, 1002 if camera_id in ("54138969", "60457274") else 1000)
      assert (clip.action, clip.skeleton) == (take.split(" ")[0], H36M)
  assert list(built.splits) == ["S1", "S9", "S11"]


def test_which_calibration_was_used_is_recorded(tmp_path):
  for name, metadata in (("with", True), ("without", False)):
    fixture.write(tmp_path / name, metadata=metadata, only={"S9": ["Greeting"]})
  built = build.build("human36m", tmp_path / "a", tmp_path / "with")
  assert "metadata.xml" in pathlib.Path(built.directory, "metadata.json").read_text()
  built = build.build("human36m", tmp_path / "b", tmp_path / "without")
  assert "published constants" in pathlib.Path(built.directory, "metadata.json").read_text()


def test_metadata_and_published_constants_are_the_same_cameras():
  ours, theirs = calibration.from_metadata(metadata_fixture.text(), "metadata.xml"), calibration.published()
  assert set(ours) == set(theirs) == set(takes.SUBJECTS)
  for subject in ours:
    assert tuple(ours[subject]) == CAMERAS
    for camera_id in CAMERAS:
      for field, other in zip(ours[subject][camera_id], theirs[subject][camera_id]):
        np.testing.assert_allclose(field, other, rtol=1e-6, atol=1e-6)
  with pytest.raises(ValueError, match="old.xml holds 0 numbers in <w0>, expected 300"):
    calibration.from_metadata("<metadata></metadata>", "old.xml")
  with pytest.raises(ValueError, match="holds 3 numbers"):
    calibration.from_metadata("<w0>[1 -2.5e-3 3.]</w0>", "old.xml")


def test_joints_go_by_name_to_the_published_indices():
  assert official.to_h36m_17.matrix.argmax(1).tolist() == OF_32
  assert not official.to_h36m_17.missing and not official.to_h36m_17.averaged
  for left, right in H36M_32.pairs:  # the published tree is symmetric
    assert H36M_32.names[left].replace("left", "right") == H36M_32.names[right]
  middle = [-1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14]
  assert list(H36M_32.parents) == [*middle, 12, 16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27, 28, 27, 30]
  to_16 = skeletons.joint_map(HOURGLASS_16, skeletons.get("h36m_16"))
  assert to_16.matrix.argmax(1).tolist() == [6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 13, 14, 15, 12, 11, 10]


def facing_camera(subject="S1", camera_id="54138969"):
  """A person that stands before a camera and faces it, as the file's 32 joints in world millimetres, by index."""
  standing = helpers.STANDING[None].astype(float) + [0, 0, 5.0]  # x right, so the person's right is at negative x
  q, position = numbers.H36M_EXTRINSICS[subject][CAMERAS.index(camera_id)]
  world = 1000 * turn(q, standing) + np.array(position)
  full = np.repeat(world[:, :1], 32, 1)
  full[:, OF_32] = world
  return np.repeat(full, 3, 0)


def test_left_and_right_survive_the_format_and_the_map(tmp_path):
  path = tmp_path / "raw/S1/MyPoseFeatures/D3_Positions/Posing.cdf"
  path.parent.mkdir(parents=True)
  fixture.write_cdf(path, facing_camera().reshape(3, -1))
  _, clips = again(tmp_path)
  clip = clips["S1/Posing/54138969"]
  np.testing.assert_allclose(clip.joints_3d[0], helpers.STANDING + np.float32([0, 0, 5]), atol=1e-5)
  for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"):
    left, right = (clip.keypoints_2d[0, H36M.index(f"{side}_{name}"), 0] for side in ("left", "right"))
    assert right < clip.keypoints_2d[0, 0, 0] < left
  assert clip.keypoints_2d[0, H36M.index("head_top"), 1] < clip.keypoints_2d[0, H36M.index("left_ankle"), 1]


def test_the_innermost_folder_or_archive_names_the_subject():
  for path, subject in {
    "S1/S9/D3_Positions/Walking 1.cdf": "S9",
    "S9/old S1/MyPoses/Walking 1.cdf": "S9",
    "Poses_D3_Positions_S11.tgz/S11/MyPoseFeatures/D3_Positions/Walking 1.cdf": "S11",
    "S5/Poses_D3_Positions_S8.tgz/Walking 1.cdf": "S8",
    "D3_Positions/Walking 1.cdf": "",
  }.items():
    assert official.identify(path) == (subject, "Walking 1"), path


def test_takes_are_named_as_in_derived_files():
  assert takes.canonical("TakingPhoto 1") == "Photo 1" and takes.canonical("WalkingDog") == "WalkDog"
  assert takes.canonical("Walking 1") == "Walking 1" and takes.action("SittingDown 1") == "SittingDown"
  with pytest.raises(ValueError, match="'Juggling 1' is no take"):
    takes.action("Juggling 1")
  assert takes.parse_source("s_09_act_05_subact_02_ca_03") == ("S9", "Greeting", 3)
  assert takes.parse_source("s_01_act_12_subact_01_ca_01").take == "Photo 1"
  for bad in ("s_02_act_02_subact_01_ca_01", "s_09_act_17_subact_01_ca_01", "s_09_act_02_subact_01_ca_05", "S9"):
    with pytest.raises(ValueError, match=bad):
      takes.parse_source(bad)
  names = {take.name for subject in takes.SUBJECTS for take in takes.TAKES[subject]}
  assert {takes.action(n) for n in names} == set(takes.ACTIONS) and len(takes.ACTIONS) == 15
  for subject in takes.SUBJECTS:
    for take in takes.TAKES[subject]:
      assert takes.parse_source(takes.source_of(subject, take, 2)) == (subject, take.name, 2)


def published(without_corrupt):
  """Examples as the whole data set has them, four cameras a take."""
  return [
    verification.Example(subject, subject, "", take.name, camera_id, "h36m_17", take.frames, take.frames, 50.0)
    for subject in takes.SUBJECTS
    for take in takes.TAKES[subject]
    for camera_id in CAMERAS
    if not (without_corrupt and (subject, take.name) == ("S11", "Directions"))
  ]


def test_published_counts():
  expected = {c.what: c.expected for c in human36m_dataset_builder.checks()}
  assert expected["frames of S1 S5 S6 S7 S8, training"] == 1_559_752
  assert expected["frames of S9 S11 but S11's Directions, test"] == 543_344
  per_camera = dict(S1=62_094, S5=99_079, S6=62_466, S7=101_621, S8=64_678, S9=79_417, S11=58_244)
  assert {s: expected[f"{s}: frames"] // 4 for s in per_camera} == per_camera
  assert all(expected[f"{s}: takes"] == 30 for s in per_camera)
  for config, without in (("", False), ("official", False), ("gt", True), ("cpn_ft_h36m_dbb", True)):
    table, agree = verification.table(human36m_dataset_builder.checks(config), published(without))
    assert agree, table
    assert not verification.table(human36m_dataset_builder.checks(config), published(not without))[1]


def test_counts_of_motionberts_windows():
  train, test = (checks.windows(s, *a) for s, a in (("train", (243, 81)), ("test", (243, 243))))
  one = published(False)[0]
  lengths = {"train": (242, 243, 323, 324), "test": (485, 486, 100)}
  examples = [one._replace(split=s, frames=n) for s in lengths for n in lengths[s]]
  assert train(examples) == 0 + 1 + 1 + 2 and test(examples) == 1 + 2 + 0
  # The official takes alone, under the published windowing: the training file's 17,748 clips.
  renamed = [e._replace(split="train") for e in published(False) if e.split in takes.TRAIN]
  assert train(renamed) == 17_748


def test_what_is_no_pose_file_of_a_subject_is_left_out(tmp_path):
  raw = tmp_path / "raw"
  fixture.write(raw, only={"S9": ["Greeting", "Walking 1"]})
  poses = raw / "S9/MyPoseFeatures/D3_Positions"
  for folder in ("D3_Positions_mono", "D2_Positions"):
    (poses.parent / folder).mkdir()
    (poses.parent / folder / "Greeting.54138969.cdf").write_bytes(b"another feature")
  (poses / "_ALL.cdf").write_bytes(b"all takes")
  damaged = (poses / "Walking 1.cdf").read_bytes()
  (poses / "Walking 1.cdf").write_bytes(damaged[: len(damaged) // 2])
  (raw / "copy/S9/D3_Positions").mkdir(parents=True)
  (raw / "copy/S9/D3_Positions/Greeting.cdf").write_bytes((poses / "Greeting.cdf").read_bytes())
  (raw / "S2/D3_Positions").mkdir(parents=True)
  (raw / "S2/D3_Positions/Greeting.cdf").write_bytes(b"")
  fixture.write_cdf(poses / "Eating.cdf", np.zeros((4, 64)))
  fixture.write_cdf(poses / "Juggling.cdf", facing_camera("S9").reshape(3, -1))
  built, clips = again(tmp_path)
  reasons = {
    "S2/D3_Positions/Greeting.cdf": "names a subject of S1, S5",
    "S9/MyPoseFeatures/D3_Positions/Eating.cdf": "64 values, expected 96",
    "copy/S9/D3_Positions/Greeting.cdf": "a second copy of S9/MyPoseFeatures",
    "S9/MyPoseFeatures/D3_Positions/Juggling.cdf": "no take of Human3.6M",
    "S9/MyPoseFeatures/D3_Positions/Walking 1.cdf": "Walking 1.cdf",
  }
  assert set(built.skipped) == set(reasons)
  assert all(reasons[name] in built.skipped[name] for name in reasons), built.skipped
  assert {c.sequence for c in clips.values()} == {"Greeting"}


def test_nothing_to_read(tmp_path):
  (tmp_path / "raw").mkdir()
  (tmp_path / "raw" / "readme.txt").write_text("nothing here")
  for config, wanted in (
    ("official", "no CDF file of D3_Positions; expected Poses_D3"),
    ("gt", "holds no data_3d_h36m.npz"),
    ("motionbert", "holds no h36m_sh_conf_cam_source_final.pkl"),
  ):
    with pytest.raises(ValueError, match=wanted):
      build.build(f"human36m/{config}", tmp_path / "data", tmp_path / "raw")


@pytest.mark.parametrize("config", ["gt", "cpn_ft_h36m_dbb", "detectron_ft_h36m", "sh_ft_h36m"])
def test_keypoints_of_videopose3d(config, derived):
  built, clips = derived(config)
  expected = {k: v for k, v in truth().items() if k != ("S11", "Directions")}  # which these files lack
  assert len(clips) == 4 * len(expected) and list(built.splits) == ["S1", "S9", "S11"] and not built.skipped
  distances = []
  for (subject, take), world in expected.items():
    for camera_id in CAMERAS:
      clip = clips[f"{subject}/{take}/{camera_id}"]
      joints, pixels = seen(world, subject, camera_id)
      assert len(clip) == len(world)  # the files' further frames of keypoints are cut
      np.testing.assert_allclose(clip.joints_3d, joints, atol=2e-6)
      absent = clip.confidence == 0
      assert absent.sum() == (len(clip) if config == "sh_ft_h36m" else 0)
      assert absent[:, H36M.index("nose")].all() == (config == "sh_ft_h36m")
      distances.append(np.linalg.norm(clip.keypoints_2d - pixels, axis=-1)[~absent])
  distances = np.concatenate(distances)
  if config == "gt":
    assert distances.max() < 1e-3
  else:  # independent noise in x and y: a Rayleigh distribution, the same for all joints if none is swapped
    noise = {"cpn_ft_h36m_dbb": 3.0, "detectron_ft_h36m": 4.0, "sh_ft_h36m": 5.0}[config]
    assert distances.mean() == pytest.approx(noise * np.sqrt(np.pi / 2), rel=0.03)


def test_hourglass_keypoints_in_either_circulating_order(derived, tmp_path):
  _, clips = derived("sh_ft_h36m")
  _, same = made(tmp_path, "sh_ft_h36m", hourglass="h36m_16")
  for name, clip in clips.items():
    np.testing.assert_array_equal(clip.keypoints_2d, same[name].keypoints_2d)


def test_damaged_files_of_videopose3d(tmp_path):
  one = {"S1": {"Directions 1": np.zeros((5, 32, 3), np.float32)}, "S9": {"Greeting": np.zeros((5, 17, 3))}}
  views = [np.zeros((4, 17, 2), np.float32)] * 4
  two = {"S1": {"Directions 1": views, "Photo": views}, "S9": {"Greeting": views}}

  def save(metadata, poses=one, keypoints=two):
    np.savez(tmp_path / "3d.npz", positions_3d=np.array(poses, object))
    np.savez(tmp_path / "2d.npz", positions_2d=np.array(keypoints, object), metadata=np.array(metadata, object))
    return videopose3d.load(tmp_path / "3d.npz", tmp_path / "2d.npz", "a.zip/3d.npz", "a.zip/2d.npz")

  loaded, skipped = save({"num_joints": 17}), {}
  assert videopose3d.names(loaded, skipped) == {"S1": ["S1/Directions 1"], "S9": ["S9/Greeting"]}
  assert skipped == {"S1/Photo": "data_3d_h36m.npz has no poses of it"}
  cameras = calibration.published()
  with pytest.raises(ValueError, match=r"Directions 1, camera 54138969: 4 frames of keypoints for 5 of poses"):
    videopose3d.clips(loaded, "S1/Directions 1", cameras)
  with pytest.raises(ValueError, match=r"S9/Greeting has shape \(5, 17, 3\), expected \[T, 32, 3\]"):
    videopose3d.clips(loaded, "S9/Greeting", cameras)
  with pytest.raises(ValueError, match="2d.npz: its joints have the layout 'coco'"):
    save({"num_joints": 17, "layout_name": "coco"})
  with pytest.raises(ValueError, match="another joint order"):
    save({"num_joints": 17, "keypoints_symmetry": [[1, 2, 3, 11, 12, 13], [4, 5, 6, 14, 15, 16]]})
  with pytest.raises(ValueError, match=r"2d.npz: expected \{subject"):
    save({}, keypoints=[1, 2])


def test_the_corrupt_take_is_in_the_official_set_and_dropped_by_the_protocol(tmp_path):
  _, clips = made(tmp_path, only={"S11": ["Directions", "Directions 1"]})
  clips = list(clips.values())
  report = protocols.evaluate("h36m", clips, [c.joints_3d for c in clips], facts=FACTS, resamples=20)
  assert set(report["fingerprint"]["dropped"]) == {f"S11/Directions/{c}" for c in CAMERAS}
  assert report["metrics"]["mpjpe_mm"] == pytest.approx(0, abs=1e-3)
