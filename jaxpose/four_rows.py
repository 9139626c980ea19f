"""The ISO paper's table, Baseline, Joint, Vanilla and Online, and the recommended ways; intervals, pictures."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxpose import bootstrap, plot, report, runs, targets
from jaxpose.data import source
from jaxpose.data.clip import Clip
from jaxpose.experiment import Trained
from jaxpose.runs import AdaptConfig

METRICS = ("mpjpe_mm", "pa_mpjpe_mm", "pck_150", "auc")


class Row(NamedTuple):
  """A line of the table: a run, and how it is adapted."""

  trained: Trained
  adapt: AdaptConfig


def rows(baseline: Trained, joint: Trained) -> dict[str, Row]:
  """The paper's four, with its settings, and the baseline adapted as recommended. Add lines of your own."""
  return {
    "Baseline": Row(baseline, AdaptConfig(mode="none")),
    "Joint": Row(joint, AdaptConfig(mode="none")),
    "Vanilla": Row(joint, AdaptConfig(mode="vanilla")),
    "Online": Row(joint, AdaptConfig(mode="online")),
    **{f"Baseline, {mode}": Row(baseline, config) for mode, config in runs.RECOMMENDED.items()},
  }


def run(table: Mapping[str, Row], data_dir: str, target: str, stride: int = 1, protocol: str = ""):
  """(clips, {name: predictions}, {name: report}) of each row on one target; with the difference to the first.

  predictions: root-relative metres [T, J, 3] a clip. Raises ValueError before any work if the runs' targets differ.
  """
  label, data, clips = runs.load_target(next(iter(table.values())).trained, data_dir, target, stride)
  for name, row in table.items():
    if (its := targets.choose(row.trained, label)[1]) != data:
      raise ValueError(
        f"row {name!r} defines target {label!r} as {its}, the first row as {data}; train both on one config"
      )
  predictions, reports = {}, {}
  for name, row in table.items():
    predictions[name], timing = runs.predict(row.trained, clips, adapt=row.adapt)
    options: dict[str, Any] = dict(protocol=protocol, adapt=row.adapt, built=source.facts(data.dataset, data_dir))
    scored = runs.score(row.trained, label, data, clips, predictions[name], **options)
    reports[name] = {**scored, "timing": timing}
  first = next(iter(reports))
  for name, scores in reports.items():
    if name != first:
      scores["against_first"] = {m: bootstrap.paired_difference(scores, reports[first], m) for m in METRICS}
  return clips, predictions, reports


def text(reports: Mapping[str, dict[str, Any]], markdown: bool = False) -> str:
  """The table: each metric with its 95 % interval, and the paired difference in MPJPE to the first row."""
  lines = [["", *METRICS, "difference (mm)", "seconds"]]
  for name, scores in reports.items():
    paired = scores.get("against_first", {}).get("mpjpe_mm")
    gain = "" if paired is None else report.number(paired["difference"], (paired["low"], paired["high"]))
    cells = [report.cell(scores, m) for m in METRICS]
    lines.append([name, *cells, gain, f"{scores['timing']['seconds_per_instance']:.5f}"])
  return report.grid(lines, markdown)


def pictures(
  folder: str,
  clips: Sequence[Clip],
  predictions: Mapping[str, Sequence[np.ndarray]],
  reports: Mapping[str, dict[str, Any]],
) -> list[str]:
  """Writes intervals.png and gallery.png; returns their paths.

  The gallery shows frames spread evenly over the first method's errors, from the 20th to the 98th percentile, each from
  another motion where there are enough: neither the best nor the worst are picked by hand.
  """
  directory = pathlib.Path(folder)
  directory.mkdir(parents=True, exist_ok=True)
  spans = {
    n: (r["metrics"]["mpjpe_mm"], *(r["intervals"]["mpjpe_mm"] or [r["metrics"]["mpjpe_mm"]] * 2))
    for n, r in reports.items()
  }
  plot.intervals_plot(spans, directory / "intervals.png", reference=next(iter(spans.values()))[0])
  chosen = _spread(clips, next(iter(predictions.values())), count=6)
  examples = [
    plot.Example(
      keypoints_2d=clips[c].keypoints_2d[t],
      joints_3d=_truth(clips[c])[t],
      predictions={name: p[c][t] for name, p in predictions.items()},
      skeleton=clips[c].skeleton,
      title=f"{clips[c].action or clips[c].sequence}, camera {clips[c].camera_id}",
    )
    for c, t in chosen
  ]
  plot.gallery(examples, directory / "gallery.png", view=(0.7, 0.2))  # from the side: errors are mostly in depth
  return [str(directory / "intervals.png"), str(directory / "gallery.png")]


def _truth(clip: Clip) -> np.ndarray:
  if clip.joints_3d is None:
    raise ValueError(f"clip {clip.name} has no joints_3d to score against")
  return clip.joints_3d


def _spread(clips: Sequence[Clip], predicted: Sequence[np.ndarray], count: int) -> list[tuple[int, int]]:
  """(clip, frame) pairs at even percentiles of the error, no motion twice if it can be helped."""
  places, errors = [], []
  for c, (clip, poses) in enumerate(zip(clips, predicted)):
    root = clip.skeleton.root
    truth = _truth(clip)
    truth = truth - truth[:, root : root + 1]
    error = np.linalg.norm(poses - poses[:, root : root + 1] - truth, axis=-1).mean(-1)
    frames = np.flatnonzero(clip.valid)
    places += [(c, int(t)) for t in frames]
    errors += error[frames].tolist()
  ranked = [places[i] for i in np.argsort(errors)]
  chosen: list[tuple[int, int]] = []
  for at in np.linspace(0.2, 0.98, count):
    used = {clips[c].sequence for c, _ in chosen}
    near = sorted(range(len(ranked)), key=lambda i, at=at: abs(i - at * (len(ranked) - 1)))
    chosen.append(next((ranked[i] for i in near if clips[ranked[i][0]].sequence not in used), ranked[near[0]]))
  return chosen
