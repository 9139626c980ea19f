"""Adapts a trained run to unlabelled targets, and scores it:

python -m launch.adapt --workdir=W --data_dir=DIR --output=OUT.json --mode=vanilla [--objective=cycle] [--dataset=NAME]
"""

from typing import Any

from absl import flags

from jaxpose import experiment, report, runs
from jaxpose.adapt.adapt import MODES, PAPER_GROUPS
from launch import app

_WORKDIR = flags.DEFINE_string("workdir", None, "The run to adapt, as launch.train wrote it.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where launch.build_data put the data sets.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The report to write, JSON.", required=True)
_PROTOCOL = flags.DEFINE_string("protocol", "", "Evaluation protocol; the config's own when empty.")
_DATASET = flags.DEFINE_string(
  "dataset", "", "One of the config's targets or its data sets; the first target when empty."
)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "best", "best, latest, or a step.")
_STRIDE = flags.DEFINE_integer("stride", 1, "Adapt to and score every n-th frame of a clip.", lower_bound=1)

_MODE = flags.DEFINE_enum("mode", "vanilla", list(MODES), "How to adapt; each mode brings the paper's numbers.")
_OBJECTIVE = flags.DEFINE_string(
  "objective", "", "adversary, cycle, reprojection, bone_lengths, or several joined by +."
)
_NUM_STEPS = flags.DEFINE_integer("num_steps", None, "Steps an instance, the paper's T; the mode's own when absent.")
_LEARNING_RATE = flags.DEFINE_float("learning_rate", None, "The paper's alpha; the mode's own when absent.")
_EVERY = flags.DEFINE_integer("every", None, "Online: adapt on every n-th instance; the mode's own when absent.")
_COPIES = flags.DEFINE_integer("copies", 16, "Rows that one step sees.")
_MEMORY = flags.DEFINE_integer("memory", 1, "Online: the rows are the last n instances, in turn.")
_GROUPS = flags.DEFINE_list("groups", list(PAPER_GROUPS), "Parts of the model that adapt.")
_OPTIMIZER = flags.DEFINE_enum("optimizer", "adam", ["adam", "sgd"], "What takes the steps.")
_CHUNK = flags.DEFINE_integer("chunk", 16, "Instances (vanilla) or streams (online) adapted side by side.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the random projections.")


def main() -> None:
  flags_of: dict[str, Any] = dict(
    mode=_MODE, objective=_OBJECTIVE, num_steps=_NUM_STEPS, learning_rate=_LEARNING_RATE, every=_EVERY
  )
  flags_of.update(copies=_COPIES, memory=_MEMORY, optimizer=_OPTIMIZER, chunk=_CHUNK, seed=_SEED)
  values: dict[str, Any] = {name: flag.value for name, flag in flags_of.items()}
  config = runs.AdaptConfig(groups=tuple(_GROUPS.value), **values)
  trained = experiment.load(_WORKDIR.value, _CHECKPOINT.value)
  options = dict(target=_DATASET.value, protocol=_PROTOCOL.value, stride=_STRIDE.value)
  result = runs.evaluate(trained, _DATA_DIR.value, adapt=config, **options)
  report.write_json(_OUTPUT.value, result)
  print(report.table({config.mode: result}))
  print(report.summary(result))


if __name__ == "__main__":
  app.run(main)
