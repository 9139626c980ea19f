"""npz, JSON, TRC, C3D and the folder of all: what was written comes back, where there are by others' readers."""

import json

import numpy as np
import pytest

from jaxpose import keypoints
from jaxpose.export import c3d, poses_json, poses_npz, save, trc
from jaxpose.geometry.camera import Camera
from tests.export.people import H36M, Lifted, lifted, walking


@pytest.mark.parametrize("world", [True, False])
def test_npz_goes_round(tmp_path, world):
  once = lifted(world=world)
  poses_npz.write(tmp_path / "poses.npz", once)
  twice = poses_npz.read(tmp_path / "poses.npz")
  for name in ("positions", "positions_world", "raw", "raw_world", "status", "keypoints_2d", "confidence", "frames"):
    np.testing.assert_array_equal(getattr(once, name), getattr(twice, name))
  assert (once.ids, once.fps, once.skeleton, once.provenance) == (
    twice.ids,
    twice.fps,
    twice.skeleton,
    twice.provenance,
  )
  for field in Camera._fields:
    np.testing.assert_array_equal(getattr(once.camera, field), getattr(twice.camera, field))
  plain = np.load(tmp_path / "poses.npz")  # as a user's script does, without pickles
  assert plain["positions"].shape == (60, 2, 17, 3) and list(plain["names"]) == list(H36M.names)
  assert "z up" in str(plain["units"]) and ("positions_world" in plain) == world


def test_another_npz_is_refused(tmp_path):
  np.savez(tmp_path / "a.npz", positions=np.zeros(3))
  with pytest.raises(ValueError, match=r"a.npz has no camera_center, .*; it is no file of lifted poses"):
    poses_npz.read(tmp_path / "a.npz")


def test_json_has_mmpose_s_shape_and_our_reader_gives_the_2d_back(tmp_path):
  once = lifted()
  poses_json.write(tmp_path / "poses.json", once)
  value = json.loads((tmp_path / "poses.json").read_text())
  assert [f["frame_id"] for f in value["instance_info"]] == list(range(100, 160))
  assert [len(f["instances"]) for f in value["instance_info"]] == [1 if 30 <= t < 42 else 2 for t in range(60)]
  assert (
    value["meta_info"]["keypoint_id2name"]["10"] == "head_top" and "z up" in value["meta_info"]["units"]["keypoints_3d"]
  )
  second = value["instance_info"][21]["instances"][1]
  assert (second["track_id"], second["status"][6], second["keypoints"][6]) == (4, 2, None)
  np.testing.assert_allclose(second["keypoints_3d"], once.positions_world[21, 1], atol=1e-4)
  tracks = keypoints.read(tmp_path / "poses.json", fill_s=0)
  assert (tracks.format, tracks.ids, tracks.fps, tracks.image_size) == ("mmpose", (1, 4), 25.0, (1280, 720))
  assert tracks.skeleton.name == "h36m_17" and list(tracks.frames) == list(range(100, 160))
  np.testing.assert_allclose(tracks.keypoints, once.keypoints_2d, atol=0.01)


def parse_trc(path):
  """A TRC file by its description: header fields, marker names, frame numbers, times and values [T, M, 3]."""
  lines = path.read_text().split("\n")
  assert lines[0].split("\t")[:3] == ["PathFileType", "4", "(X/Y/Z)"] and lines[-1] == ""
  fields = dict(zip(lines[1].split("\t"), lines[2].split("\t")))
  names = [n for n in lines[3].split("\t")[2:] if n]
  assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"]
  table = np.array([[float(v) for v in line.split("\t")] for line in lines[5:-1]])
  assert table.shape == (int(fields["NumFrames"]), 2 + 3 * int(fields["NumMarkers"]))
  return fields, names, table[:, 0], table[:, 1], table[:, 2:].reshape(len(table), -1, 3)


def test_trc_by_another_parser(tmp_path):
  positions = walking(40)
  trc.write(tmp_path / "a.trc", positions, H36M, 30, first_frame=12)
  fields, names, numbers, times, values = parse_trc(tmp_path / "a.trc")
  assert (fields["Units"], fields["DataRate"], fields["OrigDataStartFrame"]) == ("mm", "30", "13")
  assert names[:4] == ["Hip", "RHip", "RKnee", "RAnkle"] and names[8:11] == ["Neck", "Nose", "Head"]
  assert numbers[0] == 13 and numbers[-1] == 52
  np.testing.assert_allclose(times, np.arange(12, 52) / 30, atol=1e-6)
  np.testing.assert_allclose(values, 1000 * positions, atol=0.01)
  positions[3, 2] = np.nan
  with pytest.raises(ValueError, match=r"b.trc: a TRC file has no empty cells; write a file for each unbroken stretch"):
    trc.write(tmp_path / "b.trc", positions, H36M, 30)
  assert not (tmp_path / "b.trc").exists()


def test_c3d_by_ezc3d_with_gaps(tmp_path):
  ezc3d = pytest.importorskip("ezc3d", reason="C3D needs the extra c3d")
  positions = walking(40)
  positions[5:9] = np.nan
  positions[20, 3] = np.nan
  c3d.write(tmp_path / "a.c3d", positions, H36M, 29.97)
  file = ezc3d.c3d(str(tmp_path / "a.c3d"))
  points = file["data"]["points"]
  assert file["parameters"]["POINT"]["UNITS"]["value"] == ["mm"]
  assert abs(file["parameters"]["POINT"]["RATE"]["value"][0] - 29.97) < 1e-4
  assert file["parameters"]["POINT"]["LABELS"]["value"][:2] == ["Hip", "RHip"]
  missing = np.isnan(positions).any(-1).T
  residuals = file["data"]["meta_points"]["residuals"][0]
  np.testing.assert_array_equal(residuals < 0, missing)
  np.testing.assert_allclose(points[:3].transpose(2, 1, 0)[~missing.T], 1000 * positions[~missing.T], atol=0.01)


def test_c3d_of_70000_frames_is_refused_alone_and_split_in_a_folder(tmp_path):
  ezc3d = pytest.importorskip("ezc3d", reason="C3D needs the extra c3d")
  with pytest.raises(ValueError, match=r"a.c3d: 70000 frames; a C3D file holds 1 to 65535, write several"):
    c3d.write(tmp_path / "a.c3d", np.zeros((70000, 17, 3), np.float32), H36M, 30)
  assert not list(tmp_path.iterdir())
  short = lifted(10, gaps=False)
  long = {
    name: np.resize(getattr(short, name)[:, :1], (70000, 1, *getattr(short, name).shape[2:]))
    for name in ("positions", "positions_world", "raw", "raw_world", "status", "keypoints_2d", "confidence")
  }
  saved = save.save(tmp_path, Lifted(**{**vars(short), **long, "frames": np.arange(70000), "ids": (1,)}), ("c3d",))
  assert [f.name for f in saved.files] == ["poses.npz", "person1_0-65534.c3d", "person1_65535-69999.c3d"]
  assert ezc3d.c3d(str(saved.files[2]))["data"]["points"].shape == (4, 17, 4465)


def test_a_folder_of_everything(tmp_path):
  pytest.importorskip("ezc3d", reason="C3D needs the extra c3d")
  saved = save.save(tmp_path / "out", lifted(), ("json", "html", "bvh", "trc", "c3d"))
  names = {f.name for f in saved.files}
  assert names == {f.name for f in (tmp_path / "out").iterdir()} == {
    "poses.npz", "poses.json", "viewer.html", "person1.bvh", "person1.trc", "person1.c3d", "person4.c3d",
    *(f"person4_{stretch}.{kind}" for stretch in ("100-129", "142-159") for kind in ("bvh", "trc")),
  }  # fmt: skip
  assert all("bones of constant length are off by" in note for note in saved.notes) and len(saved.notes) == 2
  first = parse_trc(tmp_path / "out" / "person4_142-159.trc")
  assert first[2][0] == 143 and abs(first[3][0] - 142 / 25) < 1e-6
  shown = lifted().shown
  np.testing.assert_allclose(first[4], 1000 * shown[42:, 1], atol=0.01)
  np.testing.assert_allclose(shown[0, 0, 10, 1], lifted().positions_world[0, 0, 10, 2])  # y is up


@pytest.mark.parametrize(
  ("formats", "message"),
  [
    (("fbx",), r"unknown format 'fbx'; known are npz \(always\) and json, html, bvh, trc, c3d, mp4"),
    (("json", "mp4"), "overlay.mp4 is drawn over the video; give --video=FILE, or leave mp4 out"),
  ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(tmp_path, formats, message):
  with pytest.raises(ValueError, match=message):
    save.save(tmp_path / "out", lifted(), formats)
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"positions": np.zeros((60, 2, 16, 3), np.float32)}, r"lifted: positions has shape \(60, 2, 16, 3\)"),
    ({"status": np.zeros((60, 2, 17), int)}, "lifted: status has shape .* dtype int64"),
    ({"fps": 0}, "lifted: fps=0"),
    ({"frames": np.arange(0, 120, 2)}, "frames must be consecutive"),
  ],
)
def test_a_record_that_does_not_fit_together_is_refused(change, message):
  with pytest.raises(ValueError, match=message):
    Lifted(**{**vars(lifted()), **change})
