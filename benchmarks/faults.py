"""Faults put into jobs of several processes on purpose: what was lost (nothing), and how long until they stood again.

python -m benchmarks.faults --output=benchmarks/results/faults_cpu.json [--cases=sigterm,kills,...] [--kills=50]

Two processes of this machine train as SLURM's tasks do, on synthetic people. Each case is begun, disturbed, begun again
until it ends, and its final parameters are compared to those of an undisturbed run: to the bit where the processes are
as many, to 1e-6 where they are not. A case that does not hold ends the script with its name.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np
from absl import flags

from data_builders import build
from jaxpose import checkpoint, experiment, report
from launch import app

_OUTPUT = flags.DEFINE_string(
  "output", None, "The JSON to write; cases that stand in it already are kept.", required=True
)
_CASES = flags.DEFINE_list("cases", None, "Which cases; all by default.")
_KILLS = flags.DEFINE_integer("kills", 50, "Random kills of case kills.", lower_bound=1)
_INSTANCES = flags.DEFINE_integer("instances", 10_000, "Instances of case shards.", lower_bound=100)
_SHARDS = flags.DEFINE_integer("shards", 20, "Shards of case shards.", lower_bound=2)

HEARTBEAT = 10
RESTARTED = (134, 137, 143, -signal.SIGKILL, -signal.SIGABRT)  # what a job is started again on
SMALL = ["--config.model_options.width=16", "--config.num_steps=400", "--config.log_every=5", "--config.eval_every=20"]
SMALL += ["--config.eval_max_frames=50", f"--heartbeat_seconds={HEARTBEAT}"]


class Lab:
  """A folder with a data set, and the job that is disturbed in it."""

  def __init__(self, folder: pathlib.Path):
    self.folder, self.rng = folder, random.Random(0)
    build.build("synthetic_mocap", folder / "data", train=4, validation=1, target=3, frames=40)

  def start(self, workdir: pathlib.Path, count: int = 2, devices: int = 1) -> list[subprocess.Popen]:
    job = self.rng.randrange(1 << 20)
    command = [sys.executable, "-m", "launch.train", "--config=synthetic_baseline:quick", *SMALL]
    command += [f"--workdir={workdir}", f"--data_dir={self.folder / 'data'}"]
    processes = []
    for index in range(count):
      slurm = {"SLURM_JOB_ID": job, "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": count, "SLURM_PROCID": index}
      env = {**os.environ, "JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(devices), "SLURM_LOCALID": str(index)}
      env |= {name: str(value) for name, value in slurm.items()}
      processes.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
    return processes

  def finish(self, workdir: pathlib.Path, count: int = 2, devices: int = 1) -> None:
    codes, text = ended(self.start(workdir, count, devices))
    assert codes == [0] * count, text

  def reference(self) -> pathlib.Path:
    workdir = self.folder / "undisturbed"
    if not workdir.exists():
      self.finish(workdir)
    return workdir


def ended(processes: Sequence[subprocess.Popen]) -> tuple[list[int], str]:
  texts = [process.communicate()[1] for process in processes]
  return [process.returncode for process in processes], "".join(texts)


def saved_beyond(workdir: pathlib.Path, step: int, processes: Sequence[subprocess.Popen]) -> None:
  """Waits until a checkpoint after `step` is there, or a process has ended."""
  while max([-1, *checkpoint.steps(str(workdir))]) <= step and all(p.poll() is None for p in processes):
    time.sleep(0.05)


def distance(one: pathlib.Path, other: pathlib.Path) -> float:
  """The largest difference of a parameter at the end of two runs."""
  pair = [jax.tree.leaves(experiment.load(str(w), "latest").variables["params"]) for w in (one, other)]
  return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(*pair, strict=True))


def disturbed(lab: Lab, name: str, disturb: Callable[[list[subprocess.Popen]], None]) -> dict:
  """One disturbance after the first checkpoint; then the job once more, to its end."""
  workdir, reference = lab.folder / name, lab.reference()
  processes = lab.start(workdir)
  saved_beyond(workdir, -1, processes)
  began = time.monotonic()
  disturb(processes)
  codes, text = ended(processes)
  down = time.monotonic() - began
  assert all(code in RESTARTED for code in codes), (codes, text)
  assert "Traceback" not in text and "--debug" not in text, text
  step = checkpoint.steps(str(workdir))[-1]
  began = time.monotonic()
  processes = lab.start(workdir)
  saved_beyond(workdir, step, processes)
  again = time.monotonic() - began
  codes, text = ended(processes)
  assert codes == [0, 0], text
  difference = distance(workdir, reference)
  assert difference == 0, difference
  said = [line for line in text.splitlines() if line.startswith("error:")]
  return {"seconds_to_end": down, "seconds_to_next_checkpoint": again, "difference": difference, "said": said[:1]}


def freeze(processes: list[subprocess.Popen]) -> None:
  processes[1].send_signal(signal.SIGSTOP)
  processes[0].wait()
  processes[1].send_signal(signal.SIGKILL)  # as a scheduler does with what is left


def kills(lab: Lab) -> dict:
  """Two processes, one of which is killed at a random moment, again and again."""
  workdir, reference, done, lost = lab.folder / "kills", lab.reference(), 0, 0
  while done < _KILLS.value:
    processes = lab.start(workdir)
    with contextlib.suppress(subprocess.TimeoutExpired):
      processes[0].wait(timeout=lab.rng.uniform(2, 25))
    if processes[0].poll() == 0:  # at its end: from the middle once more
      ended(processes)
      assert distance(workdir, reference) == 0
      for step in checkpoint.steps(str(workdir))[1:]:
        shutil.rmtree(workdir / "checkpoints" / str(step))
      continue
    processes[lab.rng.randrange(2)].send_signal(signal.SIGKILL)
    codes, text = ended(processes)
    assert any(code in RESTARTED for code in codes), (codes, text)
    done, lost = done + 1, lost + ("Traceback" in text)
    print(f"kill {done} of {_KILLS.value}, checkpoints {checkpoint.steps(str(workdir))}", flush=True)
  lab.finish(workdir)
  difference = distance(workdir, reference)
  assert difference == 0, difference
  return {"kills": done, "tracebacks": lost, "difference": difference}


def elastic(lab: Lab) -> dict:
  """Two processes, then one, then one with four devices: what a checkpoint holds depends on no number of processes."""
  workdir, reference, step = lab.folder / "elastic", lab.reference(), -1
  for count, devices in ((2, 1), (1, 1)):
    processes = lab.start(workdir, count, devices)
    saved_beyond(workdir, step, processes)
    step = checkpoint.steps(str(workdir))[-1]
    for process in processes:
      process.send_signal(signal.SIGKILL)
    ended(processes)
  lab.finish(workdir, 1, 4)
  difference = distance(workdir, reference)
  assert difference < 1e-6, difference
  return {"processes and devices": [[2, 1], [1, 1], [1, 4]], "difference": difference}


def truncated(lab: Lab) -> dict:
  """The largest file of the last checkpoint loses its second half: the run says so, and goes on without it."""
  workdir, reference = lab.folder / "truncated", lab.reference()
  shutil.copytree(reference, workdir)
  steps = checkpoint.steps(str(workdir))
  broken = workdir / "checkpoints" / str(steps[-1])
  largest = max((p for p in (broken / "state").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
  largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
  codes, text = ended(lab.start(workdir))
  assert codes == [1, 1] and f"step {steps[-1]}" in text and "Traceback" not in text, (codes, text)
  shutil.rmtree(broken)
  lab.finish(workdir)
  assert distance(workdir, reference) == 0
  return {"said": [line for line in text.splitlines() if line.startswith("error:")][:1], "difference": 0.0}


def full_disk(lab: Lab) -> dict:
  """A file system of 3 MB: the job ends with one line, the last whole checkpoint stays, and room lets it go on."""
  workdir, reference = lab.folder / "full", lab.reference()
  workdir.mkdir()
  if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(workdir)], check=False).returncode:
    return {"skipped": "needs the right to mount"}
  try:
    (workdir / "filler").write_bytes(bytes(2_000_000))
    codes, text = ended(lab.start(workdir))
    assert any(codes) and "Traceback" not in text and "Free some space" in text, (codes, text)
    (workdir / "filler").unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(workdir)], check=True)
    lab.finish(workdir)
    difference = distance(workdir, reference)
    assert difference == 0, difference
  finally:
    subprocess.run(["umount", str(workdir)], check=True)
  return {"said": [line for line in text.splitlines() if line.startswith("error:")][:1], "difference": difference}


def shards(lab: Lab) -> dict:
  """Vanilla adaptation in shards, killed at random until all are there: collected, it is one piece to the bit."""
  run = lab.folder / "adapted"
  lab.finish(run, count=1)
  frames = -(-_INSTANCES.value // 12)  # three motions, four cameras
  build.build("synthetic_mocap", lab.folder / "many", train=1, validation=1, target=3, frames=frames)
  command = [sys.executable, "-m", "launch.adapt", f"--workdir={run}", f"--data_dir={lab.folder / 'many'}"]
  command += ["--dataset=new_poses", "--mode=vanilla", "--recommended", f"--output={lab.folder / 'OUT.json'}"]
  env = {**os.environ, "JAX_PLATFORMS": "cpu"}
  killed, missing = 0, list(range(_SHARDS.value))
  while missing:
    shard = lab.rng.choice(missing)
    process = subprocess.Popen([*command, f"--shard={shard}/{_SHARDS.value}"], env=env, stdout=subprocess.DEVNULL)
    if lab.rng.random() < 0.5:
      with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=lab.rng.uniform(1, 20))
      killed += process.poll() is None
      process.kill()
    process.wait()
    name = lab.folder / f"OUT-{shard:05d}-of-{_SHARDS.value:05d}.npz"
    missing = [i for i in missing if i != shard] if name.exists() else missing
  one, parts = lab.folder / "one.json", lab.folder / "parts.json"
  subprocess.run([*command[:-1], f"--output={one}"], env=env, check=True)
  collect = [sys.executable, "-m", "launch.collect", f"--inputs={lab.folder}/OUT-*.npz", f"--output={parts}"]
  subprocess.run(collect, env=env, check=True)
  a, b = (
    {n: v for n, v in json.loads(f.read_text()).items() if n not in ("timing", "environment")} for f in (one, parts)
  )
  assert a == b, "collected is not one piece"
  timing = json.loads(parts.read_text())["timing"]
  return {"instances": timing["instances"], "shards": _SHARDS.value, "killed": killed, "equal": "to the bit"}


CASES: dict[str, Callable[[Lab], dict]] = {
  "sigterm": lambda lab: disturbed(lab, "sigterm", lambda p: p[1].send_signal(signal.SIGTERM)),
  "kill_worker": lambda lab: disturbed(lab, "kill_worker", lambda p: p[1].kill()),
  "kill_first": lambda lab: disturbed(lab, "kill_first", lambda p: p[0].kill()),
  "sigstop": lambda lab: disturbed(lab, "sigstop", freeze),
  "truncated": truncated,
  "full_disk": full_disk,
  "elastic": elastic,
  "shards": shards,
  "kills": kills,
}


def main() -> None:
  chosen = _CASES.value or list(CASES)
  if unknown := [name for name in chosen if name not in CASES]:
    raise ValueError(f"unknown cases {unknown}; there are {', '.join(CASES)}")
  output = pathlib.Path(_OUTPUT.value)
  results = json.loads(output.read_text()) if output.exists() else {}
  results |= {"device": jax.devices()[0].device_kind, "cores": os.cpu_count(), "heartbeat_seconds": HEARTBEAT}
  with tempfile.TemporaryDirectory(prefix="jaxpose-faults-") as folder:
    lab = Lab(pathlib.Path(folder))
    for name in chosen:
      began = time.monotonic()
      results[name] = CASES[name](lab) | {"load": os.getloadavg()[0]}
      print(f"{name}: {json.dumps(results[name])}, {time.monotonic() - began:.0f} s", flush=True)
      report.write_json(output, results)


if __name__ == "__main__":
  app.run(main)
