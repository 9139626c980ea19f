"""Figure 7: PCK of each body part."""

from typing import Any

import numpy as np

from benchmarks.iso_study import cells, drawing, page
from benchmarks.iso_study.cells import Cell, Study
from benchmarks.iso_study.methods import METHODS
from jaxpose import report

NAMES = ("Baseline", "Joint-Cyc", "Online-Cyc", "Vanilla-GN", "Online-GN")


def wanted(study: Study) -> list[Cell]:
  return [c for t in study.targets for name in study.rows(NAMES) for c in cells.of_seeds(study, METHODS[name], t)]


def compute(study: Study) -> dict[str, Any]:
  """{target: {method: {part: {"mean", "sd_over_seeds", "mpjpe_mm"}, "cells"}}}; without the root, always zero."""
  return {
    target: {name: _row(study, cells.of_seeds(study, METHODS[name], target)) for name in study.rows(NAMES)}
    for target in study.targets
  }


def _row(study: Study, of_method: list[Cell]) -> dict[str, Any]:
  loaded = cells.load_all(study, of_method)
  root = loaded[0]["fingerprint"]["root"]
  parts = {}
  for part, first in loaded[0]["per_joint_group"].items():
    if first["joints"] == [root]:
      continue
    by_seed = [f["per_joint_group"][part] for f in loaded]
    pck = [row["pck_150"] for row in by_seed]
    parts[part] = {
      "mean": float(np.mean(pck)),
      "sd_over_seeds": float(np.std(pck, ddof=1)) if len(pck) > 1 else None,
      "mpjpe_mm": float(np.mean([row["mpjpe_mm"] for row in by_seed])),
    }
  return {"parts": parts, "cells": [f["key"] for f in loaded]}


def render(numbers: dict[str, Any]) -> page.Section:
  body = [
    page.paragraph(
      "PCK@150 (%) of the joints of a part, left and right together; mean over seeds, whiskers: one standard deviation "
      "over seeds."
    )
  ]
  for target, by_method in numbers.items():
    parts = list(next(iter(by_method.values()))["parts"])
    lines = [["PCK@150 (%)", *(p.replace("_", " ") for p in parts)]]
    lines += [[name, *(report.number(row["parts"][p]["mean"]) for p in parts)] for name, row in by_method.items()]
    body += [
      page.heading(target),
      page.picture(_plot(by_method, parts), f"PCK by body part, {target}"),
      page.table(lines),
    ]
  return page.Section("Figure 7: accuracy by body part", body)


def _plot(by_method: dict[str, Any], parts: list[str]):
  figure = drawing.figure(10, 3.6)
  axes = figure.subplots()
  width = 0.8 / len(by_method)
  for i, (name, row) in enumerate(by_method.items()):
    means = [row["parts"][p]["mean"] for p in parts]
    spread = [row["parts"][p]["sd_over_seeds"] or 0.0 for p in parts]
    at = np.arange(len(parts)) + (i - (len(by_method) - 1) / 2) * width
    axes.bar(at, means, width * 0.92, color=drawing.COLOURS[name], label=name)
    if any(spread):
      axes.errorbar(at, means, spread, fmt="none", ecolor="#222222", elinewidth=0.9)
  low = min(v["mean"] - (v["sd_over_seeds"] or 0) for row in by_method.values() for v in row["parts"].values())
  axes.set_ylim(max(0.0, np.floor((low - 5) / 10) * 10), 100)
  axes.set_xticks(range(len(parts)), [p.replace("_", " ") for p in parts])
  axes.set_ylabel("PCK@150 (%)")
  drawing.plain(axes)
  figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=len(by_method), frameon=False)
  return figure
