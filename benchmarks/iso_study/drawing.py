"""What the plots share: colours, and figures made without pyplot."""

from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

TRUTH, SOURCE = "#000000", "#009E73"
# Okabe & Ito: published methods warm, those that solve by the bones blue.
COLOURS = {
  "Baseline": "#666666",
  "Joint-Adv": "#F0A0C8",
  "Vanilla-Adv": "#F0C060",
  "Online-Adv": "#E09070",
  "Joint-Cyc": "#CC79A7",
  "Vanilla-Cyc": "#E69F00",
  "Online-Cyc": "#D55E00",
  "Vanilla-GN": "#56B4E9",
  "Online-GN": "#0072B2",
}


def figure(width: float, height: float) -> Figure:
  """An empty figure, inches."""
  result = Figure(figsize=(width, height), layout="constrained")
  FigureCanvasAgg(result)
  return result


def plain(axes: Axes, grid: Literal["x", "y"] = "y") -> None:
  """No box, a faint grid along one axis."""
  for side in ("top", "right"):
    axes.spines[side].set_visible(False)
  axes.grid(axis=grid, color="#e5e5e5", linewidth=0.8)
  axes.set_axisbelow(True)
