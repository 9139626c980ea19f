"""Bad input: each kind is a clear error or warning with the frame, the value and the flag that mends it."""

import json
import os

import numpy as np
import pytest

from jaxpose import keypoints
from jaxpose import skeleton as skeletons
from jaxpose.keypoints import check, joints, sample
from tests.keypoints import files

SIZE = (1280, 720)


def stored(tmp_path, points, confidence=None, **others):
  confidence = np.ones(points.shape[:3]) if confidence is None else confidence
  (tmp_path / "k.npz").write_bytes(files.npz(points, confidence, **others))
  return tmp_path / "k.npz"


@pytest.fixture(scope="module")
def coco():
  return files.people("coco_17", 24)[0]


def test_a_good_file_has_no_warnings(tmp_path, coco):
  tracks = keypoints.read(stored(tmp_path, coco, np.full(coco.shape[:3], 0.9), fps=30, skeleton="coco_17"))
  assert tracks.notes == () and len(tracks) == 24


@pytest.mark.parametrize("joints", [0, 1, 5, 12, 19, 21, 30])
def test_another_joint_count_lists_sets_by_count(tmp_path, joints):
  points = np.random.default_rng(0).uniform(0, 700, (4, 1, joints, 2))
  with pytest.raises(ValueError) as error:
    keypoints.read(stored(tmp_path, points))
  if joints:
    text = str(error.value)
    assert f"no joint set of {joints} joints" in text and "25 (body_25)" in text and "--joints=theirs=ours" in text


def test_16_joints_could_be_two_sets(tmp_path):
  points, _ = files.people("h36m_16", 4)
  with pytest.raises(ValueError, match="16 joints are h36m_16 or mpii_16; say which by --skeleton=NAME"):
    keypoints.read(stored(tmp_path, points))
  assert keypoints.read(stored(tmp_path, points), skeleton="h36m_16").skeleton.name == "h36m_16"


@pytest.mark.parametrize("skeleton", ["coco_17", "h36m_17", "mpi_inf_3dhp_17"])
@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_17_joints_without_names_are_told_apart(tmp_path, skeleton, noise):
  points, _ = files.people(skeleton, 40, noise=noise)
  tracks = keypoints.read(stored(tmp_path, points))
  assert tracks.skeleton.name == skeleton and any(f"{skeleton} by where the joints lie" in n for n in tracks.notes)


def test_17_joints_that_fit_no_set_name_the_three(tmp_path):
  points = np.random.default_rng(0).uniform(0, 700, (30, 1, 17, 2))
  with pytest.raises(ValueError, match="coco_17, h36m_17 or mpi_inf_3dhp_17.*none of them; say which by --skeleton"):
    keypoints.read(stored(tmp_path, points))


def test_a_size_that_nothing_says_is_never_guessed(tmp_path, coco):
  path = stored(tmp_path, coco)
  with pytest.raises(ValueError, match=r"k.npz: npz files do not say .*--image_size=WIDTHxHEIGHT or --video=FILE"):
    check.image_size(keypoints.read(path))
  assert check.image_size(keypoints.read(path, image_size=SIZE)) == SIZE


def test_normalised_coordinates_are_taken_as_such_if_the_size_is_known(tmp_path, coco):
  path = stored(tmp_path, coco / SIZE)
  with pytest.raises(ValueError, match=r"coordinates from 0\.\d+ to 0\.\d+ are shares of an image of unknown size"):
    keypoints.read(path)
  tracks = keypoints.read(path, image_size=SIZE)
  np.testing.assert_allclose(tracks.keypoints, coco, atol=1e-3)
  assert any("are taken as shares of the image's width and height" in note for note in tracks.notes)


def test_y_upward_is_told_with_its_share(tmp_path, coco):
  tracks = keypoints.read(stored(tmp_path, SIZE - coco))
  assert any("heads are below ankles in 100 % of the frames" in note for note in tracks.notes)


def test_exchanged_axes_are_told_with_their_share(tmp_path, coco):
  tracks = keypoints.read(stored(tmp_path, coco[..., ::-1]), image_size=SIZE)
  assert any("people lie in 100 % of the frames" in note and "exchanged" in note for note in tracks.notes)


def test_exchanged_sides_are_told_in_3d():
  made = sample.scene()
  h36m = skeletons.get("h36m_17")
  joints = sample.detector_joints(made.points, h36m)
  turned = joints @ made.camera.rotation.T + made.camera.translation  # any right-handed frame
  for poses in (joints, turned):
    assert check.sides(poses, h36m) == ()
    (warning,) = check.sides(poses[..., list(h36m.flip), :], h36m)
    assert "the nose is behind the shoulders in 100 % of the frames" in warning and "--joints=" in warning
  assert check.sides(np.full((2, 1, 17, 3), np.nan), h36m) == ()
  assert check.sides(sample.detector_joints(made.points, skeletons.get("coco_17")), skeletons.get("coco_17")) == ()


def test_nan_is_missing_and_counted(tmp_path, coco):
  broken = coco.copy()
  broken[3:20, 0, 9] = np.nan
  tracks = keypoints.read(stored(tmp_path, broken, fps=30))
  assert (tracks.status[3:20, 0, 9] == keypoints.Status.MISSING).all()
  assert any(note.startswith("17 of 816 joints of the people in view are missing") for note in tracks.notes)


def test_under_half_of_the_limbs_in_every_frame_is_refused(tmp_path, coco):
  broken = coco.copy()
  limbs = [skeletons.get("coco_17").index(n) for n in joints.LIMBS]
  broken[:, :, limbs[:7]] = np.nan
  message = r"in no frame half of the limbs' joints are there; the most, 5 of 12, in frame 0.*--skeleton="
  with pytest.raises(ValueError, match=message):
    keypoints.read(stored(tmp_path, broken), skeleton="coco_17")
  broken[7, 1, limbs[6]] = coco[7, 1, limbs[6]]  # half, in one frame
  keypoints.read(stored(tmp_path, broken), skeleton="coco_17")


def test_confidence_all_0_is_refused_unless_ignored(tmp_path, coco):
  path = stored(tmp_path, coco, np.zeros(coco.shape[:3]))
  with pytest.raises(ValueError, match="k.npz: every confidence is 0; if they mean nothing, --confidence=ignore"):
    keypoints.read(path)
  assert (keypoints.read(path, confidence="ignore").confidence == 1).all()


def test_confidence_below_the_threshold_everywhere_names_the_greatest(tmp_path, coco):
  path = stored(tmp_path, coco, np.full(coco.shape[:3], 0.2))
  with pytest.raises(ValueError, match=r"no confidence reaches 0.3, the greatest is 0.2; lower it by --confidence=0.1"):
    keypoints.read(path)
  assert (keypoints.read(path, confidence=0.1).status == 0).all()
  for wrong in (-1, 1.5, "none"):
    with pytest.raises(ValueError, match=f"--confidence={wrong}; expected a number from 0 to 1, or ignore"):
      keypoints.read(path, confidence=wrong)


def test_confidence_above_1_is_clipped_and_the_threshold_drops_joints(tmp_path, coco):
  confidence = np.full(coco.shape[:3], 0.9)
  confidence[9, 1, 4], confidence[5, 0, 2] = 4.5, 0.29
  tracks = keypoints.read(stored(tmp_path, coco, confidence, fps=30), fill_s=0)
  assert tracks.confidence.max() == 1 and tracks.status[5, 0, 2] == 2 and tracks.status.sum() == 2
  assert any("confidences above 1, up to 4.5 in frame 9, are clipped" in n for n in tracks.notes)
  assert any("1 of 816 joints below confidence 0.3 count as missing" in n for n in tracks.notes)


def test_people_without_a_joint_above_the_threshold_are_nobody(tmp_path, coco):
  confidence = np.full(coco.shape[:3], 0.9)
  confidence[4:9, 1] = 0.1
  entries = json.loads(files.alphapose(coco, confidence))
  (tmp_path / "r.json").write_text(json.dumps(entries))
  tracks = keypoints.read(tmp_path / "r.json", fps=30, fill_s=0)
  assert tracks.ids == (1, 2) and sorted((~tracks.present).sum(0)) == [0, 5]


def test_jumps_are_warnings_with_their_frame(tmp_path, coco):
  swapped = coco.copy()
  swapped[10:] = swapped[10:, ::-1]
  tracks = keypoints.read(stored(tmp_path, swapped, fps=30))
  assert any(n.startswith("person 1 jumps") and "at frame 10" in n for n in tracks.notes)


def test_people_are_chosen(tmp_path, coco):
  near = coco.copy()
  near[:, 1] = 640 + 1.4 * (near[:, 1] - 640)
  path = stored(tmp_path, near, ids=np.array([3, 8]))
  assert keypoints.read(path).ids == (3, 8)
  assert keypoints.read(path, person="largest").ids == (8,)
  assert keypoints.read(path, person=3).ids == keypoints.read(path, person="3").ids == (3,)
  for wrong in ("5", "big"):
    with pytest.raises(ValueError, match=rf"--person={wrong}; expected all, largest, or one of \[3, 8\]"):
      keypoints.read(path, person=wrong)
  both = keypoints.read(path)
  np.testing.assert_array_equal(both.person(8).keypoints[:, 0], both.keypoints[:, 1])
  with pytest.raises(ValueError, match=r"no person 5; --person= takes one of \[3, 8\]"):
    both.person(5)


def test_what_stands_in_for_a_joint_is_told():
  (said,) = check.stand_ins(skeletons.get("coco_17"), skeletons.get("h36m_17"))
  assert said.startswith("coco_17 to h36m_17: ") and "head_top is the mean of left_eye, right_eye" in said
  assert check.stand_ins(skeletons.get("h36m_17"), skeletons.get("h36m_17")) == ()


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("x.json", b"", "is empty"),
    ("x.json", b'[{"image_id": "1.jpg", "keyp', "is no JSON, or cut short"),
    ("x.json", b"[" * 100_000, "is no JSON"),
    ("x.json", b'{"a": 1}', "is in no format of keypoints that is known. Looked for COCO"),
    ("x.json", b"[]", "is in no format"),
    ("x.h5", b"\x89HDF\r\n\x1a\n0000", "an HDF5 file; DeepLabCut writes CSV too"),
    ("x.mp4", b"\0\0\0\x18ftypmp42", "a video; detect people in it first"),
    ("x.png", b"\x89PNG\r\n", "a picture; detect people in it first"),
    ("x.pkl", b"\x80\x04K\x01.", "a pickle, which is not read"),
    ("x.txt", b"hello", "is in no format"),
    ("x.json", b'[{"image_id": "a.jpg", "keypoints": [1, 2, 1]}]', "no joint set of 1 joints"),
    ("x.json", b'[{"image_id": "a.jpg", "keypoints": [%s]}]' % b",".join([b"1"] * 51), "'a.jpg' has no frame number"),
    ("x.json", b'[{"image_id": 1, "keypoints": [1, 2]}]', "2 numbers a person; expected x, y and confidence"),
    ("x.json", b'[{"image_id": 1, "keypoints": [1, "2", 3]}]', "entry 0: keypoints: '2' is no number"),
    ("x.json", b'[{"image_id": 1, "keypoints": [1, 2, 3]}, {"image_id": 1, "keypoints": [1]}]', "1 numbers, but 3 in"),
    ("x.json", b'[{"image_id": 1, "keypoints": [1e30, 2, 3]}]', r"1e\+30 is no pixel"),
    ("x.json", b'[{"image_id": 1, "keypoints": [1, 2, 3]}, 5]', "entry 1: expected a person with keypoints, got '5'"),
  ],
)
def test_what_holds_no_keypoints_says_what_it_is(tmp_path, name, content, message):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(ValueError, match=message) as error:
    keypoints.read(tmp_path / name)
  assert name in str(error.value)


def test_files_and_folders_that_are_not_there_or_hold_something_else(tmp_path):
  with pytest.raises(FileNotFoundError, match="there is no file or folder .*nothing.json"):
    keypoints.read(tmp_path / "nothing.json")
  with pytest.raises(ValueError, match=r"is a folder with neither .json nor .txt files"):
    keypoints.read(tmp_path)
  (tmp_path / "a.json").write_text("{}")
  (tmp_path / "a.txt").write_text("1 2 3")
  with pytest.raises(ValueError, match=r"is a folder with both .json and .txt files"):
    keypoints.read(tmp_path)


def test_a_format_may_be_named_and_an_option_must_mean_something(tmp_path, coco):
  path = stored(tmp_path, coco)
  with pytest.raises(ValueError, match="unknown format 'detectron'; known are coco, alphapose, openpose"):
    keypoints.read(path, "detectron")
  with pytest.raises(ValueError, match="--keypoint_scale= says nothing about .*k.npz, which is in the format npz"):
    keypoints.read(path, keypoint_scale=3)
  assert keypoints.read(path, "npz").format == "npz"


def test_frames_that_are_none(tmp_path, coco):
  entries = json.loads(files.alphapose(coco, np.ones(coco.shape[:3])))
  entries[5]["image_id"] = "2000000.jpg"
  (tmp_path / "r.json").write_text(json.dumps(entries))
  with pytest.raises(ValueError, match="frames 0 to 2000000, but people in 25 of them only; are these frame numbers?"):
    keypoints.read(tmp_path / "r.json")
  entries[5]["image_id"] = "other_5.jpg"
  (tmp_path / "r.json").write_text(json.dumps(entries))
  with pytest.raises(ValueError, match=r"'\d.jpg' and 'other_5.jpg' are not frames of one recording"):
    keypoints.read(tmp_path / "r.json")


def test_a_recording_that_is_too_short_for_its_keypoints(tmp_path, coco):
  path = stored(tmp_path, coco)
  assert len(keypoints.read(path, frames=30)) == 30
  with pytest.raises(ValueError, match="somebody in frame 23, but the recording has 20 frames"):
    keypoints.read(path, frames=20)


def test_pictures_counted_from_anywhere_start_with_the_first(tmp_path, coco):
  entries = json.loads(files.alphapose(coco, np.ones(coco.shape[:3])))
  for entry in entries:
    entry["image_id"] = f"{100000 + int(os.path.splitext(entry['image_id'])[0])}.jpg"
  (tmp_path / "r.json").write_text(json.dumps(entries))
  tracks = keypoints.read(tmp_path / "r.json")
  assert list(tracks.frames) == list(range(100000, 100024))
