"""How long a frame waits in a stream, from keypoints to pose, on the wall clock: each frame of one person by itself.

python -m benchmarks.live_latency --output=OUT.json [--model=cmu_frame] [--frames=2000] [--adapt=none,online]

The sample's first person, over and over. "online" adapts to every frame. processor_ms is this process's own mean time,
on all cores: on a machine with other work, the wall clock says what that work left.
"""

import itertools
import json
import os
import platform
import time
import warnings

import jax
import numpy as np
from absl import flags

import jaxpose
from jaxpose import keypoints, report
from jaxpose.keypoints import sample
from launch import app

_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write.", required=True)
_MODEL = flags.DEFINE_string("model", "cmu_frame", "Shipped weights by name, or a run's workdir.")
_FRAMES = flags.DEFINE_integer("frames", 2000, "Frames that are timed.", lower_bound=100)
_ADAPT = flags.DEFINE_list("adapt", ["none", "online"], "Modes of the stream.")
_WARM = 50  # frames before the first that is timed


def latency(adapt: str, frames: int) -> dict[str, float]:
  tracks = keypoints.read(sample.FILES["npz"])
  points = tracks.keypoints[tracks.present[:, 0], 0]
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of the assumed camera
    lift = jaxpose.load(_MODEL.value).stream(
      image_size=sample.SIZE, fps=sample.FPS, joints=tracks.skeleton.name, adapt=adapt
    )
  walls, processors = [], []
  for t, frame in enumerate(itertools.islice(itertools.cycle(points), frames + _WARM)):
    wall, processor = time.perf_counter(), time.process_time()
    lift(frame)
    if t >= _WARM:
      walls.append(time.perf_counter() - wall)
      processors.append(time.process_time() - processor)
  names = ("p50_ms", "p90_ms", "p99_ms", "largest_ms")
  values = 1000 * np.quantile(walls, [0.5, 0.9, 0.99, 1])
  return {**dict(zip(names, values.round(3).tolist())), "processor_ms": round(1000 * float(np.mean(processors)), 3)}


def main() -> None:
  device = {"device": jax.devices()[0].device_kind, "machine": platform.machine(), "cores": os.cpu_count()}
  results = {**device, "load": os.getloadavg()[0], "model": _MODEL.value, "frames": _FRAMES.value}
  results |= {adapt: latency(adapt, _FRAMES.value) for adapt in _ADAPT.value}
  report.write_json(_OUTPUT.value, results)
  print(json.dumps(results, indent=1))


if __name__ == "__main__":
  app.run(main)
