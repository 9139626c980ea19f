"""launch.build_data as users call it: what it prints, and errors in one line."""

import pathlib
import subprocess
import sys

import pytest

from data_builders import build
from tests import raw_motion

ROOT = pathlib.Path(__file__).parents[2]


def launch(*flags, start=("-m", "launch.build_data")):
  return subprocess.run([sys.executable, *start, *map(str, flags)], cwd=ROOT, capture_output=True, text=True)


def test_builds_and_prints_a_table(tmp_path):
  (tmp_path / "raw").mkdir()
  take = raw_motion.make(frames=3)
  (tmp_path / "raw" / "07.asf").write_text(raw_motion.asf(take))
  (tmp_path / "raw" / "07_01.amc").write_text(raw_motion.amc(take))
  done = launch("--dataset=cmu_mocap", f"--data_dir={tmp_path / 'data'}", f"--manual_dir={tmp_path / 'raw'}")
  assert done.returncode == 0, done.stderr
  assert ["07", "1", "3"] in [line.split() for line in done.stdout.splitlines()]
  assert "1/1" in done.stderr  # the progress bar


@pytest.mark.parametrize(
  "flags, code, message",
  [
    (["--dataset=cmu", "--data_dir={}"], 1, f"known are {', '.join(build.DATASETS)}"),
    (["--dataset=cmu_mocap", "--data_dir={}", "--manual_dir={}/missing"], 1, "does not exist"),
    (["--dataset=cmu_mocap"], 2, "--data_dir"),
    (["--dataset=cmu_mocap", "--data_dir={}", "stray"], 2, "unexpected arguments ['stray']"),
    (["--dataset=bvh_mocap", "--data_dir={}", "--option=joint_map"], 1, "expected KEY=VALUE"),
  ],
)
def test_an_error_is_one_clear_message(flags, code, message, tmp_path):
  done = launch(*(flag.format(tmp_path) for flag in flags))
  assert done.returncode == code
  assert message in done.stderr and "Traceback" not in done.stderr
  assert done.stderr.count("error:") == 1 and done.stdout == ""


def test_a_fixture_is_built_and_verified_as_partial(tmp_path):
  flags = ["--dataset=lsp/lspet", f"--data_dir={tmp_path}", "--fixture", "--verify"]
  done = launch(*flags)
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("split") and "a fixture: made-up people" in done.stdout
  assert done.stdout.splitlines()[-1].startswith("partial: a fixture")
  again = launch("--dataset=lsp/lspet", f"--data_dir={tmp_path}", "--verify")
  assert again.returncode == 1 and "was built of a fixture, not real files" in again.stderr


DIFFERENT = """
from launch import app, build_data
build_data.build.verify = lambda dataset, built: ("different: not the published data set", "different")
app.run(build_data.main)
"""


def test_another_data_set_than_the_published_one_ends_with_an_error_code(tmp_path):
  flags = ["--dataset=lsp/lspet", f"--data_dir={tmp_path}", "--fixture"]
  assert launch(*flags, start=("-c", DIFFERENT)).returncode == 0
  done = launch(*flags, "--verify", start=("-c", DIFFERENT))
  assert done.returncode == 1 and done.stdout.splitlines()[-1] == "different: not the published data set"


def test_debug_keeps_the_traceback(tmp_path):
  assert "Traceback" in launch("--dataset=cmu", f"--data_dir={tmp_path}", "--debug").stderr


def test_help_lists_the_data_sets():
  assert ", ".join(build.DATASETS) in " ".join(launch("--helpshort").stdout.split())
