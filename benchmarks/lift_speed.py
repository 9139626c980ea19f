"""How long a file of one person takes from the command to poses.npz, imports and compilation included.

python -m benchmarks.lift_speed --output=OUT.json [--frames=10000] [--checkpoint=cmu_clip] [--adapt=none] [--rounds=3]

AlphaPose's JSON of the sample's first person, to and fro, with a pixel of noise. Each round is `launch.lift` as a
process of its own that writes npz alone. processor_s is what it took of all cores: on a machine with other work, the
wall clock says what that work left.
"""

import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import flags

from jaxpose import keypoints, report
from jaxpose.keypoints import sample
from launch import app

_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write.", required=True)
_FRAMES = flags.DEFINE_integer("frames", 10_000, "Of the file.", lower_bound=10)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "cmu_clip", "As of launch.lift.")
_ADAPT = flags.DEFINE_string("adapt", "none", "As of launch.lift.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Times it is run.", lower_bound=1)


def write(path: pathlib.Path, frames: int) -> None:
  tracks = keypoints.read(sample.FILES["alphapose"], image_size=sample.SIZE, fps=sample.FPS)
  points = tracks.keypoints[:, 0][np.isfinite(tracks.keypoints[:, 0]).all((-1, -2))]
  order = np.r_[np.arange(len(points)), np.arange(len(points))[::-1]]
  points = points[np.resize(order, frames)] + np.random.default_rng(0).normal(0, 1, (frames, *points.shape[1:]))
  rows = np.concatenate([points, np.full((*points.shape[:2], 1), 0.9)], -1).reshape(frames, -1).round(2).tolist()
  entries = [{"image_id": f"{t}.jpg", "category_id": 1, "score": 2.7, "keypoints": row} for t, row in enumerate(rows)]
  path.write_text(json.dumps(entries))


def main() -> None:
  walls, processors = [], []
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "alphapose-results.json")
    write(path, _FRAMES.value)
    command = [sys.executable, "-m", "launch.lift", f"--keypoints={path}", "--image_size=1280x720", "--fps=25"]
    command += ["--write=", f"--adapt={_ADAPT.value}"]
    command += [f"--checkpoint={_CHECKPOINT.value}", f"--output={folder}/out"]
    for _ in range(_ROUNDS.value):
      began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
      subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
      after = resource.getrusage(resource.RUSAGE_CHILDREN)
      walls.append(round(time.perf_counter() - began, 2))
      processors.append(round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2))
  results = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "frames": _FRAMES.value, "adapt": _ADAPT.value}
  results |= {"wall_s": walls, "processor_s": processors}
  report.write_json(_OUTPUT.value, results)
  print(json.dumps(results))


if __name__ == "__main__":
  app.run(main)
