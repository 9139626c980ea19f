"""The ISO paper's tables and figures on open data, from nothing but a built data set to one HTML page:

python -m benchmarks.iso_study --data_dir=DIR --workdir=W --output=DIR2 [--benchmark=cmu|synthetic]
  [--seeds=0,1,2,3,4] [--part=table3,figure4,...] [--rows=Baseline,Vanilla-GN,...] [--stride=N] [--stream_stride=M]
  [--sweep_seeds=N] [--sweep_stride=N] [--num_steps=N]

Trains the runs that are missing under W, adapts and scores them, and writes DIR2/iso_study.html (pictures inside) and
DIR2/iso_study.json (every number, with the protocol's fingerprint). What was computed is kept under W and reused.
"""

import os
import pathlib
import shlex
import sys

import jax
from absl import flags

from benchmarks.iso_study import study
from benchmarks.iso_study.methods import METHODS
from benchmarks.iso_study.settings import BENCHMARKS, Settings
from launch import app

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Where runs and results are kept: baseline_0, cells, ...", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the page and the numbers.", required=True)
_BENCHMARK = flags.DEFINE_enum("benchmark", "cmu", list(BENCHMARKS), "Source and targets: see configs/.")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2", "3", "4"], "Seeds of the runs.")
_STRIDE = flags.DEFINE_integer("stride", 96, "Score every n-th frame of a target's clips; a multiple of stream_stride.")
_STREAM_STRIDE = flags.DEFINE_integer("stream_stride", 8, "Online modes see every n-th frame.")
_SWEEP_SEEDS = flags.DEFINE_integer("sweep_seeds", 1, "How many of the seeds Figure 4 takes.")
_SWEEP_STRIDE = flags.DEFINE_integer("sweep_stride", 4, "Figure 4 takes every n-th of the other parts' frames.")
_NUM_STEPS = flags.DEFINE_integer("num_steps", None, "Training steps; the configs' own when absent.")
_ROWS = flags.DEFINE_list("rows", list(METHODS), f"Baseline and some of {', '.join(list(METHODS)[1:])}.")
_PART = flags.DEFINE_list("part", list(study.PARTS), f"Some of {', '.join(study.PARTS)}.")


def main() -> None:
  try:
    seeds = tuple(int(s) for s in _SEEDS.value)
  except ValueError as error:
    raise ValueError(f"--seeds={','.join(_SEEDS.value)}: seeds are whole numbers, as in --seeds=0,1,2") from error
  settings = Settings(
    benchmark=_BENCHMARK.value,
    data_dir=_DATA_DIR.value,
    workdir=os.path.abspath(_WORKDIR.value),
    seeds=seeds,
    stride=_STRIDE.value,
    stream_stride=_STREAM_STRIDE.value,
    rows=tuple(r.strip() for r in _ROWS.value),
    sweep_seeds=_SWEEP_SEEDS.value,
    sweep_stride=_SWEEP_STRIDE.value,
    num_steps=_NUM_STEPS.value,
  )
  # Cells differ in weights far more often than in shapes: one compiled program serves all seeds, and the next start.
  jax.config.update("jax_compilation_cache_dir", os.path.join(settings.workdir, "compiled"))
  command = "python -m benchmarks.iso_study " + " ".join(map(shlex.quote, sys.argv[1:]))
  for path in study.write(settings, tuple(_PART.value), pathlib.Path(_OUTPUT.value), command):
    print(f"wrote {path}")


if __name__ == "__main__":
  app.run(main)
