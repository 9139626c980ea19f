"""Training on several processes, as a scheduler starts and ends them."""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from data_builders import build
from jaxpose import checkpoint, experiment, metric_writer

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["--config.model_options.width=16", "--config.num_steps=60", "--config.log_every=5", "--config.eval_every=20"]
TINY += ["--config.eval_max_frames=50"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  build.build("synthetic_mocap", folder, train=2, validation=1, target=1, frames=40)
  return folder


def start(workdir, data_dir, *flags, **environment):
  command = [sys.executable, "-m", "launch.train", "--config=configs/synthetic_baseline.py:quick", *TINY, *flags]
  command += [f"--workdir={workdir}", f"--data_dir={data_dir}"]
  env = {**os.environ, "JAX_PLATFORMS": "cpu", **environment}
  return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def slurm(index, job, count=2):
  """What srun sets for a task."""
  return {
    "SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": str(count),
    "SLURM_PROCID": str(index), "SLURM_LOCALID": str(index),
  }  # fmt: skip


def pair(workdir, data_dir, *flags):
  job = random.SystemRandom().randrange(1 << 20)  # the coordinator's port comes of it
  return [start(workdir, data_dir, *flags, **slurm(i, job)) for i in range(2)]


def ended(processes):
  outputs = [process.communicate() for process in processes]
  return [process.returncode for process in processes], "".join(map("".join, outputs))


def wait_for_steps(workdir, processes):
  while not checkpoint.steps(str(workdir)) and all(p.poll() is None for p in processes):
    time.sleep(0.02)


def params(workdir):
  return experiment.load(str(workdir), "latest").variables["params"]


def test_two_tasks_without_flags_are_one_run_also_when_preempted(tmp_path, data_dir):
  whole, two = tmp_path / "whole", tmp_path / "two"
  codes, text = ended([start(whole, data_dir)])
  assert codes == [0], text
  processes = pair(two, data_dir)
  wait_for_steps(two, processes)
  processes[1].send_signal(signal.SIGTERM)  # one of them is enough
  codes, text = ended(processes)
  assert codes in ([143, 143], [0, 0]), text
  if codes[0]:
    assert "ended by SIGTERM: saved at step" in text and "Traceback" not in text
    codes, text = ended(pair(two, data_dir))
  assert codes == [0, 0], text
  for a, b in zip(jax.tree.leaves(params(whole)), jax.tree.leaves(params(two)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3)
  logs = [
    {line["step"]: line["validation/mpjpe_mm"] for line in metric_writer.read(str(w)) if "validation/mpjpe_mm" in line}
    for w in (whole, two)
  ]
  assert list(logs[0]) == list(logs[1]) == [20, 40, 60]
  np.testing.assert_allclose(list(logs[0].values()), list(logs[1].values()), rtol=1e-2)


def test_a_dead_peer_ends_the_other_within_the_heartbeat_and_is_no_mistake_of_the_users(tmp_path, data_dir):
  processes = pair(tmp_path / "w", data_dir, "--config.num_steps=100000", "--heartbeat_seconds=10")
  wait_for_steps(tmp_path / "w", processes)
  processes[1].send_signal(signal.SIGKILL)
  (survivor, _), text = ended(processes)
  assert survivor in (134, -signal.SIGABRT), text
  assert "another process of the job is gone" in text or "task:1" in text
  assert "Traceback" not in text


def test_a_folder_that_is_not_shared_is_refused(tmp_path, data_dir):
  job = random.SystemRandom().randrange(1 << 20)
  processes = [start(tmp_path / f"own {i}", data_dir, **slurm(i, job)) for i in range(2)]
  codes, text = ended(processes)
  assert codes == [1, 1] and "is not one folder for all: [1] of the 2 processes do not see" in text
  assert not list(tmp_path.rglob("shared_*"))


def test_other_scripts_refuse_to_be_one_of_several(tmp_path, data_dir):
  command = [sys.executable, "-m", "launch.evaluate", f"--workdir={tmp_path}", f"--data_dir={data_dir}"]
  command += [f"--output={tmp_path / 'x.json'}"]
  env = {**os.environ, "JAX_PLATFORMS": "cpu", **slurm(1, 5)}
  done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
  assert done.returncode == 1 and "evaluate works in one process, and this is process 1 of 2 (slurm)" in done.stderr
  done = subprocess.run([*command, "--num_processes=2"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
  assert done.returncode == 2 and "Unknown command line flag 'num_processes'" in done.stderr
