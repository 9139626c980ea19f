"""What each mechanism of learning from images is worth, on rendered people: one JSON of arms and paired differences.

python -m benchmarks.image_study --data_dir=DIR --workdir=W --output=benchmarks/results/image_study.json
  [--questions=representation,decoding,coupling,wild,augmentation,iso] [--steps=1000]

Arms of a question share trunk, steps, data and seed, and their parameters agree within 5 %. A run that is there is not
trained again. Differences are paired over motions.
"""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict

from configs import synthetic_image_2d, synthetic_image_end_to_end, synthetic_image_multitask, synthetic_image_separate
from jaxpose import bootstrap, checkpoint, experiment, report, runs
from jaxpose import config as configs
from jaxpose.data import source
from jaxpose.models import lifter
from jaxpose.train import loop
from launch import app

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where synthetic_mocap was built.", required=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where runs go.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "The JSON to write; questions that are in it and not asked stay.")
_QUESTIONS = flags.DEFINE_list("questions", [], "All by default.")
_STEPS = flags.DEFINE_integer("steps", 1000, "Of each image network.", lower_bound=1)
_STRIDE = flags.DEFINE_integer("stride", 5, "Score every n-th frame.", lower_bound=1)

PARAMETERS = 0.05  # by how much arms of a question may differ in size
EVEN, ODD = "train_??[02468]_*", "train_??[13579]_*"
_OFF = dict(scale=0.0, roll_rad=0.0, shift=0.0, flip=0.0)


class Question(NamedTuple):
  """arms: {name: config}, the first being what others are compared with; metric, target: that decide."""

  arms: dict[str, Callable[[], ConfigDict]]
  metric: str
  target: str
  detected: bool = False  # whether the metric is of the keypoints


def multitask(**options: Any) -> Callable[[], ConfigDict]:
  """An arm of the multi-task experiment with these method_options, all else alike."""
  return lambda: _with(synthetic_image_multitask.get_config(), readout="integral", **options)


def two_d(backbone: dict | None = None, head: str = "simple", **options: Any) -> Callable[[], ConfigDict]:
  """An arm of the experiment in 2D: another readout, and a backbone that makes up for another head's size."""

  def get() -> ConfigDict:
    config = _with(synthetic_image_2d.get_config(), **options)
    config.method_options.image.update(head=head, **(backbone or {}))
    if head != "simple":
      config.method_options.image.head_options = {}
    return config

  return get


def _with(config: ConfigDict, crop: dict | None = None, **options: Any) -> ConfigDict:
  config.method_options.update(options)
  config.method_options.crop.update(crop or {})
  return config


def end_to_end(wild: bool) -> ConfigDict:
  """With or without images of which the keypoints alone are known; as many images with 3D a step in either."""
  config = synthetic_image_end_to_end.get_config()
  if not wild:
    lab = config.train.lab.to_dict()
    del lab["share"], lab["use_3d"]
    with config.unlocked():
      config.train = lab
    config.batch_size //= 2
  return config


def few_images(**crop: Any) -> ConfigDict:
  """Learning from 500 images whose appearance never changes."""
  config = _with(synthetic_image_end_to_end.get_config(), crop=dict(fresh=False, **crop))
  wild = config.train.wild.to_dict()
  del wild["share"], wild["use_3d"]
  with config.unlocked():
    config.train = dict(wild, fps=1.0, fraction=0.15)
  return config


QUESTIONS = {
  "representation": Question(
    {"heatmap": two_d(), "direct": two_d(None, "direct", readout="direct", weight_2d=30.0)},
    "pck_10_box", "wild", True,
  ),
  "decoding": Question({"dark": two_d()}, "median_px", "wild", True),
  "coupling": Question({n: multitask(coupling=n) for n in ("gt", "stop", "soft")}, "mpjpe_mm", "wild"),
  "wild": Question({"lab": lambda: end_to_end(False), "lab_and_wild_2d": lambda: end_to_end(True)}, "mpjpe_mm", "wild"),
  "augmentation": Question({"off": lambda: few_images(**_OFF), "on": few_images}, "mpjpe_mm", "wild"),
}  # fmt: skip
DECODERS = ("argmax", "quarter", "dark")  # of one network's maps
MODES = ("none", "vanilla", "online")


def train(name: str, config: ConfigDict) -> experiment.Trained:
  """The run of an arm, trained if it is not there."""
  folder = str(pathlib.Path(_WORKDIR.value) / f"{name}_{config.num_steps}")
  made = configs.from_dict(config)
  if not checkpoint.steps(folder) or checkpoint.steps(folder)[-1] < made.num_steps:
    loop.train(
      made, folder, experiment.load_training(made, _DATA_DIR.value),
      experiment.load_clips(made.validation, _DATA_DIR.value),
    )  # fmt: skip
  return experiment.load(folder)


def score(trained: experiment.Trained, target: str, **options: Any) -> dict[str, Any]:
  return runs.evaluate(trained, _DATA_DIR.value, target=target, stride=_STRIDE.value, show_progress=False, **options)


def answer(name: str) -> dict[str, Any]:
  """{"arms": {arm: metrics and parameters}, "differences": {arm: of the first, paired over motions}}."""
  question, reports, sizes = QUESTIONS[name], {}, {}
  for arm, get in question.arms.items():
    config = get()
    config.update(num_steps=_STEPS.value, eval_every=_STEPS.value, log_every=max(1, _STEPS.value // 4))
    config.log_every = next(n for n in range(config.log_every, 0, -1) if config.eval_every % n == 0)
    trained = train(f"{'representation' if name == 'decoding' else name}_{_alias(name, arm)}", config)
    sizes[arm] = lifter.num_parameters(trained.variables["params"])
    if name == "decoding":
      reports |= {decoder: score(_decoded(trained, decoder), question.target) for decoder in DECODERS}
      continue
    scores = score(trained, question.target)
    reports[arm] = scores.get("detected", scores) if question.detected else scores
  return {**_compared(reports, question.metric), "parameters": sizes, "steps": _STEPS.value, "target": question.target}


def _alias(name: str, arm: str) -> str:
  return "heatmap" if name == "decoding" else arm


def _decoded(trained: experiment.Trained, readout: str) -> experiment.Trained:
  """The same weights, read out otherwise."""
  import dataclasses

  options = {**trained.config.method_options, "readout": readout}
  config = dataclasses.replace(trained.config, method_options=options)
  return dataclasses.replace(trained, config=config, method=experiment.build_method(config, trained.codec))


def iso() -> dict[str, Any]:
  """A lifter on detections of held-out folds, adapted to detections of new views: the modes against none."""
  folds = []
  for name, left_out in (("even", EVEN), ("odd", ODD)):
    config = synthetic_image_2d.get_config()
    config.update(num_steps=_STEPS.value, eval_every=_STEPS.value, log_every=_STEPS.value)
    config.train.exclude = (left_out,)
    train(f"fold_{name}", config)
    folds.append(str(pathlib.Path(_WORKDIR.value) / f"fold_{name}_{_STEPS.value}"))
  config = synthetic_image_separate.get_config()
  config.update(num_steps=5000, eval_every=5000, log_every=500)
  config.train.detectors = tuple(folds)
  for data in (config.validation, *config.targets.values()):
    data.detectors = (folds[0],)
  config.targets.wild.rig = "high_low_close"
  trained = train("separate", config)
  reports = {mode: score(trained, "wild", adapt=runs.RECOMMENDED[mode] if mode != "none" else None) for mode in MODES}
  return {**_compared(reports, "mpjpe_mm"), "steps": _STEPS.value, "target": "wild, rig high_low_close"}


def _compared(reports: dict[str, dict], metric: str) -> dict[str, Any]:
  first, *others = reports
  return {
    "metric": metric,
    "arms": {arm: {"metrics": r["metrics"], "intervals": r["intervals"]} for arm, r in reports.items()},
    "differences": {
      arm: {k: v for k, v in bootstrap.paired_difference(reports[arm], reports[first], metric).items()
            if k != "per_sequence"}
      for arm in others
    },
  }  # fmt: skip


def main() -> None:
  asked = _QUESTIONS.value or [*QUESTIONS, "iso"]
  for name in asked:
    if name not in (*QUESTIONS, "iso"):
      raise ValueError(f"--questions={name}; there are {', '.join((*QUESTIONS, 'iso'))}")
  path = _OUTPUT.value and pathlib.Path(_OUTPUT.value)
  done: dict[str, Any] = report.read_json(path)["answers"] if path and path.exists() else {}
  for name in asked:
    done[name] = iso() if name == "iso" else answer(name)
    rows = {arm: r for arm, r in done[name]["arms"].items()}
    print(f"{name}, {done[name]['steps']} steps, on {done[name]['target']}\n{report.table(rows)}")
    for arm, difference in done[name]["differences"].items():
      print(f"  {arm}: {report.number(difference['difference'], [difference['low'], difference['high']])}")
    sizes = list(done[name].get("parameters", {}).values())
    if sizes and max(sizes) > (1 + PARAMETERS) * min(sizes):
      raise ValueError(f"{name}: arms of {done[name]['parameters']} parameters differ by more than 5 %")
    if path:
      facts = source.facts("synthetic_mocap", _DATA_DIR.value)
      report.write_json(path, {"answers": done, "metrics": {}, "fingerprint": {**facts, "stride": _STRIDE.value}})


if __name__ == "__main__":
  app.run(main)
