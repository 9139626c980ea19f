"""Building: what every data set shares, and what a broken-off build leaves behind."""

import errno
import os
import pathlib
import signal
import subprocess
import sys
import zipfile

import pytest
import tensorflow_datasets as tfds

from data_builders import build
from data_builders.cmu_mocap import cmu_mocap_dataset_builder
from jaxpose.data import source
from tests import raw_motion

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def raw(tmp_path):
  folder = tmp_path / "raw" / "subjects" / "01"
  folder.mkdir(parents=True)
  take = raw_motion.make(frames=4)
  (folder / "01.asf").write_text(raw_motion.asf(take))
  for trial in ("01_01", "01_02", "01_10"):
    (folder / f"{trial}.amc").write_text(raw_motion.amc(take))
  return tmp_path / "raw"


def contents(folder):
  return {p.relative_to(folder): p.read_bytes() for p in folder.glob("**/*") if p.is_file()}


def test_two_builds_are_the_same_bytes(raw, tmp_path):
  first = build.build("cmu_mocap", tmp_path / "a", raw)
  second = build.build("cmu_mocap", tmp_path / "b", raw)
  assert contents(pathlib.Path(first.directory)) == contents(pathlib.Path(second.directory))
  assert not first.reused


def test_a_built_data_set_is_reused_and_not_mixed_with_other_options(raw, tmp_path):
  first = build.build("cmu_mocap", tmp_path / "data", raw)
  again = build.build("cmu_mocap", tmp_path / "data")
  assert again.reused and again.splits == first.splits
  assert "nothing was read anew" in build.table(again)
  archive = tmp_path / "other.zip"
  archive.write_bytes(b"")
  with pytest.raises(ValueError, match=r"was built with options \{\}, not \{'archive'.*delete it to rebuild"):
    build.build("cmu_mocap", tmp_path / "data", archive)


def test_the_table_names_splits_and_files_left_out(raw, tmp_path):
  bad = raw / "subjects" / "01" / "01_02.amc"
  bad.write_text(bad.read_text()[:-40])
  text = build.table(build.build("cmu_mocap", tmp_path / "data", raw))
  rows = [line.split() for line in text.splitlines()]
  assert rows[1] == ["01", "2", "8"] and rows[2] == ["total", "2", "8"]
  assert "1 files left out" in text and "subjects/01/01_02.amc, line" in text


def test_errors_say_what_to_do(raw, tmp_path):
  with pytest.raises(ValueError, match="unknown data set 'cmu'; known are .*bvh_mocap, arrays, synthetic_mocap"):
    build.build("cmu", tmp_path)
  with pytest.raises(FileNotFoundError, match="'.*missing' does not exist"):
    build.build("cmu_mocap", tmp_path, tmp_path / "missing")
  (tmp_path / "empty").mkdir()
  with pytest.raises(FileNotFoundError, match="'.*empty' is empty"):
    build.build("cmu_mocap", tmp_path, tmp_path / "empty")
  with pytest.raises(ValueError, match=r"no options \['seeed'\]; it has \['archive'\]"):
    build.build("cmu_mocap", tmp_path, raw, seeed=1)
  (tmp_path / "file.bvh").write_text("")
  with pytest.raises(ValueError, match="is a file; bvh_mocap reads a folder"):
    build.build("bvh_mocap", tmp_path, tmp_path / "file.bvh")


def test_a_full_disk_leaves_nothing(raw, tmp_path, monkeypatch):
  def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, "No space left on device")

  adapter = tfds.core.file_adapters.ArrayRecordFileAdapter
  with monkeypatch.context() as patch:
    patch.setattr(adapter, "write_examples", full)
    with pytest.raises(OSError, match="No space left on device"):
      build.build("cmu_mocap", tmp_path / "data", raw)
  assert contents(tmp_path / "data") == {}
  assert not list((tmp_path / "data").glob("**/*incomplete*"))
  assert build.build("cmu_mocap", tmp_path / "data", raw).splits["01"].sequences == 3


# Builds, and stops for ever while it reads the third of three files; the first is held for writing.
STALL = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started with Ctrl-C ignored
from absl import flags
from data_builders.cmu_mocap import cmu_mocap_dataset_builder as builder
from launch import app, build_data
parse = builder.acclaim.parse_amc
def stall(content, asf, name):
  if name.endswith("01_10.amc"):
    print("stalled", flush=True, file=sys.__stdout__)
    time.sleep(1e6)
  return parse(content, asf, name)
builder.acclaim.parse_amc = stall
app.run(build_data.main)
"""


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_kill_leaves_no_half_of_a_data_set(kill, raw, tmp_path):
  data, unpacked = tmp_path / "data", tmp_path / "temporary"
  unpacked.mkdir()
  with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
    for file in raw.rglob("*.a*"):
      archive.write(file, file.relative_to(raw))
  flags = ["--dataset=cmu_mocap", f"--data_dir={data}", f"--manual_dir={tmp_path / 'all.zip'}"]
  environment = {**os.environ, "TMPDIR": os.fspath(unpacked)}
  with subprocess.Popen(
    [sys.executable, "-c", STALL, *flags], cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
  ) as process:
    assert process.stdout is not None
    assert any("stalled" in line for line in process.stdout)
    process.send_signal(kill)
  assert process.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM, 128 + signal.SIGINT)
  version = str(cmu_mocap_dataset_builder.Builder.VERSION)
  left = [p.name for p in (data / "cmu_mocap").iterdir()]
  assert version not in left
  if kill != signal.SIGKILL:
    assert left == [] and not list(unpacked.glob("jaxpose-*"))
  with pytest.raises(FileNotFoundError, match="no data set 'cmu_mocap'"):
    source.directory("cmu_mocap", data)
  again = build.build("cmu_mocap", data, raw)
  whole = build.build("cmu_mocap", tmp_path / "whole", raw)
  assert contents(pathlib.Path(again.directory)) == contents(pathlib.Path(whole.directory))


NO_TENSORFLOW = """
import sys
import jaxpose
from data_builders import build
from jaxpose.data import features
import tensorflow_datasets as tfds
built = build.build("cmu_mocap", sys.argv[1], sys.argv[2])
source = tfds.builder_from_directory(built.directory).as_data_source(split="01")
assert len([features.example_to_motion(example) for example in source]) == 3
assert not [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]
"""


def test_building_and_reading_load_no_tensorflow(raw, tmp_path):
  subprocess.run([sys.executable, "-c", NO_TENSORFLOW, tmp_path / "data", raw], cwd=ROOT, check=True)


def test_every_data_set_has_a_builder_and_a_readme():
  for name in build.DATASETS:
    assert (ROOT / "data_builders" / name / "README.md").read_text().strip()
    assert os.path.exists(ROOT / "data_builders" / name / f"{name}_dataset_builder.py")
