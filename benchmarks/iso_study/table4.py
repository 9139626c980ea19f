"""Table 4: accuracy against seconds for each mode."""

from typing import Any

from benchmarks.iso_study import cells, page, table3
from benchmarks.iso_study.cells import Cell, Study
from benchmarks.iso_study.methods import METHODS, PAPER
from jaxpose import report

ROWS = ("Baseline", "Vanilla-Cyc", "Vanilla-lr-Cyc", "Online-Cyc", "Online-skip-Cyc", "Vanilla-GN", "Online-GN")


def wanted(study: Study) -> list[Cell]:
  return [c for t in study.targets for name in study.rows(ROWS) for c in cells.of_seeds(study, METHODS[name], t)]


def compute(study: Study) -> dict[str, Any]:
  return {target: table3.rows(study, target, study.rows(ROWS)) for target in study.targets}


def render(numbers: dict[str, Any]) -> page.Section:
  body = [
    page.paragraph(
      "Seconds an instance (one frame, predicted with and without mirroring), the median over seeds, without "
      "compilation, on the machine named above and beside whatever else it did; vanilla modes adapt many instances, "
      "online modes several streams at once. benchmarks.iso_speed measures speed by itself. The paper's seconds are "
      "those of a loop over single instances on a TITAN X."
    )
  ]
  for target, by_method in numbers.items():
    lines = [
      ["", "PCK@150 (%)", "AUC (%)", "MPJPE (mm)", "seconds an instance", "instances a second", "paper: seconds"]
    ]
    for name, row in by_method.items():
      seconds = row["seconds_per_instance"]
      metrics = [report.number(row[m]["mean"], row[m]["interval"]) for m in ("pck_150", "auc", "mpjpe_mm")]
      paper = report.number(PAPER.get(name, {}).get("seconds_per_instance"), digits=3)
      lines.append([name, *metrics, f"{seconds:.5f}", f"{1 / seconds:.0f}", paper])
    body += [page.heading(target), page.table(lines)]
  return page.Section("Table 4: what adaptation costs", body)
