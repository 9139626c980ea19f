"""A whole study: runs, cells, numbers, page."""

import os
import pathlib
import platform
from typing import Any

import jax

from benchmarks.iso_study import (
  cells,
  figure4,
  figure5,
  figure6,
  figure7,
  methods,
  page,
  table3,
  table4,
  table5,
  training,
)
from benchmarks.iso_study.cells import Study
from benchmarks.iso_study.methods import METHODS
from benchmarks.iso_study.settings import Settings
from data_builders import build
from jaxpose import report

PARTS = {
  "table3": table3, "figure4": figure4, "table4": table4, "table5": table5, "figure5": figure5, "figure6": figure6,
  "figure7": figure7,
}  # fmt: skip


def write(settings: Settings, parts: tuple[str, ...], folder: pathlib.Path, command: str) -> list[pathlib.Path]:
  """Does the parts of a study and writes iso_study.html and iso_study.json into `folder`: their paths."""
  unknown = [p for p in parts if p not in PARTS]
  if unknown or not parts:
    raise ValueError(f"unknown part {', '.join(unknown)!r}; known are {', '.join(PARTS)}")
  if "figure6" in parts:
    figure6.check()  # before hours of work
  if settings.synthetic:
    build.build("synthetic_mocap", settings.data_dir)
  study = cells.create(settings, training.runs(settings))
  wanted = list(dict.fromkeys(c for p in parts for c in PARTS[p].wanted(study)))
  cells.compute(study, wanted)
  numbers = {p: PARTS[p].compute(study) for p in parts}
  facts = describe(study, command)
  title = "Inference stage optimization on open data" + (", synthetic people" if settings.synthetic else "")
  sections = [_head(facts), *(PARTS[p].render(numbers[p]) for p in parts)]
  paths = [folder / "iso_study.html", folder / "iso_study.json"]
  folder.mkdir(parents=True, exist_ok=True)
  paths[0].write_text(page.document(title, sections))
  report.write_json(paths[1], {"facts": facts, "parts": numbers, "cells": _all(study, wanted)})
  return paths


def describe(study: Study, command: str) -> dict[str, Any]:
  """What decides the numbers, for the head of the page."""
  settings = study.settings
  first = next(iter(study.trained.values()))
  device = jax.devices()[0]
  targets = {
    name: {
      "clips": len(study.streams[name]),
      "motions": len({(c.subject, c.sequence) for c in study.streams[name]}),
      "frames_scored": int(sum(c.valid.sum() for c in study.scored(name))),
      "frames_online": int(sum(c.valid.sum() for c in study.streams[name])),
    }
    for name in study.targets
  }
  return {
    "command": command,
    "benchmark": settings.benchmark,
    "synthetic": settings.synthetic,
    "seeds": list(settings.seeds),
    "rows": list(study.rows(METHODS)),
    "footnotes": methods.footnotes(study.rows(METHODS)),
    "stride": settings.stride,
    "stream_stride": settings.stream_stride,
    "train": f"{first.config.train.dataset} {'+'.join(first.config.train.splits)}",
    "training_steps": first.config.num_steps,
    "checkpoint_steps": {f"{kind}_{seed}": run.step for (kind, seed), run in study.trained.items()},
    "width": first.config.model_options.get("width"),
    "protocol": first.config.protocol,
    "codec": first.codec.name,
    "targets": targets,
    "device": f"{device.platform.upper()} ({device.device_kind}), {os.cpu_count()} cores, {platform.machine()}",
    "jax": jax.__version__,
  }


def _head(facts: dict[str, Any]) -> page.Section:
  body = []
  if facts["synthetic"]:
    body.append(
      page.paragraph("Synthetic: every number below is of simulated motion and compares with nothing else.", "banner")
    )
  seeds = ", ".join(map(str, facts["seeds"]))
  body += [
    page.paragraph(
      f"Zhang, Nie and Feng's Inference Stage Optimization (2020), run again on {facts['benchmark']}. Source: "
      f"{facts['train']}; lifters of width {facts['width']}, {facts['training_steps']} steps, best checkpoint by "
      f"validation; seeds {seeds}. Protocol {facts['protocol']}: root-relative, unscaled, ground-truth 2D keypoints, "
      f"flip averaging. One frame in {facts['stride']} is scored; online modes see one in "
      f"{facts['stream_stride']}, in streams that begin at the source weights."
    ),
    *(page.paragraph(text, "note") for text in facts["footnotes"]),
    page.table(
      [
        ["target", "motions", "clips", "frames scored, a seed", "frames that online modes see, a seed"],
        *(
          [name, *(str(size[k]) for k in ("motions", "clips", "frames_scored", "frames_online"))]
          for name, size in facts["targets"].items()
        ),
      ]
    ),
    page.paragraph(f"Machine: {facts['device']}, JAX {facts['jax']}. Command:", "note"),
    page.code(facts["command"]),
  ]
  return page.Section("", body)


def _all(study: Study, wanted: list[cells.Cell]) -> dict[str, Any]:
  """Every cell's own numbers by key: what it is, metrics, intervals, timing and fingerprint."""
  result = {}
  for one in wanted:
    cell = cells.load(study, one)
    kept = ("cell", "metrics", "intervals", "timing", "fingerprint")
    result[cells.key(study, one)] = {k: cell[k] for k in kept if k in cell}
  return result
