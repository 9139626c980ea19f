"""The main job on embedded data, in minutes on two CPU cores: jaxpose quickstart [--workdir=W]

  jaxpose quickstart --workdir=quickstart

Builds synthetic_mocap, trains a supervised baseline and ISO's joint model on its source scenario, adapts them to a
target scenario they never saw, and writes the table, its JSON and pictures. Run again, it resumes.
"""

import os

from absl import flags

from configs import synthetic_baseline, synthetic_iso
from data_builders import build
from jaxpose import config as configs
from jaxpose import experiment, four_rows, report
from jaxpose.train import loop
from launch import app

_WORKDIR = flags.DEFINE_string("workdir", "quickstart", "Where data, checkpoints, pictures and results go.")
_STEPS = flags.DEFINE_integer("steps", 4000, "Training steps of each model.", lower_bound=100)
_STRIDE = flags.DEFINE_integer("stride", 90, "Adapt to and score every n-th frame of the target.", lower_bound=1)
_TARGET = "new_poses_and_views"


def main() -> None:
  folder = os.path.abspath(_WORKDIR.value)
  data_dir = os.path.join(folder, "data")
  print(build.table(build.build("synthetic_mocap", data_dir)))
  trained = []
  for name, module in (("baseline", synthetic_baseline), ("joint", synthetic_iso)):
    values = module.get_config("quick")
    values.num_steps, values.eval_every = _STEPS.value, min(2000, _STEPS.value // 500 * 500 or _STEPS.value)
    values.log_every = min(values.log_every, values.eval_every)
    config, workdir = configs.from_dict(values), os.path.join(folder, name)
    print(f"training {name} for {config.num_steps} steps")
    train_clips = experiment.load_training(config, data_dir)
    loop.train(config, workdir, train_clips, experiment.load_clips(config.validation, data_dir))
    trained.append(experiment.load(workdir))
  table = four_rows.rows(*trained)
  clips, predictions, reports = four_rows.run(table, data_dir, _TARGET, _STRIDE.value)
  report.write_json(os.path.join(folder, "results.json"), reports)
  paths = four_rows.pictures(folder, clips, predictions, reports)
  print(
    f"\nMPJPE and PA-MPJPE in mm, PCK and AUC in %, with 95 % intervals over motions; target: {_TARGET}, synthetic data"
  )
  print(four_rows.text(reports))
  print(report.summary(next(iter(reports.values()))))
  print("\n".join(["wrote", os.path.join(folder, "results.json"), *paths]))
  app.following(f"jaxpose lift --sample --checkpoint={os.path.join(folder, 'baseline')} --output=DIR")


if __name__ == "__main__":
  app.run(main)
