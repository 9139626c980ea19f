"""launch.lift as a user starts it: the bundled sample, a file, and mistakes."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxpose import lifted
from jaxpose.export import poses_npz
from jaxpose.keypoints import sample

ROOT = pathlib.Path(__file__).parents[2]


def lift(*arguments):
  command = [sys.executable, "-m", "launch.lift", *map(str, arguments)]
  return subprocess.run(command, cwd=ROOT, env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True)


def test_the_sample_is_lifted_and_said(tmp_path):
  done = lift("--sample", f"--output={tmp_path / 'out'}")
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith("alphapose: halpe_26, 100 frames of 1280x720, 25 frames a second, 2 people\n")
  for said in (
    "person 1: 88 frames seen",
    "ASSUMED",
    "spine is the mean of",
    "up: the camera looks down by",
    "seen again",
  ):
    assert said in done.stdout
  names = {"poses.npz", "poses.json", "viewer.html", "person1_0-79.bvh", "person1_92-99.trc", "person2.bvh"}
  assert names <= {path.name for path in (tmp_path / "out").iterdir()}
  got = poses_npz.read(tmp_path / "out" / "poses.npz")
  assert got.present.sum() == 188 and got.provenance["model"] == "cmu_clip"
  assert lifted.bone_variation(got) < 0.1


def test_a_file_by_its_flags(tmp_path):
  done = lift(
    f"--keypoints={sample.FILES['mmpose']}", "--image_size=1280x720", "--fps=25", "--person=largest", "--fov=55",
    "--height=1.78", "--smooth=6", "--up=12", "--write=json", f"--output={tmp_path}",
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "ASSUMED" not in done.stdout and "looks down by 12.0 degrees, as given" in done.stdout
  assert {path.name for path in tmp_path.iterdir()} == {"poses.npz", "poses.json"}
  got = poses_npz.read(tmp_path / "poses.npz")
  assert len(got.ids) == 1 and got.raw is not None
  np.testing.assert_allclose(got.camera.focal, 640 / np.tan(np.radians(27.5)), rtol=1e-5)


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    ((), "give either --keypoints=FILE or --sample"),
    (("--keypoints=nothing.json",), "there is no file or folder nothing.json"),
    ((f"--keypoints={sample.FILES['mmpose']}",), "give --image_size=WIDTHxHEIGHT or"),
    (("--sample", "--write=json,fbx"), "unknown format 'fbx'"),
    (("--sample", "--checkpoint=cmu_fram"), "no lifter 'cmu_fram': shipped are cmu_clip, cmu_frame"),
    (("--sample", "--focal=1000", "--fov=50"), "say the same"),
  ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, flags, message):
  done = lift(*flags, f"--output={tmp_path / 'out'}")
  assert done.returncode == 1 and message in done.stderr, done.stderr
  assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
  assert not (tmp_path / "out").exists()


def test_the_weights_are_part_of_the_package():
  project = (ROOT / "pyproject.toml").read_text()
  assert '"jaxpose.weights" = ["*/*.safetensors", "*/*.json"]' in project
  folder = ROOT / "jaxpose" / "weights"
  assert sum(path.stat().st_size for path in folder.glob("*/*.*")) < 4_000_000
  card = (folder / "README.md").read_text()
  assert "Not measured on real video" in card and "NSF EIA-0196217" in card
  described = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/run.json")}
  assert set(described) == {"cmu_clip", "cmu_frame"}
  assert all(run["statistics"]["sensitivity"] > 0 for run in described.values())
