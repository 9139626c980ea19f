"""Writes a trained run as two small files, which `jaxpose.load` and `launch.lift --checkpoint=` take:

jaxpose export_weights --workdir=W --output=DIR
  jaxpose export_weights --workdir=run --output=small
"""

from absl import flags

from jaxpose import experiment, weights
from launch import app

_WORKDIR = flags.DEFINE_string("workdir", None, "The run, as launch.train wrote it.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write to.", required=True)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")


def main() -> None:
  trained = experiment.load(_WORKDIR.value, _CHECKPOINT.value)
  size = weights.write(_OUTPUT.value, trained)
  print(f"wrote {_OUTPUT.value}: {trained.config.model} of step {trained.step}, {size / 1e6:.2f} MB")
  app.following(f"jaxpose lift --sample --checkpoint={_OUTPUT.value} --output=DIR")


if __name__ == "__main__":
  app.run(main)
