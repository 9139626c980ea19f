"""Scores a trained run:

jaxpose evaluate --workdir=W --data_dir=DIR --output=OUT.json [--protocol=NAME]
  [--dataset=NAME [--splits= --rig= --fps=]]
  jaxpose evaluate --workdir=run --data_dir=data --output=plain.json
"""

from typing import Any

from absl import flags

from jaxpose import experiment, report, runs
from launch import app, target_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to evaluate, as launch.train wrote it.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_PROTOCOL = flags.DEFINE_string("protocol", "", "Evaluation protocol; the config's own when empty.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "", "best, latest, or a step; what the config selects when empty.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Score every n-th frame of a clip.", lower_bound=1)
_NOISE = flags.DEFINE_float("noise_px", 0.0, "Normal noise on the target's keypoints, in pixels.", lower_bound=0.0)
_OVERLAP = flags.DEFINE_integer(
  "overlap", None, "Frames that neighbouring windows share, and blend; the config's own by default.", lower_bound=0
)
_FLIP = flags.DEFINE_bool("flip", True, "Average with the prediction for the mirrored input.")

flags.adopt_module_key_flags(target_flags)


def main() -> None:
  trained = experiment.load(_WORKDIR.value, _CHECKPOINT.value)
  if _OVERLAP.value is not None:
    trained = runs.with_overlap(trained, _OVERLAP.value)
  options: dict[str, Any] = dict(target=target_flags.target(trained), protocol=_PROTOCOL.value, stride=_STRIDE.value)
  options["noise_px"] = _NOISE.value
  result = runs.evaluate(trained, _DATA_DIR.value, flip=_FLIP.value, **options)
  report.write_json(_OUTPUT.value, result)
  print(report.table({"evaluate": result}))
  print(report.summary(result))
  for name, value in result.get("many", {}).items():
    print(f"{name} {value:.3f}")
  places = f"--workdir={_WORKDIR.value} --data_dir={_DATA_DIR.value}"
  app.following(f"jaxpose adapt {places} --mode=vanilla --recommended --output=ADAPTED.json")


if __name__ == "__main__":
  app.run(main)
