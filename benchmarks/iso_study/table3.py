"""Table 3: Baseline, Joint, Vanilla and Online by both published objectives, beside what the library recommends."""

from typing import Any

import numpy as np

from benchmarks.iso_study import cells, drawing, page, statistics
from benchmarks.iso_study.cells import Cell, Study
from benchmarks.iso_study.methods import METHODS, PAPER
from jaxpose import report

ROWS = tuple(n for n in METHODS if n not in ("Vanilla-lr-Cyc", "Online-skip-Cyc"))  # those are about speed
METRICS = {"mpjpe_mm": "MPJPE (mm)", "pa_mpjpe_mm": "PA-MPJPE (mm)", "pck_150": "PCK@150 (%)", "auc": "AUC (%)"}


def wanted(study: Study) -> list[Cell]:
  return [c for t in study.targets for name in study.rows(ROWS) for c in cells.of_seeds(study, METHODS[name], t)]


def compute(study: Study) -> dict[str, Any]:
  """{target: {row: {metric: mean, interval, sd over seeds, against Baseline}}}."""
  return {target: rows(study, target, study.rows(ROWS)) for target in study.targets}


def rows(study: Study, target: str, names: tuple[str, ...], noise_px: float = 0.0) -> dict[str, Any]:
  """Each row's numbers on a target, and its comparison with the first row."""
  result, first = {}, None
  for name in names:
    loaded = cells.load_all(study, cells.of_seeds(study, METHODS[name], target, noise_px))
    values, frames, clusters = statistics.table(loaded, list(METRICS))
    first = (loaded, values) if first is None else first
    report.check_comparable(loaded[0], first[0][0])
    result[name] = {"cells": [f["key"] for f in loaded], "seconds_per_instance": _seconds(loaded)}
    draws = statistics.resample(values, frames, clusters) if values[..., 0].size > 1 else None
    for m, metric in enumerate(METRICS):
      by_seed = [f["metrics"][metric] for f in loaded]
      result[name][metric] = {
        "mean": float(np.mean(by_seed)),
        "interval": None if draws is None else statistics.interval(draws[:, m]),
        "sd_over_seeds": float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None,
        "by_seed": by_seed,
      }
      if name != names[0]:
        better = metric in ("pck_150", "auc")
        paired = statistics.compare(values[..., m], first[1][..., m], frames, clusters, higher_is_better=better)
        result[name][metric]["against_first"] = paired
    if name != names[0]:
      worse, count = statistics.worse_groups(values[..., 0], first[1][..., 0], frames, _cameras(loaded[0]))
      result[name]["mpjpe_mm"]["against_first"].update(worse_streams=worse, streams=count)
  return result


def _cameras(report_of_seed: dict[str, Any]) -> list[str]:
  """The stream "camera" of each sequence of a report, in the order of statistics.table: subject/camera."""
  parts = [name.split("/") for name in sorted(report_of_seed["per_sequence"])]
  return [f"{names[0]}/{names[-1]}" for names in parts]


def _seconds(reports: list[dict]) -> float:
  return float(np.median([f["timing"]["seconds_per_instance"] for f in reports]))


def render(numbers: dict[str, Any]) -> page.Section:
  body = [
    page.paragraph(
      "Means over seeds with 95 % intervals from resampling seeds and motions. Differences and ratios are to Baseline, "
      "paired by seed and sequence. A sequence (one motion before one camera, the published online methods' stream) is "
      "made worse when its MPJPE, averaged over seeds, rises; so is a camera's stream (all it sees of a subject). "
      "The last columns are the paper's, on Human3.6M to MPI-INF-3DHP with a network of width 1024: compare ratios, "
      "not millimetres."
    )
  ]
  for target, by_method in numbers.items():
    body += [page.heading(target), page.table(lines(by_method))]
    if len(by_method) > 1:
      body.append(page.picture(_plot(by_method), f"MPJPE over Baseline, {target}"))
  return page.Section("Table 3: what adaptation gains", body)


def lines(by_method: dict[str, Any]) -> list[list[str]]:
  """The table's cells as text."""
  result = [
    [
      "", *METRICS.values(), "difference (mm)", "ratio to Baseline", "sequences made worse",
      "cameras' streams made worse", "paper: MPJPE", "paper: ratio",
    ]
  ]  # fmt: skip
  for name, row in by_method.items():
    against = row["mpjpe_mm"].get("against_first")
    paper = PAPER.get(name, {}).get("mpjpe_mm")
    result.append(
      [
        name,
        *(report.number(row[m]["mean"], row[m]["interval"]) for m in METRICS),
        "" if against is None else report.number(against["difference"], against["difference_interval"]),
        "" if against is None else report.number(against["ratio"], against["ratio_interval"], 3),
        "" if against is None else f"{against['worse_sequences']} of {against['sequences']}",
        "" if against is None else f"{against['worse_streams']} of {against['streams']}",
        report.number(paper),
        report.number(paper and paper / PAPER["Baseline"]["mpjpe_mm"], digits=3),
      ]
    )
  return result


def _plot(by_method: dict[str, Any]):
  names = [n for n in by_method if "against_first" in by_method[n]["mpjpe_mm"]]
  figure = drawing.figure(7.5, 0.9 + 0.36 * len(names))
  axes = figure.subplots()
  axes.axvline(1, color=drawing.COLOURS["Baseline"], linewidth=1, linestyle="--")
  for at, name in enumerate(reversed(names)):
    against = by_method[name]["mpjpe_mm"]["against_first"]
    if against["ratio_interval"]:
      axes.hlines(at, *against["ratio_interval"], color=drawing.COLOURS[name], linewidth=2.5)
    axes.plot(against["ratio"], at, "o", color=drawing.COLOURS[name], markersize=7)
    if name in PAPER:
      axes.plot(PAPER[name]["mpjpe_mm"] / PAPER["Baseline"]["mpjpe_mm"], at, "x", color=drawing.TRUTH, markersize=7)
  axes.plot([], [], "o", color=drawing.COLOURS["Baseline"], label="this study, 95 % interval")
  axes.plot([], [], "x", color=drawing.TRUTH, label="paper, Human3.6M to MPI-INF-3DHP")
  axes.set_yticks(range(len(names)), list(reversed(names)))
  axes.set_ylim(-0.6, len(names) - 0.4)
  axes.set_xlabel("MPJPE as a ratio to Baseline (left of 1 is better)")
  drawing.plain(axes, "x")
  axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize=9)
  return figure
