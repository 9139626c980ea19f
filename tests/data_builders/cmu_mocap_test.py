"""The Carnegie Mellon database: from a folder at any level, from its archive, and downloaded."""

import functools
import http.server
import os
import pathlib
import threading
import zipfile

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_builders import build
from data_builders.cmu_mocap import cmu_mocap_dataset_builder
from jaxpose import skeleton as skeletons
from jaxpose.data import features
from tests import raw_motion

TAKES = {
  name: raw_motion.make(frames=frames, seed=frames) for name, frames in {"01_01": 2, "02_01": 3, "02_02": 4}.items()
}


def write(folder, prefix="subjects/"):
  """The raw files, as {path: text}; the trials of a subject share its skeleton only if made from one seed."""
  for name, take in TAKES.items():
    subject = name[:2]
    at = folder / prefix / subject
    at.mkdir(parents=True, exist_ok=True)
    skeleton = next(t for n, t in TAKES.items() if n.startswith(subject))
    (at / f"{subject}.asf").write_text(raw_motion.asf(skeleton))
    (at / f"{name}.amc").write_text(raw_motion.amc(take._replace(bones=skeleton.bones)))
  return folder


def zipped(folder, path):
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for file in sorted(folder.glob("**/*")):
      archive.write(file, pathlib.PurePath("all_asfamc") / file.relative_to(folder))
    archive.writestr("../escaped/03/03.asf", "x")
    archive.writestr("../escaped/03/03_01.amc", "x")
  return path


def motions(built):
  builder = tfds.builder_from_directory(built.directory)
  return {s: [features.example_to_motion(e) for e in builder.as_data_source(split=s)] for s in builder.info.splits}


def assert_is_the_takes(built):
  read = motions(built)
  assert list(read) == ["01", "02"]
  assert built.splits == {"01": (1, 2), "02": (2, 7)}
  h36m = skeletons.get("h36m_17")
  at = [skeletons.get("cmu").index(name) for name in h36m.names]
  for motion in (m for split in read.values() for m in split):
    skeleton = next(t for n, t in TAKES.items() if n.startswith(motion.subject))
    expected = raw_motion.reference(TAKES[motion.sequence]._replace(bones=skeleton.bones))[:, at]
    np.testing.assert_allclose(motion.positions_world, expected, atol=1e-6)
    assert (motion.skeleton, motion.fps, motion.up, motion.action) == (h36m, 120.0, "y", "")
  assert [m.sequence for m in read["02"]] == ["02_01", "02_02"]


@pytest.mark.parametrize("prefix", ["", "subjects", "all_asfamc/subjects"])
def test_a_folder_at_any_level(prefix, tmp_path):
  assert_is_the_takes(build.build("cmu_mocap", tmp_path / "data", write(tmp_path / "raw", prefix)))


def test_the_folder_of_one_subject(tmp_path):
  built = build.build("cmu_mocap", tmp_path / "data", write(tmp_path / "raw") / "subjects" / "02")
  assert built.splits == {"02": (2, 7)}


@pytest.mark.parametrize("give", ["the archive", "its folder"])
def test_the_archive_is_read_and_left_as_it_is(give, tmp_path):
  folder = tmp_path / "raw"
  folder.mkdir()
  archive = zipped(write(tmp_path / "files"), folder / "allasfamc.zip")
  built = build.build("cmu_mocap", tmp_path / "data", archive if give == "the archive" else folder)
  assert_is_the_takes(built)
  assert [name.removeprefix("allasfamc.zip/") for name in built.skipped] == ["../escaped/03/03_01.amc"]
  assert not list(tmp_path.glob("**/03*")) and list(folder.iterdir()) == [archive]


def test_without_a_folder_the_archive_is_downloaded(tmp_path, monkeypatch):
  (tmp_path / "site").mkdir()
  zipped(write(tmp_path / "files"), tmp_path / "site" / "allasfamc.zip")
  handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=os.fspath(tmp_path / "site"))
  monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *args: None)
  for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
    monkeypatch.delenv(proxy, raising=False)
  with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(cmu_mocap_dataset_builder, "URL", f"http://127.0.0.1:{server.server_address[1]}/allasfamc.zip")
    built = build.build("cmu_mocap", tmp_path / "data")
    server.shutdown()
  assert_is_the_takes(built)


def test_a_broken_archive(tmp_path):
  archive = zipped(write(tmp_path / "files"), tmp_path / "allasfamc.zip")
  data = archive.read_bytes()
  archive.write_bytes(data[: len(data) // 2])
  with pytest.raises(ValueError, match="allasfamc.zip is no complete zip or packed tar"):
    build.build("cmu_mocap", tmp_path / "data", archive)
  at = data.index(b"02_02.amc") + 300  # within the compressed motion
  archive.write_bytes(data[:at] + bytes(64) + data[at + 64 :])
  with pytest.raises(ValueError, match="allasfamc.zip is no complete zip or packed tar"):
    build.build("cmu_mocap", tmp_path / "data", archive)


def test_what_cannot_be_read_is_left_out_with_the_reason(tmp_path):
  raw = write(tmp_path / "raw")
  (raw / "subjects/01/01.asf").write_text(":units")
  (raw / "subjects/02/05_01.amc").write_text("1")
  (raw / "subjects/02/._02_01.amc").write_bytes(b"macOS")
  write(raw, "copy")
  (raw / "copy/01/01.asf").unlink()
  built = build.build("cmu_mocap", tmp_path / "data", raw)
  reasons = {
    "copy/01/01_01.amc": "no skeleton 01.asf beside it",
    "subjects/01/01_01.amc": "subjects/01/01.asf lacks :root, :bonedata, :hierarchy",
    "subjects/02/02_01.amc": "a second copy of copy/02/02_01.amc",
    "subjects/02/02_02.amc": "a second copy of copy/02/02_02.amc",
    "subjects/02/05_01.amc": "no skeleton 05.asf beside it",
  }
  assert set(built.skipped) == set(reasons)
  assert all(reasons[name] in built.skipped[name] for name in reasons)
  assert built.splits == {"02": (2, 7)}


def test_nothing_to_read(tmp_path):
  raw = tmp_path / "raw"
  raw.mkdir()
  (raw / "readme.txt").write_text("no motion here")
  with pytest.raises(
    ValueError, match=r"no motion with its skeleton in .*raw \(0 .asf and .amc files found\); expected"
  ):
    build.build("cmu_mocap", tmp_path / "data", raw)
  write(raw)
  for path in raw.glob("**/*.amc"):
    path.write_text("broken")
  with pytest.raises(ValueError, match="none of 3 files could be read; the first: subjects/01/01_01.amc, line 1"):
    build.build("cmu_mocap", tmp_path / "data", raw)
  assert not [p for p in (tmp_path / "data").glob("**/*") if p.is_file()]


@pytest.mark.skipif("JAXPOSE_CMU_DIR" not in os.environ, reason="JAXPOSE_CMU_DIR names no folder of the CMU database")
def test_the_real_database(tmp_path):
  built = build.build("cmu_mocap", tmp_path, os.environ["JAXPOSE_CMU_DIR"])
  assert not built.skipped and sum(s.frames for s in built.splits.values()) > 0
