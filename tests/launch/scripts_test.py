"""The scripts as a user starts them, and their errors.

launch.train (killed and resumed, on two processes), launch.evaluate, launch.adapt, launch/target_flags.py,
launch.export_weights, launch.four_rows, launch.quickstart.
"""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from data_builders import build
from jaxpose import checkpoint, experiment, metric_writer, weights

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["--config.model_options.width=16", "--config.num_steps=60", "--config.log_every=10", "--config.eval_every=10"]
TINY += ["--config.eval_max_frames=50"]


# Many steps of programs of full size: longer to run unoptimised than to optimise.
LONG = ("quickstart", "four_rows")


def start(script, *arguments):
  command = [sys.executable, "-m", f"launch.{script}", *arguments]
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  if script in LONG:
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0"
  return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(script, *arguments, code=0):
  process = start(script, *arguments)
  out, err = process.communicate()
  assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
  return out if code == 0 else err


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  build.build("synthetic_mocap", folder, train=4, validation=2, target=3, frames=40)
  return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data_dir):
  """A run that nothing interrupted, in one process."""
  workdir = tmp_path_factory.mktemp("whole")
  run("train", *train_flags(workdir, data_dir))
  return workdir


def train_flags(workdir, data_dir, config="synthetic_baseline"):
  return [f"--config=configs/{config}.py:quick", f"--workdir={workdir}", f"--data_dir={data_dir}", *TINY]


def params(workdir):
  return experiment.load(str(workdir), "latest").variables["params"]


def test_training_killed_at_random_moments_ends_as_if_never_killed(tmp_path, data_dir, whole):
  killed = tmp_path / "killed"
  rng = random.Random(0)
  for _ in range(2):
    process = start("train", *train_flags(killed, data_dir))
    while not checkpoint.steps(str(killed)) and process.poll() is None:
      time.sleep(0.02)
    time.sleep(rng.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.communicate()
  run("train", *train_flags(killed, data_dir))
  for a, b in zip(jax.tree.leaves(params(whole)), jax.tree.leaves(params(killed)), strict=True):
    np.testing.assert_array_equal(a, b)
  logged = [line["step"] for line in metric_writer.read(str(killed)) if "train/loss" in line]
  assert logged == sorted(set(logged)) and logged[-1] == 60


def test_two_processes_end_on_the_parameters_of_one(tmp_path, data_dir, whole):
  with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
  pair = [
    start(
      "train", *train_flags(tmp_path / "two", data_dir),
      f"--coordinator=127.0.0.1:{port}", "--num_processes=2", f"--process_id={i}",
    )
    for i in range(2)
  ]  # fmt: skip
  for process in pair:
    out, err = process.communicate()
    assert process.returncode == 0, out + err
  for a, b in zip(jax.tree.leaves(params(whole)), jax.tree.leaves(params(tmp_path / "two")), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3)


def test_iso_is_trained_evaluated_adapted_and_tabulated(tmp_path, data_dir, whole):
  workdir, output = tmp_path / "iso", tmp_path / "out.json"
  run(
    "train", *train_flags(workdir, data_dir, "synthetic_iso"), "--config.method_options.discriminator_options.width=16"
  )
  places = [f"--workdir={workdir}", f"--data_dir={data_dir}", f"--output={output}", "--dataset=new_poses_and_views"]
  printed = run("evaluate", *places, "--stride=10")
  assert "mpjpe_mm" in printed and "protocol generic" in printed
  plain = json.loads(output.read_text())
  bones = tmp_path / "bones.json"
  bones.write_text(json.dumps({"": {"left_knee": 0.44, "right_knee": 0.44}}))
  assert {"mpjpe_mm", "pa_mpjpe_mm", "pck_150", "auc"} <= set(plain["metrics"])
  assert plain["fingerprint"]["adaptation"] == {"mode": "none"} and plain["timing"]["seconds_per_instance"] > 0
  for flags in (
    ["--mode=none"],
    ["--mode=vanilla", "--num_steps=2", "--copies=4"],
    ["--mode=online", "--objective=reprojection"],
    ["--mode=video", "--recommended", f"--bones={bones}", "--height=1.7"],
  ):
    run("adapt", *places, "--stride=10", *flags)
    adapted = json.loads(output.read_text())
    assert adapted["fingerprint"]["frames"] == plain["fingerprint"]["frames"]
    assert adapted["fingerprint"]["adaptation"]["mode"] == flags[0].removeprefix("--mode=")
    if flags == ["--mode=none"]:
      assert adapted["metrics"] == plain["metrics"]
    else:
      assert adapted["metrics"]["mpjpe_mm"] != plain["metrics"]["mpjpe_mm"]
  table = tmp_path / "table"
  places = [f"--baseline={whole}", f"--joint={workdir}", f"--data_dir={data_dir}", f"--output_dir={table}"]
  printed = run("four_rows", *places, "--dataset=new_poses", "--stride=40")
  assert all(name in printed for name in ("Baseline", "Joint", "Vanilla", "Online", "difference"))
  assert sorted(p.name for p in table.iterdir()) == ["gallery.png", "intervals.png", "results.json"]


def test_a_run_is_scored_on_splits_a_rig_and_a_rate_of_the_flags(tmp_path, data_dir, whole):
  places = [f"--workdir={whole}", f"--data_dir={data_dir}", f"--output={tmp_path / 'out.json'}", "--stride=10"]
  run("evaluate", *places, "--dataset=synthetic_mocap", "--splits=train,validation", "--rig=h36m", "--fps=15")
  found = json.loads((tmp_path / "out.json").read_text())["fingerprint"]
  wanted = {"dataset": "synthetic_mocap", "split": "train+validation", "rig": "h36m", "fps": 15.0}
  assert {name: found[name] for name in wanted} == wanted
  err = run("evaluate", *places, "--dataset=synthetic_mocab", code=1)
  assert "unknown target 'synthetic_mocab'" in err and err.count("\n") == 1


def test_exported_weights_are_the_run(tmp_path, whole):
  printed = run("export_weights", f"--workdir={whole}", f"--output={tmp_path / 'small'}")
  assert f"wrote {tmp_path / 'small'}: mlp of step " in printed
  assert sorted(p.name for p in (tmp_path / "small").iterdir()) == ["run.json", "weights.safetensors"]
  original, small = experiment.load(str(whole)), weights.read(tmp_path / "small")
  assert small.config == original.config and small.step == original.step and small.statistics == original.statistics
  for a, b in zip(jax.tree.leaves(original.variables), jax.tree.leaves(small.variables), strict=True):
    np.testing.assert_array_equal(a, b)
  run("lift", "--sample", f"--checkpoint={tmp_path / 'small'}", "--write=json", f"--output={tmp_path / 'out'}")
  err = run("export_weights", f"--workdir={tmp_path / 'nothing'}", f"--output={tmp_path / 'none'}", code=1)
  assert "no checkpoint under" in err and not (tmp_path / "none").exists()


def test_quickstart_writes_table_json_and_pictures(tmp_path):
  printed = run("quickstart", f"--workdir={tmp_path}", "--steps=100", "--stride=1500")
  for name in ("Baseline", "Joint", "Vanilla", "Online", "difference", "synthetic data"):
    assert name in printed
  results = json.loads((tmp_path / "results.json").read_text())
  recommended = [f"Baseline, {mode}" for mode in ("vanilla", "online", "video")]
  assert list(results) == ["Baseline", "Joint", "Vanilla", "Online", *recommended]
  assert len({json.dumps(r["fingerprint"]["scored_sha256"]) for r in results.values()}) == 1
  assert all(r["intervals"]["mpjpe_mm"] for r in results.values())
  for picture in ("gallery.png", "intervals.png"):
    assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
  ("script", "flags", "message"),
  [
    ("train", ["--config=configs/synthetic_baseline.py:quik"], "only one is 'quick'"),
    ("train", ["--config=configs/synthetic_baseline.py", "--config.bach_size=3"], "batch_size"),
    ("train", ["--config=configs/missing.py"], "configs/missing.py"),
    ("train", ["--config=configs/cmu_baseline.py"], "jaxpose build_data --dataset=cmu_mocap"),
    ("train", ["--config=cmu_baseline"], "jaxpose build_data --dataset=cmu_mocap"),
    ("train", ["--config", "cmu_baseline"], "jaxpose build_data --dataset=cmu_mocap"),
    ("train", ["--config=configs/synthetic_baseline.py", "--config.batch_size=0"], "batch_size=0 must be positive"),
    ("train", ["--config=configs/synthetic_baseline.py", "stray"], "unexpected arguments"),
    ("evaluate", ["--output=x.json"], "no checkpoint under"),
    ("adapt", ["--output=x.json", "--mode=vanila"], "vanila"),
    ("adapt", ["--output=x.json", "--num_steps=-1"], "num_steps=-1 must be positive"),
    ("adapt", ["--output=x.json", "--mode=video"], "mode 'video' learns a person's bones"),
    ("adapt", ["--output=x.json", "--recommended", "--bones=missing.json"], "missing.json"),
  ],
)
def test_a_mistake_is_one_clear_line(tmp_path, data_dir, script, flags, message):
  process = start(script, f"--workdir={tmp_path / 'w'}", f"--data_dir={data_dir}", *flags)
  _, err = process.communicate()
  assert process.returncode in (1, 2)
  assert message in err and "Traceback" not in err
  assert not (tmp_path / "w").exists() or not list((tmp_path / "w").rglob("*checkpoint*"))
