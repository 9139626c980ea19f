"""launch.export as a user starts it."""

import os
import pathlib
import subprocess
import sys

import numpy as np

from jaxpose.graphs import load

ROOT = pathlib.Path(__file__).parents[2]


def run(*flags, code=0):
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  command = [sys.executable, "-m", "launch.export", *flags]
  process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
  assert process.returncode == code, process.stderr
  return process.stdout if code == 0 else process.stderr


def test_shipped_weights_are_exported_and_made_anew(tmp_path):
  folder = tmp_path / "lift.jaxpose"
  assert "for cpu, cuda, tpu" in run("--workdir=cmu_frame", f"--output={folder}")
  stored = np.load(folder / "example.npz")
  given = {n.removeprefix("inputs/"): stored[n] for n in stored.files if n.startswith("inputs/")}
  np.testing.assert_allclose(load.load(folder)(**given)["positions"], stored["outputs/positions"], atol=1e-5)
  assert "wrote" in run(f"--output={folder}", "--refresh")
  load.load(folder)


def test_a_mistake_is_one_clear_line(tmp_path):
  for flags, message in (
    ([], "give either --workdir=W"),
    (["--workdir=cmu_frame", "--graph=hypotheses"], "method 'supervised' has no graph 'hypotheses'"),
    (["--workdir=nowhere"], "no lifter 'nowhere'"),
    (["--refresh"], "recipe.json"),
  ):
    err = run(f"--output={tmp_path / 'x.jaxpose'}", *flags, code=1)
    assert message in err and "Traceback" not in err
    assert not (tmp_path / "x.jaxpose").exists()
