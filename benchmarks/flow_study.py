"""Flows on CMU over seeds: what guidance by Gauss-Newton gains, inside the flow and after it, and what N costs:

python -m benchmarks.flow_study --data_dir=DIR --workdir=W --output=OUT.json [--seeds=5] [--steps=50000] [--stride=10]

Trains cmu_flow once a seed (a run that is there is not trained again), and scores 1 to 200 hypotheses on both targets:
unguided, guided after sampling, and inside. All rows of a seed share noise, and all rows the clips.
"""

import functools
import time
from typing import Any

import numpy as np
from absl import flags

from configs import cmu_flow
from jaxpose import config as configs
from jaxpose import evaluate, experiment, models, report, runs
from jaxpose.adapt import person
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.methods import flow
from jaxpose.protocols import many
from jaxpose.sampling.guidance import WHERE, Guide
from jaxpose.train import loop
from launch import app

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put cmu_mocap.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where the runs go.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_SEEDS = flags.DEFINE_integer("seeds", 5, "How many runs.", lower_bound=1)
_STRIDE = flags.DEFINE_integer("stride", 10, "Score every n-th frame.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 50000, "Training steps of each run.", lower_bound=1)
COUNTS = (1, 5, 20, 40, 200)
SPREAD = 20  # hypotheses of the rows with guidance


def train(seed: int) -> Trained:
  """The run of a seed, trained unless it is there."""
  values = cmu_flow.get_config()
  values.seed, values.num_steps = seed, _STEPS.value
  values.eval_every = min(values.eval_every, _STEPS.value)
  values.log_every = min(values.log_every, values.eval_every)
  config, workdir = configs.from_dict(values), f"{_WORKDIR.value}/{seed}"
  load = functools.partial(experiment.load_clips, data_dir=_DATA_DIR.value)
  loop.train(config, workdir, load(config.train), load(config.validation))
  return experiment.load(workdir)


def graph(trained: Trained, count: int, where: str = "") -> InferenceGraph:
  """`count` hypotheses of a run, guided where that is asked for by the bones of its source."""
  config, options = trained.config, dict(trained.config.method_options)
  options.pop("rule", None)
  lifter = models.build(config.model, num_joints=trained.codec.skeleton.num_joints, **config.model_options)
  guide = None
  if where:
    lengths = np.asarray(trained.statistics["bone_lengths_m"], np.float64)
    guide = Guide(where, person.prior(trained.codec.skeleton, lengths))
  return flow.sampling(lifter, trained.codec, **{**options, "count": count, "guide": guide})


def row(trained: Trained, clips: list[Clip], made: InferenceGraph) -> dict[str, Any]:
  """The measures of the hypotheses, the MPJPE of their mean, by clip, and seconds a frame without compilation."""
  sample = functools.partial(evaluate.sample, made, trained.variables)
  sample(clips[:1])  # compiles
  began = time.perf_counter()
  poses = sample(clips)
  seconds = (time.perf_counter() - began) / sum(map(len, clips))
  errors = {c.name: _mpjpe_mm(x.mean(0), c) for c, x in zip(clips, poses)}
  return {**many.measures(clips, poses), "mean_mpjpe_mm": errors, "seconds_per_frame": seconds}


def _mpjpe_mm(pose: np.ndarray, clip: Clip) -> float:
  truth, root = np.asarray(clip.joints_3d), clip.skeleton.root
  off = pose - (truth - truth[:, root : root + 1])
  return float(1000 * np.linalg.norm(off, axis=-1)[clip.valid].mean())


def main() -> None:
  results: dict[str, Any] = {}
  for seed in range(_SEEDS.value):
    trained = train(seed)
    for target in trained.config.targets:
      clips = runs.load_target(trained, _DATA_DIR.value, target, _STRIDE.value)[2]
      rows = {f"unguided {n}": graph(trained, n) for n in COUNTS}
      rows |= {f"{where} {SPREAD}": graph(trained, SPREAD, where) for where in WHERE}
      for name, made in rows.items():
        results[f"{target}/{name}/seed {seed}"] = result = row(trained, clips, made)
        mean = np.mean(list(result["mean_mpjpe_mm"].values()))
        print(f"{target} {name} seed {seed}: {mean:.1f} mm, ECE {result['calibration_error']:.3f}", flush=True)
      report.write_json(_OUTPUT.value, results)


if __name__ == "__main__":
  app.run(main)
