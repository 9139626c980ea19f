"""Adapts a trained run to unlabelled targets, and scores it:

jaxpose adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=vanilla [--objective=cycle]
  [--dataset=NAME [--splits= --rig= --fps=]]
  jaxpose adapt --workdir=run --data_dir=data --output=adapted.json --mode=vanilla --recommended
"""

from typing import Any

from absl import flags

from jaxpose import experiment, report, runs
from launch import adapt_flags, app, target_flags

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to adapt, as launch.train wrote it.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_PROTOCOL = flags.DEFINE_string("protocol", "", "Evaluation protocol; the target's or config's own when empty.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Adapt to and score every n-th frame of a clip.", lower_bound=1)
_NOISE = flags.DEFINE_float("noise_px", 0.0, "Normal noise on the target's keypoints, in pixels.", lower_bound=0.0)
_STATE_DIR = flags.DEFINE_string("state_dir", "", "Online: streams saved there go on, and are saved there at the end.")

flags.adopt_module_key_flags(adapt_flags)
flags.adopt_module_key_flags(target_flags)


def main() -> None:
  config = adapt_flags.config()
  trained = experiment.load(_WORKDIR.value, _CHECKPOINT.value)
  options: dict[str, Any] = dict(target=target_flags.target(trained), protocol=_PROTOCOL.value, stride=_STRIDE.value)
  options["noise_px"] = _NOISE.value
  options["state_dir"] = _STATE_DIR.value
  result = runs.evaluate(trained, _DATA_DIR.value, adapt=config, **options)
  report.write_json(_OUTPUT.value, result)
  print(report.table({config.mode: result}))
  print(report.summary(result))
  app.following(f"jaxpose compare {_OUTPUT.value} PLAIN.json (of jaxpose evaluate)")


if __name__ == "__main__":
  app.run(main)
