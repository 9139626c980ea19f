"""The rows of the tables: which run, adapted how; and what the paper reports for them."""

from collections.abc import Iterable
from typing import NamedTuple

from jaxpose.adapt.settings import MODES
from jaxpose.runs import RECOMMENDED, AdaptConfig


class Method(NamedTuple):
  """A row: the kind of run it starts from, and how it is adapted. `seed` and `chunk` are set for each cell."""

  run: str
  adapt: AdaptConfig


def _published(run: str, mode: str) -> Method:
  return Method(run, AdaptConfig(mode=mode))


METHODS = {
  "Baseline": _published("baseline", "none"),
  "Joint-Adv": _published("joint_adversary", "none"),
  "Vanilla-Adv": _published("joint_adversary", "vanilla"),
  "Online-Adv": _published("joint_adversary", "online"),
  "Joint-Cyc": _published("joint_cycle", "none"),
  "Vanilla-Cyc": _published("joint_cycle", "vanilla"),
  "Online-Cyc": _published("joint_cycle", "online"),
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
  return [f"{n}: {_describe(METHODS[n])}" for n in names if METHODS[n].adapt.optimizer == "gauss_newton"]


_STREAMS = {"clip": "a clip", "camera": "what a camera sees of a subject", "subject": "all there is of a subject"}


def _describe(method: Method) -> str:
  settings = method.adapt
  text = [
    f"solves for each instance of the {method.run} run by its keypoints and the person's bones",
    f"poses expected to be wrong by {settings.prior_m:g} m",
    "keypoints by how much they tremble"
    if settings.noise is None
    else f"keypoints by {settings.noise:g} of the person's extent",
  ]
  if MODES[settings.mode].streams:
    text.append(f"a stream is {_STREAMS[settings.stream]} and learns the bones")
  return ", ".join(text) + "."
