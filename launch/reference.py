"""Builds data, trains, scores, adapts, exports, scores the exported program, and compares with stored results:

jaxpose reference --output=OUT [--manual_dir=RAW_CMU] [--seeds=1] [--full] [--stored=FILE.json [--store]]
  jaxpose reference --output=reference

CMU motion capture where its raw files are given, else procedural people. OUT/index.html has all of it on one page.
"""

import dataclasses
import os
import pathlib

from absl import flags

from configs import cmu_baseline, synthetic_baseline
from data_builders import build
from jaxpose import config as configs
from jaxpose import reference, report
from launch import app

_OUTPUT = flags.DEFINE_string("output", None, "The folder to write to.", required=True)
_MANUAL_DIR = flags.DEFINE_string("manual_dir", None, "CMU's raw files, as build_data takes them.")
_SEEDS = flags.DEFINE_integer("seeds", 1, "How many runs are trained.", lower_bound=1)
_FULL = flags.DEFINE_bool("full", False, "As long as the config says, instead of its quick form.")
_STEPS = flags.DEFINE_integer("steps", None, "Training steps, in place of the config's.", lower_bound=100)
_STRIDE = flags.DEFINE_integer("stride", 90, "Score and adapt to every n-th frame.", lower_bound=1)
_STORED = flags.DEFINE_string("stored", "", "Results of the same recipe to compare with, or with --store to write.")
_STORE = flags.DEFINE_bool("store", False, "Write what was measured to --stored instead of comparing.")
_TARGET = "new_poses_and_views"


def main() -> None:
  if _STORE.value and not _STORED.value:
    raise ValueError("--store needs --stored=FILE.json, the file to write")
  folder = pathlib.Path(os.path.abspath(_OUTPUT.value))
  dataset, module = ("cmu_mocap", cmu_baseline) if _MANUAL_DIR.value else ("synthetic_mocap", synthetic_baseline)
  built, data_dir = build.build(dataset, folder / "data", _MANUAL_DIR.value), str(folder / "data")
  values = module.get_config(None if _FULL.value else "quick")
  values.num_steps = _STEPS.value or values.num_steps
  values.log_every = values.eval_every = min(values.eval_every, values.num_steps)
  config, seeds = configs.from_dict(values), {}
  for seed in range(_SEEDS.value):
    chosen = dataclasses.replace(config, seed=seed)
    seeds[seed] = reference.run(chosen, data_dir, folder / f"seed_{seed}", _TARGET, _STRIDE.value)
  now = reference.collected(config, seeds)
  report.write_json(folder / "results.json", now)
  if _STORE.value:
    report.write_json(_STORED.value, now)
  verdicts = reference.compared(now, reference.read(_STORED.value)) if _STORED.value and not _STORE.value else []
  reference.page(folder / "index.html", now, seeds[0], verdicts, folder / "seed_0", build.table(built))
  print(report.table(seeds[0]))
  print("\n".join(f"{'ok' if ok else 'NOT ok'}  {name}: {text}" for name, text, ok in verdicts))
  app.following(f"open {folder / 'index.html'}")
  if not all(ok for _, _, ok in verdicts):
    raise ValueError(f"{_OUTPUT.value} differs from what is stored in {_STORED.value}")


if __name__ == "__main__":
  app.run(main)
