"""Trains a lifter:

jaxpose train --config=NAME|FILE.py[:quick] --workdir=W --data_dir=DIR [--config.key=value ...]
  jaxpose train --config=synthetic_baseline:quick --workdir=run --data_dir=data

Run again with the same flags, it resumes from the last checkpoint; ended by SIGTERM, it saves first and exits with 143.
Several processes find each other under SLURM, Open MPI, on a TPU pod and in a JobSet; elsewhere, start one on each
machine with --coordinator=HOST:PORT --num_processes=N --process_id=I. docs/scale.md has job scripts.
"""

import jax
from absl import flags, logging
from ml_collections import config_flags

from jaxpose import config as configs
from jaxpose import experiment
from jaxpose.train import loop
from launch import app, process_flags

_CONFIG = config_flags.DEFINE_config_file(
  "config", None, "A config by its name, or a file; with :quick for a run of a minute.", lock_config=True
)
_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Where checkpoints and logs go; a run found there is resumed.", required=True
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_ALLOW_CHANGED = flags.DEFINE_list(
  "allow_changed", [], "Fields, as config.num_steps, in which a run that is resumed may differ from what it was."
)

flags.adopt_module_key_flags(process_flags)


def main() -> None:
  process_flags.initialize()
  logging.info("process %d of %d, devices: %s", jax.process_index(), jax.process_count(), jax.devices())
  config = configs.from_dict(_CONFIG.value)
  train_clips = experiment.load_training(config, _DATA_DIR.value)
  validation_clips = experiment.load_clips(config.validation, _DATA_DIR.value)
  targets = config.targets if config.method == "iso" else {}  # whose people a discriminator is asked about
  watched = {name: experiment.load_clips(target, _DATA_DIR.value) for name, target in targets.items()}
  loop.train(config, _WORKDIR.value, train_clips, validation_clips, watched=watched, allow_changed=_ALLOW_CHANGED.value)
  if jax.process_index() == 0:
    app.following(f"jaxpose evaluate --workdir={_WORKDIR.value} --data_dir={_DATA_DIR.value} --output=OUT.json")


if __name__ == "__main__":
  flags.mark_flag_as_required("config")
  app.run(main, several=True)
