"""How a training step and streaming scale: step time over faked devices and processes, rows a second of the stream.

python -m benchmarks.scaling --output=benchmarks/results/scaling_cpu.json [--part=stream,devices,processes]

Faked devices share this machine's cores, so that the time of a step should stay as it is at the same batch; what it
grows by is what sharding costs (collectives, dispatch). efficiency is the time on one device over that on n.
"""

import json
import os
import subprocess
import sys
import time

import jax
import numpy as np
from absl import flags

from jaxpose import report
from jaxpose.data import pipeline
from launch import app

_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write.", required=True)
_PART = flags.DEFINE_list("part", ["stream", "devices", "processes"], "What to measure.")
_CHILD = flags.DEFINE_string("child", "", "Of this script's own: devices,processes,index,port.")
_WIDTH = flags.DEFINE_integer("width", 256, "Of the network.")
_STEPS = flags.DEFINE_integer("steps", 100, "Steps that are timed.")
BATCH = 1024


def windows(frames: int) -> pipeline.Windows:
  """Clips of random numbers, of Human3.6M's shapes."""
  from jaxpose.geometry import camera as cameras

  rng = np.random.default_rng(0)
  camera = jax.tree.map(lambda x: np.asarray(x)[None], cameras.create((1145, 1144), (512, 515), (1000, 1000)))
  arrays = {"keypoints_2d": rng.uniform(0, 1000, (frames, 17, 2)).astype(np.float32)}
  arrays |= {"confidence": np.ones((frames, 17), np.float32), "valid": np.ones(frames, bool)}
  arrays["joints_3d"] = rng.normal(0, 1, (frames, 17, 3)).astype(np.float32) + np.float32([0, 0, 5])
  return pipeline.Windows(arrays, camera, np.arange(frames, dtype=np.int32), np.zeros(frames, np.int32))


def stream(steps: int = 400, warm: int = 20) -> dict:
  """Rows a second that reach the loop, of single frames."""
  data = windows(200_000)
  batches = pipeline.batches(data, length=1, batch_size=BATCH, seed=0, num_steps=steps)
  for _ in range(warm):
    next(batches)
  began, process = time.perf_counter(), time.process_time()
  rows = sum(len(next(batches)["valid"]) for _ in range(steps - warm))
  wall, processor = time.perf_counter() - began, time.process_time() - process
  return {"rows": rows, "rows_per_second": rows / wall, "rows_per_processor_second": rows / processor}


def child(devices: int, processes: int, index: int, port: int) -> None:
  """One process: prints the milliseconds of a resident step at a global batch of `BATCH`."""
  jax.config.update("jax_num_cpu_devices", devices)
  if processes > 1:
    jax.distributed.initialize(f"127.0.0.1:{port}", processes, index, cluster_detection_method="deactivate")
  from jaxpose import codec, distributed, models
  from jaxpose import skeleton as skeletons
  from jaxpose.config import OptimConfig
  from jaxpose.methods import supervised
  from jaxpose.train import optim
  from jaxpose.train import state as states
  from jaxpose.train import step as steps

  data, mesh = windows(20_000), distributed.make_mesh()
  made = codec.build("root_rms", skeletons.get("h36m_17"))
  method = supervised.create(models.build("mlp", num_joints=17, width=_WIDTH.value), made)
  tx = optim.build(OptimConfig(), 1000, method.labels)
  one, batch = distributed.replicated(mesh), pipeline.gather(data, np.arange(1), 1)
  create = jax.jit(lambda key: states.create(key, batch, method=method, tx=tx), out_shardings=one)
  state = create(jax.random.key(0))

  def many(state, data, index):
    return steps.resident_steps(state, data, index, length=1, method=method, tx=tx, base_key=jax.random.key(1))

  run = jax.jit(many, donate_argnums=0, out_shardings=one)
  rows = np.random.default_rng(0).integers(0, 20_000, (_STEPS.value, BATCH)).astype(np.int32)
  index_, resident = distributed.put_same(rows, distributed.over_data(mesh, leading=1)), distributed.put_same(data, one)
  times = []
  for _ in range(4):
    began = time.perf_counter()
    state, scalars = run(state, resident, index_)
    jax.block_until_ready((state, scalars))
    times.append(time.perf_counter() - began)
  if index == 0:
    print(json.dumps({"ms": 1000 * min(times[1:]) / _STEPS.value}))


def timed(devices: int, processes: int) -> float:
  port = 20_000 + os.getpid() % 20_000 + devices
  command = [
    sys.executable,
    "-m",
    "benchmarks.scaling",
    "--output=-",
    f"--width={_WIDTH.value}",
    f"--steps={_STEPS.value}",
  ]
  env = {**os.environ, "JAX_PLATFORMS": "cpu"}
  started = [
    subprocess.Popen(
      [*command, f"--child={devices},{processes},{i},{port}"], env=env, stdout=subprocess.PIPE, text=True
    )
    for i in range(processes)
  ]
  outputs = [process.communicate()[0] for process in started]
  if any(process.returncode for process in started):
    raise ValueError(f"a step on {devices} devices and {processes} processes could not be timed")
  return json.loads(outputs[0].strip().splitlines()[-1])["ms"]


def main() -> None:
  if _CHILD.value:
    child(*map(int, _CHILD.value.split(",")))
    return
  results: dict = {
    "machine": f"{os.cpu_count()} cores",
    "load": os.getloadavg()[0],
    "batch": BATCH,
    "width": _WIDTH.value,
  }
  if "stream" in _PART.value:
    results["stream"] = stream()
  if "devices" in _PART.value:
    times = {n: timed(n, 1) for n in (1, 2, 4, 8)}
    results["devices"] = {n: {"ms": t, "efficiency": times[1] / t} for n, t in times.items()}
  if "processes" in _PART.value:
    times = {n: timed(1, n) for n in (1, 2)}
    results["processes"] = {n: {"ms": t, "efficiency": times[1] / t} for n, t in times.items()}
  report.write_json(_OUTPUT.value, results)
  print(json.dumps(results, indent=1))


if __name__ == "__main__":
  app.run(main, several=True)
