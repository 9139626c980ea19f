"""launch.compare, as a command."""

import copy
import subprocess
import sys

import numpy as np

from jaxpose import report
from launch import compare


def make(shift, **fingerprint):
  rng = np.random.default_rng(0)
  rows = {
    f"S9/take {i}/a": {
      "mpjpe_mm": float(v + shift), "pck_150": 90.0, "frames": 10, "cluster": f"S9/take {i}", "action": "Walking"
    }
    for i, v in enumerate(rng.normal(80, 5, 8))
  }  # fmt: skip
  return {
    "metrics": {"mpjpe_mm": float(np.mean([r["mpjpe_mm"] for r in rows.values()])), "pck_150": 90.0},
    "intervals": {"mpjpe_mm": [1.0, 2.0], "pck_150": None},
    "per_sequence": rows,
    "fingerprint": {"protocol": "generic", "averaging": "frames", "frames": 80, "seed": 1, **fingerprint},
  }


def run(*arguments):
  return subprocess.run(
    [sys.executable, "-m", "launch.compare", *arguments], capture_output=True, text=True, check=False
  )


def test_command_compares(tmp_path):
  a, b = str(tmp_path / "A.json"), str(tmp_path / "B.json")
  report.write_json(a, make(-2.5, seed=2))
  report.write_json(b, make(0))
  done = run(a, b)
  assert done.returncode == 0, done.stderr
  assert "-2.50 [-2.50, -2.50]" in done.stdout and "8 of 8 sequences" in done.stdout
  assert f"A {a}" in done.stdout and f"B {b}" in done.stdout


def test_command_refuses_and_names_the_field(tmp_path):
  a, b = str(tmp_path / "A.json"), str(tmp_path / "B.json")
  report.write_json(a, make(0))
  report.write_json(b, make(0, frames=81, protocol="h36m"))
  done = run(a, b)
  assert done.returncode == 1 and not done.stdout
  assert done.stderr.startswith("error: these reports are not comparable")
  assert "frames: 80 against 81" in done.stderr and 'protocol: "generic" against "h36m"' in done.stderr
  assert "Traceback" not in done.stderr


def test_a_lifter_of_frames_and_one_of_clips_compare_and_it_is_said(tmp_path):
  a, b = str(tmp_path / "A.json"), str(tmp_path / "B.json")
  report.write_json(a, make(-2.5, window=1, overlap=0, intrinsics="not used"))
  report.write_json(b, make(0, window=27, overlap=3, intrinsics="calibrated"))
  text = compare.compare(a, b, ["mpjpe_mm"], markdown=False, seed=0, resamples=20)
  assert "-2.50" in text and text.endswith(
    "The models saw different things of the same frames: "
    "window 1 against 27, overlap 0 against 3, intrinsics not used against calibrated."
  )
  text = compare.compare(a, a, ["mpjpe_mm"], markdown=False, seed=0, resamples=20)
  assert "saw different things" not in text


def test_command_explains_wrong_arguments(tmp_path):
  done = run("A.json")
  assert done.returncode == 2 and "expected two reports" in done.stderr
  done = run(str(tmp_path / "A.json"), str(tmp_path / "B.json"))
  assert done.returncode == 1 and "there is no report at" in done.stderr


def test_markdown_and_chosen_metrics(tmp_path):
  a = str(tmp_path / "A.json")
  report.write_json(a, copy.deepcopy(make(0)))
  text = compare.compare(a, a, ["mpjpe_mm"], markdown=True, seed=0, resamples=20)
  assert "| mpjpe_mm | 0.00 [0.00, 0.00] | 0 of 8 sequences |" in text and "pck_150" not in text
