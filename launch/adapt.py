"""Adapts a trained run to unlabelled targets, and scores it:

python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=vanilla [--objective=cycle] [--dataset=NAME]
"""

import dataclasses
from typing import Any

from absl import flags

from jaxpose import experiment, report, runs
from jaxpose.adapt import settings
from jaxpose.adapt.adapt import MODES
from launch import app

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to adapt, as launch.train wrote it.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_PROTOCOL = flags.DEFINE_string("protocol", "", "Evaluation protocol; the target's or config's own when empty.")
_DATASET = flags.DEFINE_string("dataset", "", "One of the config's targets or data sets; the first target when empty.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Adapt to and score every n-th frame of a clip.", lower_bound=1)
_NOISE = flags.DEFINE_float("noise_px", 0.0, "Normal noise on the target's keypoints, in pixels.", lower_bound=0.0)
_STATE_DIR = flags.DEFINE_string("state_dir", "", "Online: streams saved there go on, and are saved there at the end.")
_MODE = flags.DEFINE_enum("mode", "vanilla", list(MODES), "How to adapt; each mode brings the paper's numbers.")
_RECOMMENDED = flags.DEFINE_bool("recommended", False, "Begin from the mode's recommended numbers, not the paper's.")

# A setting that is not given keeps the mode's own value, or the recommended one.
_SETTINGS = (
  flags.DEFINE_string("objective", None, "Names joined by +, with factors: reprojection*10+bone_lengths*0.5."),
  flags.DEFINE_integer("num_steps", None, "Steps an instance, the paper's T."),
  flags.DEFINE_float("learning_rate", None, "The paper's alpha."),
  flags.DEFINE_integer("every", None, "Online: adapt on every n-th instance."),
  flags.DEFINE_integer("copies", None, "Rows that one step sees."),
  flags.DEFINE_integer("memory", None, "Online: the rows are the last n instances, in turn."),
  flags.DEFINE_list("groups", None, "Parts of the model that adapt."),
  flags.DEFINE_enum("optimizer", None, settings.OPTIMIZERS, "What takes the steps."),
  flags.DEFINE_float("damping", None, "gauss_newton: of the normal equations, relative to their mean diagonal."),
  flags.DEFINE_float("carry", None, "gauss_newton online: the share of an instance's first step that a stream keeps."),
  flags.DEFINE_enum("stream", None, settings.STREAMS, "Online: a clip is a stream, or all that a camera sees is."),
  flags.DEFINE_bool("carry_optimizer", None, "Online: keep the optimizer's moments from instance to instance."),
  flags.DEFINE_float("gate", None, "Adapt only to losses above this quantile of the source's own; 0 for all."),
  flags.DEFINE_float("teacher_decay", None, "Of the moving average of an online stream's weights."),
  flags.DEFINE_float("soft_reset", None, "Online: the share by which each step takes the weights back."),
  flags.DEFINE_enum("reset_to", None, ["teacher", "source"], "Where soft_reset takes the weights back to."),
  flags.DEFINE_integer("chunk", None, "Instances (vanilla) or streams (online) at once; by the memory when absent."),
  flags.DEFINE_integer("seed", None, "Of the random projections."),
)


def main() -> None:
  given: dict[str, Any] = {flag.name: flag.value for flag in _SETTINGS if flag.value is not None}
  given |= {"groups": tuple(given["groups"])} if "groups" in given else {}
  base = settings.recommended(_MODE.value) if _RECOMMENDED.value else settings.AdaptConfig(mode=_MODE.value)
  config = dataclasses.replace(base, **given)
  trained = experiment.load(_WORKDIR.value, _CHECKPOINT.value)
  options = dict(target=_DATASET.value, protocol=_PROTOCOL.value, stride=_STRIDE.value, noise_px=_NOISE.value)
  options["state_dir"] = _STATE_DIR.value
  result = runs.evaluate(trained, _DATA_DIR.value, adapt=config, **options)
  report.write_json(_OUTPUT.value, result)
  print(report.table({config.mode: result}))
  print(report.summary(result))


if __name__ == "__main__":
  app.run(main)
