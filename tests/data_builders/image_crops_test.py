"""COCO's people and MPII's held-out ones, from their files to stored crops."""

import json
import re
import shutil

import numpy as np
import pytest

from data_builders import build
from data_builders.coco_keypoints import fixture as coco_fixture
from data_builders.mpii import fixture as mpii_fixture
from jaxpose.data import images, source


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
  raw, data = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("data")
  coco_fixture.write(raw)
  assert build.build("coco_keypoints", data, raw).skipped == {}
  return raw, data


def _annotations(raw, part="train"):
  return json.loads((raw / "annotations" / f"person_keypoints_{part}2017.json").read_text())


def test_coco_people_are_what_the_file_says_half_a_pixel_further(coco):
  raw, data = coco
  for part, split, count in (("train", "train", 8), ("val", "valid", 4)):
    clips = source.load_clips("coco_keypoints", [split], data)
    people = [a for a in _annotations(raw, part)["annotations"] if not a["iscrowd"]]
    assert [c.subject for c in clips] == [str(a["id"]) for a in people] and len(clips) == count
    for clip, person in zip(clips, people):
      values = np.array(person["keypoints"], float).reshape(17, 3)
      assert (clip.confidence[0] > 0).tolist() == (values[:, 2] > 0).tolist()
      assert (clip.extra["visible"][0] > 0).tolist() == (values[:, 2] > 1).tolist()
      left, top, side = clip.extra["crop"]
      there = values[:, 2] > 0
      back = clip.keypoints_2d[0, there] * side / 256 + (left, top)
      np.testing.assert_allclose(back, values[there, :2] + 0.5, atol=0.01)
      x, y, width, height = person["bbox"]
      assert side == pytest.approx(1.5 * max(height, width * 4 / 3), rel=1e-5)
      np.testing.assert_allclose([left + side / 2, top + side / 2], [x + width / 2, y + height / 2], atol=0.01)
      assert (clip.extra["image_id"], clip.sequence) == (person["image_id"], f"{person['image_id']:012d}")
    assert images.of_clips(clips)(0).shape == (1, 256, 256, 3)


def test_coco_as_photographs(coco, tmp_path):
  raw, data = coco
  build.build("coco_keypoints", tmp_path, raw, images="bytes")
  (clip, *_), (cropped, *_) = (source.load_clips("coco_keypoints", ["valid"], d) for d in (tmp_path, data))
  assert clip.camera.size.tolist() == [640, 480] and "crop" not in clip.extra
  left, top, side = cropped.extra["crop"]
  there = clip.confidence[0] > 0
  np.testing.assert_allclose((clip.keypoints_2d - (left, top))[0, there] * 256 / side, cropped.keypoints_2d[0, there],
                             atol=0.01)  # fmt: skip


@pytest.mark.parametrize(
  "change, message",
  [
    (dict(keypoints=[1, 2, 3]), r"annotation \d+: keypoints is .*; expected 51 finite numbers"),
    (dict(bbox=[0, 0, 0, 0]), "a box of height 0.0 around .* holds nobody"),
    (dict(area=None), "area is None; expected 1 finite numbers"),
  ],
)
def test_an_image_with_a_broken_person_is_left_out_with_the_reason(coco, tmp_path, change, message):
  raw = tmp_path / "raw"
  shutil.copytree(coco[0], raw)
  content = _annotations(raw)
  content["annotations"][0].update(change)
  (raw / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(content))
  (sorted((raw / "train2017").iterdir())[1]).unlink()
  skipped = build.build("coco_keypoints", tmp_path / "data", raw).skipped
  first, second = skipped["000000000009.jpg"], skipped["000000000025.jpg"]
  assert "is not there, and images='crops' stores it" in second
  assert re.search(message, first)


def test_files_that_are_not_cocos(coco, tmp_path):
  (tmp_path / "raw").mkdir()
  path = tmp_path / "raw" / "person_keypoints.json"
  path.write_text("{")
  with pytest.raises(ValueError, match="person_keypoints.json is no JSON"):
    build.build("coco_keypoints", tmp_path / "a", tmp_path / "raw")
  path.write_text('{"images": []}')
  with pytest.raises(ValueError, match="expected COCO's annotations, with lists of images and annotations"):
    build.build("coco_keypoints", tmp_path / "b", tmp_path / "raw")
  path.write_text('{"images": [], "annotations": [{"id": 3, "image_id": 4}]}')
  with pytest.raises(ValueError, match="annotation 3 is of image 4, which has no name"):
    build.build("coco_keypoints", tmp_path / "c", tmp_path / "raw")
  path.rename(tmp_path / "raw" / "other.json")
  with pytest.raises(ValueError, match="holds no person_keypoints_train2017.json"):
    build.build("coco_keypoints", tmp_path / "d", tmp_path / "raw")


def test_mpiis_people_of_valid_json_are_held_out(tmp_path):
  raw = tmp_path / "raw"
  mpii_fixture.write(raw, images=8)
  everyone = build.build("mpii", tmp_path / "all", raw, images="crops")
  train = source.load_clips("mpii", ["train"], tmp_path / "all")
  assert set(everyone.splits) == {"train", "test"}
  chosen = [train[0], train[1]]  # the only person of an image, and one of two
  listed = [
    {"image": f"{c.sequence}.jpg", "center": (c.extra["center"] + 0.5).tolist(), "scale": float(c.extra["scale"])}
    for c in chosen
  ]
  listed.append({"image": "absent.jpg", "center": [1.0, 2.0], "scale": 1.0})
  (raw / "valid.json").write_text(json.dumps(listed))
  made = build.build("mpii", tmp_path / "split", raw, images="crops")
  assert made.skipped["valid.json"] == "1 of its people are not among the training images"
  valid = source.load_clips("mpii", ["valid"], tmp_path / "split")
  rest = source.load_clips("mpii", ["train"], tmp_path / "split")
  assert [c.name for c in valid] == [c.name for c in chosen]
  assert [c.name for c in rest] == [c.name for c in train if c.name not in {c.name for c in chosen}]
  for clip in valid:
    left, top, side = clip.extra["crop"]
    assert side == pytest.approx(300 * clip.extra["scale"], rel=1e-5)
    middle = clip.extra["center"] + (0, 15 * clip.extra["scale"])
    np.testing.assert_allclose([left + side / 2, top + side / 2], middle, atol=0.01)
  (raw / "valid.json").write_text('[{"image": "a.jpg"}]')
  with pytest.raises(ValueError, match="valid.json: entry 0 is no person with image, center and scale"):
    build.build("mpii", tmp_path / "bad", raw)
