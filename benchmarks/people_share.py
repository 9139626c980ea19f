"""Which share of simulated people beside CMU's actors helps most, on people whom the reported table does not have.

python -m benchmarks.people_share --data_dir=DIR --workdir=W --output=OUT.json [--steps=15000] [--seeds=0,1,2]
python -m benchmarks.people_share ... --report

DIR is that of benchmarks.adaptation_study, whose runs are trained here with people beside the actors. The rule, written
before any run: the mix with the least mean MPJPE over the development targets (CMU 02 and 03, each by runs that did
not see them, old views and new) and seeds. `--report` then trains that mix and none at all on 02 and 03, and scores
both on the targets left out so far: CMU 01 and another studio. Each run's cells are kept in --output as they come, so
that an interrupted study goes on; --mixes=NAME,NAME trains a part of it.
"""

import json
import pathlib

import numpy as np
from absl import flags

from benchmarks.adaptation_study import targets
from configs import cmu_people
from jaxpose import checkpoint, experiment, metrics, runs, whole_file
from jaxpose import config as configs
from jaxpose.config import Config
from jaxpose.train import loop
from launch import app

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where the data sets are.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where runs go.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The cells, JSON; those it has are not computed again.", required=True)
_SEEDS = flags.DEFINE_list("seeds", ["0", "1", "2"], "Of the runs.")
_STEPS = flags.DEFINE_integer("steps", 15000, "Training steps.")
_MIXES = flags.DEFINE_list("mixes", [], "Some of the mixes; all when empty.")
_REPORT = flags.DEFINE_bool("report", False, "Score the chosen mix, and none, on the targets left out.")

MIXES = {  # (scenario, share of the rows)
  "none": None,
  **{f"{s} {share:g}": (s, share) for s in cmu_people.SCENARIOS for share in (0.1, 0.25, 0.5, 0.75)},
}
REPORTED = "01"  # the source of the targets that the table has


def chosen_targets(reported: bool) -> dict[str, targets.Target]:
  """Targets of actors; none of simulated people, whom the runs have seen."""
  every = {name: target for name, target in targets.TARGETS.items() if target.source != "synthetic"}
  return {name: target for name, target in every.items() if (target.source == REPORTED) == reported}


def config_of(mix: str, source: str, steps: int, seed: int) -> Config:
  """The run of a mix on every CMU subject but `source`."""
  config = targets.values_of(source, steps, seed)
  if MIXES[mix]:
    scenario, share = MIXES[mix]
    cmu_people.with_people(config, share, scenario)
  return configs.from_dict(config)


def trained(mix: str, source: str, steps: int, seed: int) -> experiment.Trained:
  """The run, trained first where it is not there or not complete."""
  config, folder = config_of(mix, source, steps, seed), f"{_WORKDIR.value}/{mix}_{source}_{steps}_{seed}"
  if steps not in checkpoint.steps(folder):
    clips = experiment.load_training(config, _DATA_DIR.value)
    loop.train(config, folder, clips, experiment.load_clips(config.validation, _DATA_DIR.value))
  return experiment.load(folder)


def errors(run: experiment.Trained, target: targets.Target) -> dict[str, float]:
  clips = targets.clips(_DATA_DIR.value, target)
  poses, _ = runs.predict(run, clips)
  root = run.codec.skeleton.root
  pairs = [[x[c.valid] - x[c.valid][:, [root]] for x in (p, c.joints_3d)] for p, c in zip(poses, clips)]
  predicted, truth = (np.concatenate(side) for side in zip(*pairs))
  return {
    "mpjpe_mm": 1000 * float(np.mean(metrics.mpjpe(predicted, truth))),
    "pa_mpjpe_mm": 1000 * float(np.mean(metrics.pa_mpjpe(predicted, truth))),
  }


def best(cells: list[dict]) -> str:
  """The mix with the least mean MPJPE. Raises ValueError where a mix lacks cells that another one has."""
  means, sizes = {}, {}
  for mix in {cell["mix"] for cell in cells}:
    errors_mm = [cell["mpjpe_mm"] for cell in cells if cell["mix"] == mix]
    means[mix], sizes[mix] = float(np.mean(errors_mm)), len(errors_mm)
  if not means or len(set(sizes.values())) > 1:
    raise ValueError(f"the mixes have different numbers of cells, {sizes}: run the study without --report to its end")
  return min(means, key=lambda mix: means[mix])


def text(cells: list[dict]) -> str:
  """MPJPE / PA-MPJPE in mm, the mean over seeds: a mix a row, a target a column."""
  names, mixes = (list(dict.fromkeys(cell[key] for cell in cells)) for key in ("target", "mix"))
  lines = ["| mix | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
  for mix in mixes:
    shown = []
    for name in names:
      those = [cell for cell in cells if cell["mix"] == mix and cell["target"] == name]
      means = [np.mean([c[key] for c in those]) for key in ("mpjpe_mm", "pa_mpjpe_mm")] if those else []
      shown.append(" / ".join(f"{mean:.1f}" for mean in means))
    lines.append(f"| {mix} | " + " | ".join(shown) + " |")
  return "\n".join(lines)


def main() -> None:
  path, steps = pathlib.Path(_OUTPUT.value), _STEPS.value
  cells = json.loads(path.read_text()) if path.exists() else []
  of_steps = [c for c in cells if c["steps"] == steps]
  development = [c for c in of_steps if c["target"] in chosen_targets(reported=False)]
  mixes = ["none", best(development)] if _REPORT.value else _MIXES.value or list(MIXES)
  for mix in dict.fromkeys(mixes):
    for seed in map(int, _SEEDS.value):
      for name, target in chosen_targets(_REPORT.value).items():
        about = {"mix": mix, "target": name, "seed": seed, "steps": steps}
        if not any(all(cell[key] == value for key, value in about.items()) for cell in cells):
          cells.append({**about, **errors(trained(mix, target.source, steps, seed), target)})
          whole_file.write(path, ("[\n" + ",\n".join(map(json.dumps, cells)) + "\n]\n").encode())
  print(text([c for c in cells if c["steps"] == steps and c["target"] in chosen_targets(_REPORT.value)]))


if __name__ == "__main__":
  app.run(main)
