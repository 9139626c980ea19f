"""Figure 5: limb-length ratios of predictions against the truth, left and right."""

from typing import Any

import numpy as np
from scipy import stats

from benchmarks.iso_study import cells, drawing, limbs, page
from benchmarks.iso_study.cells import Cell, Study
from benchmarks.iso_study.methods import METHODS
from jaxpose import report

NAMES = ("Baseline", "Joint-Cyc", "Online-Cyc", "Vanilla-GN", "Online-GN")
GRID = np.linspace(0.0, 3.0, 1501)


def wanted(study: Study) -> list[Cell]:
  return [c for t in study.targets for name in study.rows(NAMES) for c in cells.of_seeds(study, METHODS[name], t)]


def compute(study: Study) -> dict[str, Any]:
  """{target: {"truth", each method: {"ratios", "asymmetry", "density"}}}, over the scored frames of all seeds."""
  return {target: _target(study, target) for target in study.targets}


def _target(study: Study, target: str) -> dict[str, Any]:
  clips = study.scored(target)
  skeleton = clips[0].skeleton
  poses = np.concatenate([c.joints_3d[c.valid] for c in clips if c.joints_3d is not None])
  truth = limbs.ratios(poses, skeleton)
  result = {"truth": _numbers(truth, truth)}
  for name in study.rows(NAMES):
    of_method = cells.of_seeds(study, METHODS[name], target)
    predicted = [
      np.concatenate([p[c.valid] for p, c in zip(cells.predictions(study, one), clips)]) for one in of_method
    ]
    by_part = limbs.ratios(np.concatenate(predicted), skeleton)
    repeated = {part: np.tile(values, len(of_method)) for part, values in truth.items()}
    curves = {part: density(values) for part, values in by_part.items()}
    result[name] = {
      **_numbers(by_part, repeated),
      "density": curves,
      "cells": [cells.key(study, one) for one in of_method],
    }
  return result


def _numbers(ratios: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> dict[str, Any]:
  return {"ratios": limbs.summary(ratios, truth), "asymmetry": limbs.asymmetry(ratios)}


def density(values: np.ndarray) -> list[float]:
  """A Gaussian kernel estimate of the density on GRID, by Silverman's robust rule of thumb (1986, eq. 3.31).

  The deviation alone would let a few poses with a short limb flatten a narrow peak.
  """
  deviation = values.std()
  low, high = np.quantile(values, [0.25, 0.75])
  spread = min(deviation, (high - low) / 1.34) or deviation
  width = max(0.9 * spread * len(values) ** -0.2, 2 * (GRID[1] - GRID[0]))  # no narrower than the grid shows
  return np.round(stats.gaussian_kde(values, width / values.std(ddof=1))(GRID), 4).tolist()


def render(numbers: dict[str, Any]) -> page.Section:
  body = [
    page.paragraph(
      "Distribution of the ratio of upper to lower limb over all scored frames and seeds. The truth's poses have one "
      "skeleton each person, so its ratios are a line where the target has one person. In the table: median, and in "
      "brackets the 5th and 95th percentile; the mean distance of a pose's ratio from its true one, over all five "
      "ratios; and the asymmetry of arms and legs, the mean of |log(left / right)|."
    )
  ]
  for target, by_method in numbers.items():
    parts = list(by_method["truth"]["ratios"])
    sides = list(by_method["truth"]["asymmetry"])
    lines = [["", *parts, "mean distance", *(f"asymmetry, {s.split()[-1]}" for s in sides)]]
    for name, row in by_method.items():
      cells_ = [row["ratios"][p] for p in parts]
      spread = [report.number(c["median"], (c["p05"], c["p95"]), 2) for c in cells_]
      error = np.mean([c["error"] for c in cells_])
      lines.append([name, *spread, f"{error:.3f}", *(f"{row['asymmetry'][s]:.3f}" for s in sides)])
    body += [page.heading(target), page.table(lines), page.picture(_plot(by_method), f"limb-length ratios, {target}")]
  return page.Section("Figure 5: limb-length ratios", body)


def _plot(by_method: dict[str, Any]):
  figure = drawing.figure(10, 5.6)
  parts = list(by_method["truth"]["ratios"])
  places = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]
  grid = figure.subplots(2, 3)
  grid[1, 2].set_axis_off()
  for part, place in zip(parts, places):
    axes = grid[place]
    truth = by_method["truth"]["ratios"][part]
    axes.axvspan(truth["p05"], truth["p95"], color=drawing.TRUTH, alpha=0.15, linewidth=0)
    axes.axvline(truth["median"], color=drawing.TRUTH, linewidth=1.2, linestyle="--", label="truth: median, 5 to 95 %")
    top = 0.0
    for name in [n for n in NAMES if n in by_method]:
      curve = np.array(by_method[name]["density"][part])
      axes.plot(GRID, curve, color=drawing.COLOURS[name], linewidth=1.5, label=name)
      top = max(top, curve.max())
    summaries = [row["ratios"][part] for row in by_method.values()]
    low, high = min(x["p05"] for x in summaries), max(x["p95"] for x in summaries)
    axes.set_xlim(low - 0.15 * (high - low), high + 0.15 * (high - low))
    axes.set_ylim(0, 1.08 * top)
    axes.set_title(part, fontsize=10)
    axes.set_xlabel("ratio of lengths")
    axes.set_ylabel("density of poses")
    drawing.plain(axes)
  grid[1, 2].legend(*grid[0, 0].get_legend_handles_labels(), loc="center", frameon=False)
  return figure
