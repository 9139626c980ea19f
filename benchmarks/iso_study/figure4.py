"""Figure 4: how steps and learning rate, or what a solve expects of the lifter, decide what adaptation gains.

A sweep takes every `sweep_stride`-th of the frames that the tables take, both of those scored and of those seen.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from benchmarks.iso_study import cells, drawing, page
from benchmarks.iso_study.cells import Cell, Study
from benchmarks.iso_study.methods import METHODS
from jaxpose import report

REFERENCES = {"Baseline": "--", "Joint-Cyc": ":"}
METRICS = {"mpjpe_mm": "MPJPE (mm)", "pck_150": "PCK@150 (%)"}
RATES = (2e-7, 2e-6, 2e-5, 2e-4, 2e-3)  # the paper's range
FIRST_ORDER = ("Vanilla-Cyc", "Online-Cyc")

SOLVED = ("Vanilla-GN", "Online-GN")


class Sweep(NamedTuple):
  """A panel: the field of AdaptConfig that varies, the axis, and by name the values beside the method's own."""

  field: str
  label: str
  values: dict[str, tuple[float, ...]]
  scale: str = "log"


# A figure each.
FIGURES = {
  "Steps and learning rate": {
    "steps": Sweep(
      "num_steps",
      "steps an instance, T",
      {
        "Vanilla-Cyc": (1, 2, 5, 10, 20),
        "Online-Cyc": (1, 2, 5),
      },
    ),
    "rate": Sweep("learning_rate", "learning rate, \N{GREEK SMALL LETTER ALPHA}", dict.fromkeys(FIRST_ORDER, RATES)),
  },
  "Gauss-Newton": {
    "prior_m": Sweep("prior_m", "expected error of the lifter (m)", dict.fromkeys(SOLVED, (0.05, 0.1, 0.15, 0.3))),
  },
}
SWEEPS = {key: sweep for figure in FIGURES.values() for key, sweep in figure.items()}


def own_value(name: str, sweep: Sweep) -> float:
  """What the method itself takes."""
  return getattr(METHODS[name].adapt.resolved(), sweep.field)


def values(name: str, sweep: Sweep) -> list[float]:
  """The values of a sweep, the method's own among them."""
  return sorted({*sweep.values[name], own_value(name, sweep)})


def _seeds(study: Study) -> tuple[int, ...]:
  return study.settings.seeds[: study.settings.sweep_seeds]


def _cells(study: Study, name: str, **changes: float) -> list[Cell]:
  thin = study.settings.sweep_stride
  return [cells.cell(METHODS[name], s, study.targets[-1], thin=thin, **changes) for s in _seeds(study)]


def _swept(study: Study, name: str, sweep: Sweep, value: float) -> list[Cell]:
  # The method's own value is in several sweeps: one cell for all.
  return _cells(study, name, **({} if value == own_value(name, sweep) else {sweep.field: value}))


def wanted(study: Study) -> list[Cell]:
  swept = [
    c
    for sweep in SWEEPS.values()
    for n in study.rows(sweep.values)
    for v in values(n, sweep)
    for c in _swept(study, n, sweep, v)
  ]
  return swept + [c for n in study.rows(REFERENCES) for c in _cells(study, n)]


def compute(study: Study) -> dict[str, Any]:
  """{"target", "seeds", strides, "frames_scored", "references": {name: {metric}}, "sweeps": {sweep: {"own": {name:
  value}, "points": {name: [{"value", metrics, "cells"}]}}}}; a metric is None where adaptation diverged.
  """
  target, thin = study.targets[-1], study.settings.sweep_stride
  return {
    "target": target,
    "seeds": list(_seeds(study)),
    "stride": study.settings.stride * thin,
    "stream_stride": study.settings.stream_stride * thin,
    "frames_scored": int(sum(c.valid.sum() for c in study.scored(target, thin))),
    "references": {n: _point(study, _cells(study, n)) for n in study.rows(REFERENCES)},
    "sweeps": {key: _sweep(study, sweep) for key, sweep in SWEEPS.items() if study.rows(sweep.values)},
  }


def _sweep(study: Study, sweep: Sweep) -> dict[str, Any]:
  points = {
    n: [{"value": v, **_point(study, _swept(study, n, sweep, v))} for v in values(n, sweep)]
    for n in study.rows(sweep.values)
  }
  return {"own": {n: own_value(n, sweep) for n in points}, "points": points}


def _point(study: Study, wanted: list[Cell]) -> dict[str, Any]:
  loaded = [cells.load(study, one) for one in wanted]
  metrics = [f["metrics"] for f in loaded]
  mean = {m: None if None in metrics else float(np.mean([x[m] for x in metrics])) for m in METRICS}
  return {**mean, "cells": [cells.key(study, one) for one in wanted]}


def render(numbers: dict[str, Any]) -> page.Section:
  text = (
    f"Target {numbers['target']}, seeds {', '.join(map(str, numbers['seeds']))}; one frame in {numbers['stride']} is "
    f"scored ({numbers['frames_scored']}), and online modes see one in {numbers['stream_stride']}: compare within this "
    "figure only. One setting is varied, the others stay at the method's own; a ring marks its own value. Dashed: "
    "Baseline; dotted: Joint-Cyc, from which the published methods start. The paper finds its best at T = 10 (vanilla) "
    "and 1 (online), alpha = 2e-5, and a fall to 70.9 % PCK for online at 2e-3."
  )
  body = [page.paragraph(text)]
  for title, sweeps in FIGURES.items():
    shown = {key: sweep for key, sweep in sweeps.items() if key in numbers["sweeps"]}
    if shown:
      body += [page.heading(title), page.picture(_plot(numbers, shown), f"MPJPE and PCK by {', '.join(shown)}")]
      body += [page.table(_lines(sweep, numbers["sweeps"][key]["points"])) for key, sweep in shown.items()]
  if not numbers["sweeps"]:
    body.append(page.paragraph("None of the rows that were asked for is swept.", "note"))
  return page.Section("Figure 4: what the settings decide", body)


def _lines(sweep: Sweep, points: dict[str, list]) -> list[list[str]]:
  columns = sorted({p["value"] for own in points.values() for p in own})
  lines = [[f"MPJPE (mm) by {sweep.label}", *(f"{v:g}" for v in columns)]]
  for name, own in points.items():
    at = {p["value"]: "diverged" if p["mpjpe_mm"] is None else report.number(p["mpjpe_mm"]) for p in own}
    lines.append([name, *(at.get(v, "") for v in columns)])
  return lines


def limits(values: list[float], references: list[float], reach: float = 2.0) -> tuple[float, float]:
  """Limits of an axis that hold every value within `reach` times the others' spread of the references.

  One value that ran away must not press all others into a line.
  """
  low, high = min(references), max(references)
  near = sorted(values, key=lambda v: max(low - v, v - high))[: max(1, 3 * len(values) // 4)]
  low, high = min(*near, low), max(*near, high)
  room = reach * (high - low)
  kept = [v for v in values if low - room <= v <= high + room]
  low, high = min(*kept, low), max(*kept, high)
  return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _plot(numbers: dict[str, Any], sweeps: Mapping[str, Sweep]):
  figure = drawing.figure(1.2 + 4.4 * len(sweeps) if len(sweeps) < 3 else 12, 6.2)
  grid = figure.subplots(2, len(sweeps), sharey="row", squeeze=False)
  drawn = {key: numbers["sweeps"][key] for key in sweeps}
  published = any(METHODS[n].run != "baseline" for own in drawn.values() for n in own["points"])
  names = [n for n in numbers["references"] if published or METHODS[n].run == "baseline"]
  for row, (metric, label) in zip(grid, METRICS.items()):
    references = {n: numbers["references"][n][metric] for n in names}
    everything = [p[metric] for own in drawn.values() for points in own["points"].values() for p in points]
    around = limits([v for v in everything if v is not None] or list(references.values()), list(references.values()))
    row[0].set_ylim(around)
    row[0].set_ylabel(label)
    for axes, (key, sweep) in zip(row, sweeps.items()):
      for name, value in references.items():
        axes.axhline(value, color=drawing.COLOURS[name], linestyle=REFERENCES[name], linewidth=1.3, label=name)
      for name, points in drawn[key]["points"].items():
        _line(axes, name, points, metric, drawn[key]["own"][name], around)
      axes.set_xscale(sweep.scale)
      drawing.plain(axes)
      ticks = sorted({v for name in drawn[key]["points"] for v in sweep.values[name]})
      axes.set_xticks(ticks, [f"{t:g}" if t == 0 or t >= 0.01 else f"{t:.0e}".replace("e-0", "e-") for t in ticks])
      axes.set_xticks([], minor=True)
  for axes, sweep in zip(grid[-1], sweeps.values()):
    axes.set_xlabel(sweep.label)
  shown = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels())}
  figure.legend(shown.values(), shown, loc="outside upper center", ncols=3, frameon=False)
  return figure


def _line(axes, name: str, points: list[dict], metric: str, own: float, limits: tuple[float, float]) -> None:
  x = [p["value"] for p in points]
  y = [np.nan if p[metric] is None else p[metric] for p in points]
  colour = drawing.COLOURS[name]
  axes.plot(x, y, "o-", color=colour, markersize=4, linewidth=1.6, label=name)
  at = x.index(own)
  axes.plot(x[at], y[at], "o", markersize=10, markerfacecolor="none", markeredgecolor=colour)
  for one, value in zip(x, y):
    if not limits[0] <= value <= limits[1]:  # also what diverged
      top = not value < limits[0]
      text = "diverged" if np.isnan(value) else f"{value:.0f}"
      axes.annotate(
        text, (one, limits[top]), color=colour, fontsize=8, ha="right", va="top" if top else "bottom", xytext=(-3, 0),
        textcoords="offset points",
      )  # fmt: skip
