"""launch/keypoint_flags.py: what files do not say, said by flags; and launch.lift on damaged files of every format."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxpose import keypoints
from jaxpose import skeleton as skeletons
from jaxpose.keypoints import sample
from tests.formats.fuzz_test import COUNT
from tests.keypoints import files

ROOT = pathlib.Path(__file__).parents[2]
SUMMARY = """
import sys
from absl import flags
from launch import app, keypoint_flags

def main():
  tracks = keypoint_flags.read("unused")
  print(repr((tracks.skeleton.name, len(tracks), tracks.ids, tracks.image_size, tracks.fps, tracks.format)))
  print(keypoint_flags.described(tracks))

app.run(main)
"""
# Each damaged file through launch.lift as a user starts it, one after another in one process.
LIFT_THEM = """
import contextlib, io, json, pathlib, random, sys, traceback
from jaxpose.export import poses_npz
from launch import app, lift
from tests.formats.fuzz_test import DAMAGES, SEED
from tests.keypoints import fuzz_test

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
whole, path, out = fuzz_test.contents(folder), folder / "damaged.file", folder / "out"
ended = {0: 0, 1: 0}
for i in range(count * len(whole)):
  name = list(whole)[i % len(whole)]
  case = f"{SEED}:{name}:{i}"
  source = random.Random(case)
  path.write_bytes(source.choice(DAMAGES)(whole[name], source))
  sys.argv = ["lift", f"--keypoints={path}", "--image_size=1280x720", "--write=json", f"--output={out}"]
  said, code = io.StringIO(), None
  try:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
      app.run(lift.main)
  except SystemExit as error:
    code = error.code or 0
  except Exception:
    sys.exit(f"{case}: {traceback.format_exc()}")
  if code == 0:
    poses_npz.read(out / "poses.npz")
    for file in out.iterdir():
      file.unlink()
    out.rmdir()
  elif code != 1 or said.getvalue().count("\\n") != 1 or not said.getvalue().startswith("error: ") or out.exists():
    sys.exit(f"{case}: code {code}, {said.getvalue()!r}, left {list(out.glob('*'))}")
  ended[code] += 1
print(json.dumps(ended))
"""


def python(program, *arguments):
  environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
  command = [sys.executable, "-c", program, *map(str, arguments)]
  return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_flags_say_what_the_file_does_not(tmp_path):
  rng = np.random.default_rng(0)
  points = rng.uniform(100, 400, (20, 1, 17, 2))
  np.savez(tmp_path / "k.npz", keypoints=points)
  path = f"--keypoints={tmp_path / 'k.npz'}"
  done = python(SUMMARY, path, "--image_size=640X480", "--fps=24", "--frames=25", "--skeleton=h36m_17", "--person=1")
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[0] == repr(("h36m_17", 25, (1,), (640, 480), 24.0, "npz"))
  assert "npz: h36m_17, 25 frames of 640x480, 24 frames a second, 1 person" in done.stdout
  assert "person 1: 20 frames seen" in done.stdout


def test_the_sample_needs_no_flag_but_its_own():
  done = python(SUMMARY, "--sample", "--person=2")
  tracks = keypoints.read(
    sample.FILES["alphapose"], image_size=sample.SIZE, fps=sample.FPS, frames=sample.FRAMES, person=2
  )
  wanted = (tracks.skeleton.name, len(tracks), tracks.ids, tracks.image_size, tracks.fps, "alphapose")
  assert done.stdout.splitlines()[0] == repr(wanted)


def test_joints_are_renamed(tmp_path):
  points, confidence = files.people("coco_17", 6)
  names = [f"my_{name}" for name in skeletons.get("coco_17").names]
  (tmp_path / "k.csv").write_bytes(files.deeplabcut(points, confidence, names, ["a", "b"]))
  renames = ",".join(f"{name}={name.removeprefix('my_')}" for name in names)
  done = python(SUMMARY, f"--keypoints={tmp_path / 'k.csv'}", f"--joints={renames}", "--image_size=1280x720")
  assert "deeplabcut: coco_17, 6 frames" in done.stdout, done.stderr


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (("--sample", "--keypoints=x.json"), "give either --keypoints=FILE or --sample"),
    (("--keypoints=x.json", "--image_size=1920"), "--image_size=1920; expected WIDTHxHEIGHT"),
    (("--keypoints=x.json", "--image_size=0x10"), "--image_size=0x10; expected WIDTHxHEIGHT"),
    (("--keypoints=x.json", "--joints=LeftHand"), "--joints=LeftHand; expected theirs=ours"),
    ((f"--keypoints={sample.FILES['mmpose']}", "--confidence=high"), "--confidence=high; expected a number"),
    ((f"--keypoints={sample.FILES['mmpose']}", "--person=7"), "--person=7; expected all, largest, or one of"),
  ],
)
def test_a_wrong_flag_is_one_line(flags, message):
  done = python(SUMMARY, *flags)
  assert done.returncode == 1 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
  assert message in done.stderr


def test_damaged_files_end_in_one_line_or_in_poses(tmp_path):
  """JAXPOSE_FUZZ=10000 takes that many files, over all formats, where 150 is the default."""
  done = python(LIFT_THEM, tmp_path, COUNT // 10)
  assert done.returncode == 0, done.stderr
  ended = json.loads(done.stdout.splitlines()[-1])
  assert ended["1"] >= COUNT // 8 and ended["0"] > 0
