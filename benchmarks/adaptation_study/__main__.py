"""Adaptation on many targets: every source is trained on others than the target, and on no frame of it.

python -m benchmarks.adaptation_study --data_dir=DIR --workdir=W --output=OUT.json [--seeds=0,1,2,3,4] [--steps=50000]

DIR holds cmu_mocap and synthetic_mocap, as launch.build_data makes them with `--data_dir=DIR`, and bvh_mocap twice,
made with `--data_dir=DIR/studio` and `--data_dir=DIR/cmu_131` (see benchmarks/README.md). Runs are trained where they
are not there yet. Each cell (run, target, row) is kept under W/cells: an interrupted study goes on.
"""

import hashlib
import json
import pathlib

import numpy as np
from absl import app, flags

from benchmarks.adaptation_study import rows as methods
from benchmarks.adaptation_study import tables, targets
from jaxpose import metrics
from jaxpose.data.clip import Clip
from jaxpose.runs import RECOMMENDED

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data sets are.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where runs and cells go.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Of the runs.")
_STEPS = flags.DEFINE_integer("steps", 50000, "Training steps of the CMU runs; the synthetic ones have 0.4 of them.")
_ROWS = flags.DEFINE_list("rows", [], "Rows beside 'none'; all when empty.")
_TARGETS = flags.DEFINE_list("targets", [], "Targets, separated by ';' in one item; all when empty.")
_NOISE = flags.DEFINE_float("noise", 0.0, "Pixels of normal noise on the keypoints.")
_MISSING = flags.DEFINE_float("missing", 0.0, "Share of the joints that are missing.")
_TAIL = flags.DEFINE_float("tail", 0.0, "Share of the joints that are some 60 pixels off.")

LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
FORMAT = 2  # of a cell; raise it when what a cell holds, or what makes it, changes


def main(_) -> None:
  chosen = {n: t for n, t in targets.TARGETS.items() if not _TARGETS.value or n in ",".join(_TARGETS.value).split(";")}
  every = methods.rows(_DATA_DIR.value)
  names = ["none", *(n for n in every if n != "none" and (not _ROWS.value or n in _ROWS.value))]
  cells = []
  for seed in map(int, _SEEDS.value):
    for name, target in chosen.items():
      steps = _STEPS.value * 2 // 5 if target.source == "synthetic" else _STEPS.value
      run = None
      for row in names:
        described = {
          "target": name, "row": row, "seed": seed, "steps": steps, "noise": _NOISE.value, "missing": _MISSING.value,
          "tail": _TAIL.value, "format": FORMAT, "clips": [targets.CLIPS, targets.FRAMES, targets.FPS],
          "recommended": {m: c.key() for m, c in RECOMMENDED.items()},
        }  # fmt: skip
        path = _cell(described)
        if not path.exists():
          run = run or targets.trained(_WORKDIR.value, _DATA_DIR.value, target.source, steps, seed)
          clips = targets.clips(_DATA_DIR.value, target, _NOISE.value, _MISSING.value, _TAIL.value)
          poses, times = every[row](run, clips)
          path.write_text(json.dumps({**described, **_errors(clips, poses), "seconds": times["seconds_per_instance"]}))
        cells.append(json.loads(path.read_text()))
        print(tables.line(cells[-1]), flush=True)
  report = {"cells": cells, "table": tables.summary(cells)}
  pathlib.Path(_OUTPUT.value).write_text(json.dumps(report, indent=1))
  print(tables.text(report["table"]))


def _cell(described: dict) -> pathlib.Path:
  folder = pathlib.Path(_WORKDIR.value) / "cells"
  folder.mkdir(parents=True, exist_ok=True)
  digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:24]
  return folder / f"{digest}.json"


def _errors(clips: list[Clip], poses: list[np.ndarray]) -> dict[str, list[float]]:
  """MPJPE, PA-MPJPE and PA-MPJPE of the limbs, mm, for each clip; and how many frames it scores."""
  out = {"mpjpe_mm": [], "pa_mpjpe_mm": [], "pa_limbs_mm": [], "frames": []}
  for clip, pose in zip(clips, poses):
    root, valid = clip.skeleton.root, clip.valid
    limbs = [i for i, n in enumerate(clip.skeleton.names) if any(word in n for word in LIMBS)]
    shown, truth = (x[valid] - x[valid][:, root : root + 1] for x in (pose, clip.joints_3d))
    by_joint = (
      metrics.mpjpe(shown, truth),
      metrics.pa_mpjpe(shown, truth),
      metrics.pa_mpjpe(shown[:, limbs], truth[:, limbs]),
    )
    for name, values in zip(out, by_joint):
      out[name].append(1000 * float(np.mean(values)))
    out["frames"].append(int(valid.sum()))
  return out


if __name__ == "__main__":
  app.run(main)
