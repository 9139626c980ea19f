"""Cells to tables: ratios to the row without, means over seeds, shares of sequences made worse."""

from collections.abc import Sequence
from typing import Any

import numpy as np

METRICS = ("mpjpe_mm", "pa_mpjpe_mm", "pa_limbs_mm")
WORSE = 1.02  # a sequence counts as worse from this ratio of its MPJPE on


def _mean(cell: dict[str, Any], metric: str) -> float:
  return float(np.average(cell[metric], weights=cell["frames"]))


def line(cell: dict[str, Any]) -> str:
  """A cell, as it is computed."""
  errors = " / ".join(f"{_mean(cell, m):.1f}" for m in METRICS)
  return f"{cell['target']:32} seed {cell['seed']} {cell['row']:30} {errors} mm  {1000 * cell['seconds']:.1f} ms"


def summary(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """A row for each (target, row): means over seeds of mm and of the ratios to "none"; worse sequences; worst tenth."""
  out = []
  for target in dict.fromkeys(c["target"] for c in cells):
    for row in dict.fromkeys(c["row"] for c in cells):
      with_row = [c for c in cells if (c["target"], c["row"]) == (target, row)]
      base = [
        next(b for b in cells if (b["target"], b["row"], b["seed"]) == (target, "none", c["seed"])) for c in with_row
      ]
      by_clip = np.array([np.divide(c["mpjpe_mm"], b["mpjpe_mm"]) for c, b in zip(with_row, base)])  # [seeds, clips]
      ratios = {m: [_mean(c, m) / _mean(b, m) for c, b in zip(with_row, base)] for m in METRICS}
      out.append({
        "target": target, "row": row, "seeds": len(with_row),
        **{m: float(np.mean([_mean(c, m) for c in with_row])) for m in METRICS},
        **{f"ratio_{m}": float(np.mean(ratios[m])) for m in METRICS},
        "worst_seed": float(np.max(ratios["mpjpe_mm"])),
        "worse_sequences": float((by_clip > WORSE).mean()), "worst_tenth": float(np.quantile(by_clip, 0.9)),
        "ms": 1000 * float(np.median([c["seconds"] for c in with_row])),
      })  # fmt: skip
  return out


def text(table: Sequence[dict[str, Any]]) -> str:
  """Markdown: a line a target, a pair of columns a row; the mean over targets last."""
  rows = [r for r in dict.fromkeys(t["row"] for t in table) if r != "none"]
  lines = [["target", "none, mm", *rows], ["---"] * (len(rows) + 2)]
  by_target = {(t["target"], t["row"]): t for t in table}
  for target in dict.fromkeys(t["target"] for t in table):
    none = by_target[target, "none"]
    lines.append([target, f"{none['mpjpe_mm']:.1f} / {none['pa_mpjpe_mm']:.1f}"])
    lines[-1] += [_ratio(by_target[target, r]) for r in rows]
  for what, of in (("mean", np.mean), ("largest", np.max)):
    pairs = [[of([t[f"ratio_{m}"] for t in table if t["row"] == r]) for m in METRICS[:2]] for r in rows]
    lines.append([what, "", *(f"{a:.2f} / {b:.2f}" for a, b in pairs)])
  shares = [np.mean([t["worse_sequences"] for t in table if t["row"] == r]) for r in rows]
  lines.append(["sequences worse by more than 2 %", "", *(f"{100 * s:.0f} %" for s in shares)])
  lines.append(["ms a frame", "", *(f"{np.median([t['ms'] for t in table if t['row'] == r]):.1f}" for r in rows)])
  return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _ratio(entry: dict[str, Any]) -> str:
  text = f"{entry['ratio_mpjpe_mm']:.2f} / {entry['ratio_pa_mpjpe_mm']:.2f}"
  return text + (f" ({100 * entry['worse_sequences']:.0f} %)" if entry["worse_sequences"] else "")
