"""The rows of the tables: which run, adapted how; and what the paper reports for them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from jaxpose.adapt.adapt import MODES

from jaxpose.adapt import weighted
from jaxpose.runs import RECOMMENDED, AdaptConfig


class Method(NamedTuple):
  """A row: the kind of run it starts from, and how it is adapted. `seed` and `chunk` are set for each cell."""

  run: str
  adapt: AdaptConfig


def _published(run: str, mode: str) -> Method:
  return Method(run, AdaptConfig(mode=mode))


# What the recommended settings minimise, by first-order steps.
_BY_ADAM: Any = dict(objective=RECOMMENDED["vanilla"].objective, optimizer="adam")

METHODS = {
  "Baseline": _published("baseline", "none"),
  "Joint-Adv": _published("joint_adversary", "none"),
  "Vanilla-Adv": _published("joint_adversary", "vanilla"),
  "Online-Adv": _published("joint_adversary", "online"),
  "Joint-Cyc": _published("joint_cycle", "none"),
  "Vanilla-Cyc": _published("joint_cycle", "vanilla"),
  "Online-Cyc": _published("joint_cycle", "online"),
  "Vanilla-Adam": Method(
    "baseline", AdaptConfig(**_BY_ADAM, mode="vanilla", num_steps=20, learning_rate=2e-4, copies=1)
  ),
  "Online-Adam": Method(
    "baseline", AdaptConfig(**_BY_ADAM, mode="online", learning_rate=3e-4, memory=16, copies=16, stream="camera")
  ),
  "Vanilla-GN": Method("baseline", RECOMMENDED["vanilla"]),
  "Online-GN": Method("baseline", RECOMMENDED["online"]),
  "Vanilla-lr-Cyc": _published("joint_cycle", "vanilla_lr"),
  "Online-skip-Cyc": _published("joint_cycle", "online_skip"),
}

# Human3.6M to MPI-INF-3DHP, Zhang et al. 2020, Tables 3 and 4.
PAPER = {
  "Baseline": {"pck_150": 78.9, "auc": 43.7, "mpjpe_mm": 103.8, "seconds_per_instance": 0.003},
  "Joint-Adv": {"pck_150": 80.9, "auc": 46.1, "mpjpe_mm": 97.0},
  "Vanilla-Adv": {"pck_150": 82.1, "auc": 47.2, "mpjpe_mm": 95.3},
  "Online-Adv": {"pck_150": 83.0, "auc": 47.6, "mpjpe_mm": 93.1},
  "Joint-Cyc": {"pck_150": 81.3, "auc": 46.9, "mpjpe_mm": 96.2},
  "Vanilla-Cyc": {"pck_150": 82.5, "auc": 47.6, "mpjpe_mm": 94.1, "seconds_per_instance": 0.244},
  "Online-Cyc": {"pck_150": 83.6, "auc": 48.2, "mpjpe_mm": 92.2, "seconds_per_instance": 0.027},
  "Vanilla-lr-Cyc": {"pck_150": 82.1, "auc": 47.3, "mpjpe_mm": 94.6, "seconds_per_instance": 0.027},
  "Online-skip-Cyc": {"pck_150": 83.0, "auc": 48.0, "mpjpe_mm": 92.7, "seconds_per_instance": 0.004},
}


def footnotes(names: Iterable[str]) -> list[str]:
  """What the names of rows that are not the paper's stand for, a line each."""
  return [f"{n}: {_describe(METHODS[n])}" for n in names if METHODS[n].adapt.objective]


def _describe(method: Method) -> str:
  own = method.adapt.resolved()
  goal = " + ".join(
    f"{name.replace('_', ' ')}{'' if factor == 1 else f' x {factor:g}'}"
    for name, factor in weighted.parse(own.objective).items()
  )
  text = [f"adapts the {method.run} run to {goal}", f"{own.num_steps} step{'s' * (own.num_steps != 1)} an instance"]
  if own.optimizer == "gauss_newton":
    text[1] = text[1].replace("step", "Gauss-Newton step")
    text.append(f"damping {own.damping:g}")
  else:
    text += [f"{own.optimizer.capitalize()}, learning rate {own.learning_rate:g}", f"{own.copies} rows a step"]
  if MODES[own.mode].online:
    text.append("a stream is what a camera sees of a subject")
    if own.stream == "clip":
      text[-1] = "a stream is a clip"
    if own.optimizer == "gauss_newton":
      text.append(f"it keeps {own.carry:g} of an instance's first step")
  return ", ".join(text) + "."
