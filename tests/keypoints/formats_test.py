"""Every format is recognised and gives back the coordinates, ids and frames that were written."""

import json
import pathlib

import numpy as np
import pytest

from jaxpose import keypoints
from jaxpose import skeleton as skeletons
from jaxpose.keypoints import npz_file, sample
from tests.keypoints import files

SIZE, FPS = (1280, 720), 30.0
GOLDEN = pathlib.Path(__file__).parent.parent / "golden"


def made(skeleton, frames=24, people=2, empty=()):
  points, confidence = files.people(skeleton, frames)
  points, confidence = points[:, :people], confidence[:, :people]
  points[list(empty)] = np.nan
  return points, np.where(np.isnan(points[..., 0]), 0, confidence)


def check(tracks, points, confidence, *, name, skeleton, ids=None, tolerance=1e-3):
  assert (tracks.format, tracks.skeleton.name) == (name, skeleton)
  assert tracks.keypoints.shape == points.shape
  order = [
    np.nanargmin(np.nansum(np.abs(tracks.keypoints[:1] - points[0, n]), (0, 2, 3))) for n in range(len(points[0]))
  ]
  assert sorted(order) == list(range(len(order)))
  np.testing.assert_allclose(tracks.keypoints[:, order], points, atol=tolerance)
  np.testing.assert_allclose(tracks.confidence[:, order], np.minimum(confidence, 1), atol=1e-5)
  if ids:
    assert tuple(tracks.ids[i] for i in order) == ids


def write(tmp_path, name, content):
  (tmp_path / name).write_bytes(content)
  return tmp_path / name


def test_coco(tmp_path):
  points, confidence = made("coco_17")
  tracks = keypoints.read(write(tmp_path, "r.json", files.coco(points, confidence)))
  check(tracks, points, confidence, name="coco", skeleton="coco_17")


def test_coco_annotations_know_the_size_and_say_that_flags_are_no_confidence(tmp_path):
  points, _ = made("coco_17", 1)
  flags = np.full((2, 17), 2.0)
  flags[0, 3] = 0
  people = [
    {"image_id": 7, "id": i, "keypoints": files.triples(np.where(v[:, None] > 0, p, 0), v), "iscrowd": 0}
    for i, (p, v) in enumerate(zip(points[0], flags))
  ]
  value = {
    "images": [{"id": 7, "width": 1280, "height": 720}, {"id": 8, "width": 5, "height": 5}],
    "annotations": people,
  }
  tracks = keypoints.read(write(tmp_path, "a.json", json.dumps(value).encode()))
  assert tracks.image_size == SIZE and tracks.confidence.max() == 1
  assert tracks.status[0].sum() == 2 and tracks.status[0, 0, 3] == 2
  assert any("flag" in note for note in tracks.notes)


def test_coco_photographs_are_frames_of_their_own(tmp_path):
  points, confidence = made("coco_17", 3)
  entries = json.loads(files.coco(points, confidence))
  for entry, image in zip(entries, (40083, 40083, 785, 785, 197388, 197388)):
    entry["image_id"] = image
  path = write(tmp_path, "r.json", json.dumps(entries).encode())
  tracks = keypoints.read(path)
  assert tracks.keypoints.shape == (3, 2, 17, 2) and any("photographs" in n for n in tracks.notes)
  np.testing.assert_allclose(tracks.keypoints[0], points[1], atol=1e-3)  # image 785
  assert keypoints.read(path, image=785).keypoints.shape == (1, 2, 17, 2)
  with pytest.raises(ValueError, match=r"r.json: nobody in image 3; --image= takes one of \[785"):
    keypoints.read(path, image=3)


@pytest.mark.parametrize("skeleton", ["coco_17", "halpe_26"])
def test_alphapose_keeps_empty_frames_and_sorts_by_number(tmp_path, skeleton):
  empty = (*range(8), *range(400, 460), *range(868, 900))
  points, confidence = made(skeleton, 900, 1, empty)
  path = write(tmp_path, "alphapose-results.json", files.alphapose(points, confidence))
  tracks = keypoints.read(path, fps=FPS, frames=900)
  assert len(tracks) == 900 and list(tracks.frames) == list(range(900))
  np.testing.assert_array_equal(~tracks.present[:, 0], np.isin(np.arange(900), empty))
  check(tracks, points, confidence, name="alphapose", skeleton=skeleton)
  assert len(keypoints.read(path, fps=FPS)) == 868  # nobody says that there was more


def test_alphapose_confidences_to_6_are_clipped_and_said(tmp_path):
  points, confidence = made("coco_17")
  confidence[5, 1, 3] = 5.5
  tracks = keypoints.read(write(tmp_path, "r.json", files.alphapose(points, confidence)))
  check(tracks, points, confidence, name="alphapose", skeleton="coco_17")
  assert any("above 1, up to 5.5 in frame 5, are clipped" in note for note in tracks.notes)


def test_alphapose_ids_are_kept_where_they_tell_people_apart(tmp_path):
  points, confidence = made("halpe_26")
  tracks = keypoints.read(write(tmp_path, "r.json", files.alphapose(points, confidence, ids=(7, 3))))
  check(tracks, points, confidence, name="alphapose", skeleton="halpe_26", ids=(7, 3))


def test_alphapose_of_a_whole_body_keeps_the_body(tmp_path):
  points, confidence = made("halpe_26", 4)
  more = np.concatenate([points, np.full((4, 2, 110, 2), 5.0)], 2)
  sure = np.concatenate([confidence, np.full((4, 2, 110), 0.9)], 2)
  tracks = keypoints.read(write(tmp_path, "r.json", files.alphapose(more, sure)))
  check(tracks, points, confidence, name="alphapose", skeleton="halpe_26")
  assert any("the first 26 of 136" in note for note in tracks.notes)


@pytest.mark.parametrize("skeleton", ["body_25", "openpose_18"])
def test_openpose_folder(tmp_path, skeleton):
  points, confidence = made(skeleton, empty=(0, 11, 23))
  path = files.openpose(tmp_path / "json", points, confidence)
  tracks = keypoints.read(path)
  assert list(tracks.frames) == list(range(24))
  points[11], confidence[11] = (points[10] + points[12]) / 2, np.minimum(confidence[10], confidence[12])
  check_filled(tracks, points, confidence, skeleton)
  assert keypoints.read(path, fill_s=0).present[11].sum() == 0


def check_filled(tracks, points, confidence, skeleton):
  order = [np.nanargmin(np.nansum(np.abs(tracks.keypoints[1] - points[1, n]), (1, 2))) for n in range(2)]
  np.testing.assert_allclose(tracks.keypoints[:, order], points, atol=1e-3)
  np.testing.assert_allclose(tracks.confidence[:, order], confidence, atol=1e-5)
  assert (tracks.format, tracks.skeleton.name) == ("openpose", skeleton)
  assert (tracks.status[11] == keypoints.Status.FILLED).all() and (tracks.status[12] == keypoints.Status.SEEN).all()


@pytest.mark.parametrize(("scale", "given"), [(0, None), (3, None), (3, 3), (4, 4)])
def test_openpose_keypoint_scale(tmp_path, scale, given):
  points, confidence = made("body_25")
  points[:, :, 3], confidence[:, :, 3] = 0, 0  # missing is 0, 0, 0 in every scale
  written = {0: points, 3: points / SIZE, 4: points / SIZE * 2 - 1}[scale]
  written[:, :, 3] = 0
  path = files.openpose(tmp_path / "json", written, confidence)
  tracks = keypoints.read(path, image_size=SIZE, keypoint_scale=given)
  points[:, :, 3] = np.nan
  check(tracks, points, confidence, name="openpose", skeleton="body_25")


@pytest.mark.parametrize("demo", [False, True])
def test_mmpose(tmp_path, demo):
  points, confidence = made("coco_17", empty=(23,))
  confidence[3, 0, 0] = 1.02  # a logit of SimCC
  content = files.mmpose(points, confidence, demo, skeletons.get("coco_17").names)
  tracks = keypoints.read(write(tmp_path, "p.json", content), image_size=SIZE)
  assert tracks.frames[0] == demo and len(tracks) == 24
  check(tracks, points, confidence, name="mmpose", skeleton="coco_17")


@pytest.mark.parametrize(
  ("skeleton", "renamed"),
  [
    ("halpe_26", {"head_top": "head", "pelvis": "hip"}),
    (
      "h36m_17",
      {
        "pelvis": "root",
        "right_ankle": "right_foot",
        "left_ankle": "left_foot",
        "nose": "neck_base",
        "head_top": "head",
      },
    ),
  ],
)
def test_mmpose_names_decide_the_joint_set(tmp_path, skeleton, renamed):
  points, confidence = made(skeleton)
  names = [renamed.get(n, n) for n in skeletons.get(skeleton).names]
  tracks = keypoints.read(write(tmp_path, "p.json", files.mmpose(points, confidence, True, names)))
  check(tracks, points, confidence, name="mmpose", skeleton=skeleton)


def test_mmpose_of_one_picture(tmp_path):
  points, confidence = made("coco_17", 1)
  content = json.dumps(json.loads(files.mmpose(points, confidence))[0]["instances"]).encode()
  check(keypoints.read(write(tmp_path, "p.json", content)), points, confidence, name="mmpose", skeleton="coco_17")


def test_mmpose_in_3d_is_refused(tmp_path):
  frames = json.loads(files.mmpose(*made("coco_17", 1)))
  for instance in frames[0]["instances"]:
    instance["keypoints"] = [[*p, 1.0] for p in instance["keypoints"]]
  with pytest.raises(ValueError, match=r"p.json: keypoints of three coordinates, poses in 3D already"):
    keypoints.read(write(tmp_path, "p.json", json.dumps(frames).encode()))


@pytest.mark.parametrize("sigmoid", [True, False])
@pytest.mark.parametrize("people", [1, 2])
def test_mediapipe(tmp_path, sigmoid, people):
  points, confidence = made("mediapipe_33", people=people, empty=(23,))
  with np.errstate(divide="ignore"):
    content = files.mediapipe(points, confidence, SIZE, FPS, sigmoid)
  tracks = keypoints.read(write(tmp_path, "m.json", content))
  assert (tracks.fps, tracks.image_size) == (FPS, SIZE)
  check(tracks, points, confidence, name="mediapipe", skeleton="mediapipe_33")
  assert any("sigmoid" in n for n in tracks.notes) != sigmoid


def test_mediapipe_npz(tmp_path):
  points, confidence = made("mediapipe_33", people=1, empty=(0, 23))
  marks = np.concatenate([points / SIZE, np.zeros_like(points[..., :1]), confidence[..., None]], -1)
  np.savez(tmp_path / "m.npz", landmarks=marks[:, 0], fps=25, width=1280, height=720)
  tracks = keypoints.read(tmp_path / "m.npz")
  assert tracks.fps == 25 and list(np.flatnonzero(~tracks.present[:, 0])) == [0, 23]
  np.testing.assert_allclose(tracks.keypoints, points, atol=1e-3)


@pytest.mark.parametrize("tail", ["", "score", "id", "both"])
def test_yolo(tmp_path, tail):
  points, confidence = made("coco_17", empty=(0,))
  path = files.yolo(tmp_path / "labels", points, confidence, SIZE, tail)
  with pytest.raises(
    ValueError, match=r"shares of an image of unknown size; give --image_size=WIDTHxHEIGHT or --video="
  ):
    keypoints.read(path)
  tracks = keypoints.read(path, image_size=SIZE)
  assert list(tracks.frames) == list(range(1, 25)) and not tracks.present[0].any()
  points, confidence = points[1:], confidence[1:]
  after = keypoints.tracks.dataclasses.replace(
    tracks, keypoints=tracks.keypoints[1:], confidence=tracks.confidence[1:], status=tracks.status[1:],
    frames=tracks.frames[1:],
  )  # fmt: skip
  ids = (4, 5) if tail in ("id", "both") else None
  check(after, points, confidence, name="yolo", skeleton="coco_17", ids=ids, tolerance=2e-3)  # seven digits in the file


def test_deeplabcut_with_names_of_their_own(tmp_path):
  points, confidence = made("coco_17", people=1, empty=(5,))
  parts = [
    n.replace("left_", "port ").replace("right_", "starboard ").replace("nose", "snout")
    for n in skeletons.get("coco_17").names
  ]
  path = write(tmp_path, "d.csv", files.deeplabcut(points, confidence, parts))
  with pytest.raises(
    ValueError, match=r"there is no left_shoulder, .*--joints=theirs=ours, as --joints=snout=left_shoulder"
  ):
    keypoints.read(path)
  renames = dict(zip(parts, skeletons.get("coco_17").names))
  tracks = keypoints.read(path, joints=renames, fill_s=0)
  check(tracks, points, confidence, name="deeplabcut", skeleton="coco_17")
  with pytest.raises(ValueError, match=r"has no joint 'tail' of --joints=tail=nose; it has snout"):
    keypoints.read(path, joints={"tail": "nose"})
  with pytest.raises(ValueError, match=r"--joints=snout=snoot: 'snoot' is none of our joints"):
    keypoints.read(path, joints={"snout": "snoot"})


def test_deeplabcut_individuals_are_people(tmp_path):
  points, confidence = made("halpe_26")
  names = skeletons.get("halpe_26").names[:19]  # a set of their own: without pelvis and feet
  content = files.deeplabcut(points[:, :, :19], confidence[:, :, :19], names, ["anna", "ben"])
  tracks = keypoints.read(write(tmp_path, "d.csv", content))
  assert tracks.ids == (1, 2) and "people are 1 anna, 2 ben" in tracks.notes
  assert set(tracks.skeleton.names) >= set(skeletons.get("coco_17").names)
  at = [names.index(n) for n in tracks.skeleton.names]
  np.testing.assert_allclose(tracks.keypoints, points[:, :, at], atol=1e-3)


@pytest.mark.parametrize(("version", "axes"), [(0.2, "XYC"), (0.2, "XYZC"), (0.1, "XYC")])
def test_pose_file(tmp_path, version, axes):
  points, confidence = made("body_25", empty=(4,))
  content = files.pose(points, confidence, files.OPENPOSE_25, SIZE, 25.0, version, axes)
  tracks = keypoints.read(write(tmp_path, "p.pose", content), fill_s=0)
  assert (tracks.fps, tracks.image_size, len(tracks)) == (25, SIZE, 24)
  check(tracks, points, confidence, name="pose", skeleton="body_25", ids=(1, 2))


def test_pose_file_that_the_format_s_authors_wrote():
  """tests/golden/pose_format.pose is `pose_format` 0.15's, of the arrays beside it."""
  truth = np.load(GOLDEN / "pose_format.npz")
  tracks = keypoints.read(GOLDEN / "pose_format.pose", fill_s=0, confidence=0.01)
  assert tracks.skeleton.name == "mediapipe_33" and (tracks.fps, tracks.image_size) == (24.5, (640, 480))
  seen = truth["confidence"] > 0
  np.testing.assert_array_equal(tracks.status == keypoints.Status.SEEN, seen)
  np.testing.assert_allclose(tracks.keypoints[seen], truth["keypoints"][seen], atol=1e-4)
  np.testing.assert_allclose(tracks.confidence, truth["confidence"], atol=1e-6)


@pytest.mark.parametrize("skeleton", ["coco_17", "h36m_17", "halpe_26", "mpi_inf_3dhp_17"])
def test_npz_of_plain_arrays(tmp_path, skeleton):
  points, confidence = made(skeleton)
  joined = np.concatenate([points, confidence[..., None]], -1)
  np.savez(tmp_path / "k.npz", keypoints=joined.astype(np.float32), fps=50)
  tracks = keypoints.read(tmp_path / "k.npz")
  check(tracks, points, confidence, name="npz", skeleton=skeleton, ids=(1, 2))
  np.savez(tmp_path / "k.npz", keypoints=points[:, 0])
  check(
    keypoints.read(tmp_path / "k.npz"), points[:, :1], np.ones_like(confidence[:, :1]), name="npz", skeleton=skeleton
  )


def test_our_npz_goes_round(tmp_path):
  points, confidence = made("halpe_26", empty=(7,))
  once = keypoints.read(write(tmp_path, "r.json", files.alphapose(points, confidence)), fps=25, image_size=SIZE)
  npz_file.write(tmp_path / "ours.npz", once)
  twice = keypoints.read(tmp_path / "ours.npz")
  for name in ("keypoints", "confidence", "status", "frames"):
    np.testing.assert_array_equal(getattr(once, name), getattr(twice, name))
  assert (once.ids, once.fps, once.image_size, once.skeleton) == (
    twice.ids,
    twice.fps,
    twice.image_size,
    twice.skeleton,
  )


def test_the_sample_is_what_its_script_makes(tmp_path):
  sample.write(tmp_path)
  for name, path in sample.FILES.items():
    new, old = (keypoints.read(f, fps=sample.FPS, image_size=sample.SIZE) for f in (tmp_path / path.name, path))
    assert (new.format, new.ids, new.notes) == (name, old.ids, old.notes)
    np.testing.assert_allclose(new.keypoints, old.keypoints, atol=0.11)  # a last digit, on another machine


def test_the_sample_has_two_people_a_filled_gap_and_a_long_one():
  for path in sample.FILES.values():
    tracks = keypoints.read(path, fps=sample.FPS, image_size=sample.SIZE)
    seen, filled = ((tracks.status == status).any(-1) for status in (keypoints.Status.SEEN, keypoints.Status.FILLED))
    assert tracks.keypoints.shape[:2] == (sample.FRAMES, 2) and sorted((filled & ~seen).sum(0)) == [0, 7]
    assert sorted((~tracks.present).sum(0)) == [0, 12]
