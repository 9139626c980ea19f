"""Pictures of poses and of numbers. Every function returns a matplotlib Figure and, given a path, saves it too.

Left limbs are blue, right ones vermilion, the trunk grey: Okabe & Ito's palette, which colour-blind readers tell apart.
Figures are made without pyplot, so that nothing is shared between threads and nothing leaks.
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from jaxpose.data.clip import Motion
from jaxpose.skeleton import Skeleton

LEFT, RIGHT, MIDDLE = "#0072B2", "#D55E00", "#555555"
METHOD_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")  # none is a side's

VIEW = (0.6, 0.25)  # azimuth and elevation in radians of the viewer in 3D pictures


@dataclasses.dataclass(frozen=True)
class Example:
  """A row of `gallery`: keypoints_2d [J, 2] pixels, the true pose [J, 3] or None, and predictions name -> [J, 3], in
  metres in camera axes (x right, y down, z forward), absolute or root-relative.
  """

  keypoints_2d: np.ndarray
  joints_3d: np.ndarray | None
  predictions: Mapping[str, np.ndarray]
  skeleton: Skeleton
  title: str = ""
  confidence: np.ndarray | None = None


def bone_colours(skeleton: Skeleton) -> list[str]:
  """LEFT, RIGHT or MIDDLE for each of `skeleton.bones`, by the side of the child joint."""
  left, right = set(skeleton.left), set(skeleton.right)
  return [LEFT if child in left else RIGHT if child in right else MIDDLE for child, _ in skeleton.bones]


def orthographic(
  points: Float[np.ndarray, "*n 3"], up: str = "y", azimuth: float = VIEW[0], elevation: float = VIEW[1]
) -> Float[np.ndarray, "*n 3"]:
  """Points to picture axes: x right, y up, and depth away from the viewer, metres.

  up: "y" or "z" for worlds with that vertical axis, "-y" for camera space (x right, y down, z forward), which at
  azimuth 0 and elevation 0 looks as the camera saw it.
  """
  if up not in ("y", "z", "-y"):
    raise ValueError(f"up={up!r}; the vertical axis is 'y', 'z' or '-y' (camera space)")
  x, y, z = np.moveaxis(np.asarray(points), -1, 0)
  # To a frame of x right, y up, z towards the viewer.
  x, y, z = {"y": (x, y, z), "z": (x, z, -y), "-y": (x, -y, -z)}[up]
  x, z = x * np.cos(azimuth) - z * np.sin(azimuth), x * np.sin(azimuth) + z * np.cos(azimuth)
  y, z = y * np.cos(elevation) - z * np.sin(elevation), y * np.sin(elevation) + z * np.cos(elevation)
  return np.stack([x, y, -z], -1)


def _draw_bones(
  axes: Axes, flat: np.ndarray, depth: np.ndarray, skeleton: Skeleton, colour, width, alpha, style
) -> None:
  """Adds bones to axes, the farthest first, so that near limbs cover far ones."""
  children, parents = np.array(skeleton.bones).T
  order = np.argsort(-(depth[children] + depth[parents]))
  lines = np.stack([flat[children], flat[parents]], 1)[order]
  colours = [colour] * len(order) if colour else [bone_colours(skeleton)[i] for i in order]
  axes.add_collection(
    LineCollection(list(lines), colors=colours, linewidths=width, alpha=alpha, linestyles=style, capstyle="round"),
    autolim=True,
  )


def _frame(axes: Axes, flat: np.ndarray, margin: float, y_down: bool = False) -> None:
  """Square limits around the points, equal aspect, no ticks."""
  low, high = flat.reshape(-1, 2).min(0), flat.reshape(-1, 2).max(0)
  centre, half = (low + high) / 2, max(float((high - low).max()) / 2 * (1 + margin), 1e-6)
  axes.set_xlim(centre[0] - half, centre[0] + half)
  axes.set_ylim(*((centre[1] + half, centre[1] - half) if y_down else (centre[1] - half, centre[1] + half)))
  axes.set_aspect("equal")
  axes.set_axis_off()


def draw_skeleton_3d(
  axes: Axes,
  joints: Float[np.ndarray, "J 3"],
  skeleton: Skeleton,
  *,
  up: str = "y",
  view: tuple[float, float] = VIEW,
  colour: str | None = None,
  width: float = 2.0,
  alpha: float = 1.0,
  style: str = "-",
  frame: bool = True,
) -> None:
  """Draws one pose in metres on plain 2D axes, seen from (azimuth, elevation); see `orthographic` for `up`.

  colour: one colour for all bones, else left and right have their own. frame: fit the axes to this pose.
  """
  seen = orthographic(joints, up, *view)
  _draw_bones(axes, seen[:, :2], seen[:, 2], skeleton, colour, width, alpha, style)
  if frame:
    _frame(axes, seen[:, :2], 0.1)


def draw_skeleton_2d(
  axes: Axes,
  keypoints: Float[np.ndarray, "J 2"],
  skeleton: Skeleton,
  *,
  confidence: Float[np.ndarray, " J"] | None = None,
  width: float = 2.0,
  alpha: float = 1.0,
  frame: bool = True,
) -> None:
  """Draws one pose in pixels, y down; joints of confidence 0 and their bones are left out."""
  present = np.ones(len(keypoints), bool) if confidence is None else np.asarray(confidence) > 0
  bones = [
    (c, p, colour) for (c, p), colour in zip(skeleton.bones, bone_colours(skeleton)) if present[c] and present[p]
  ]
  lines = [np.stack([keypoints[c], keypoints[p]]) for c, p, _ in bones]
  axes.add_collection(
    LineCollection(lines, colors=[b[2] for b in bones], linewidths=width, alpha=alpha, capstyle="round"), autolim=True
  )
  axes.scatter(*np.asarray(keypoints)[present].T, s=2.5 * width, c="#222222", zorder=3, linewidths=0)
  if frame and present.any():
    _frame(axes, np.asarray(keypoints)[present], 0.1, y_down=True)


def contact_sheet(
  motions: Sequence[Motion],
  path: str | os.PathLike | None = None,
  *,
  poses: int = 10,
  columns: int = 2,
  view: tuple[float, float] = (0.8, 0.12),
  dpi: int = 100,
) -> Figure:
  """A grid of motions, each a row of `poses` moments evenly spread over its time, side by side on a common ground line.

  Each figure is shifted so that its pelvis stands in its own slot: the sheet shows poses, not paths. The azimuth of
  `view` counts from the front of the person's first pose shown.
  """
  if not motions:
    raise ValueError("contact_sheet needs at least one motion")
  rows = -(-len(motions) // columns)
  slot, height = 1.15, 2.5
  size = (columns * poses * 0.75, rows * (height / slot * 0.75 + 0.2))
  figure = _figure(size)
  grid = figure.subplots(rows, columns, squeeze=False)
  for axes in grid.flat:
    axes.set_axis_off()
  for axes, motion in zip(grid.flat, motions):
    frames = np.linspace(0, len(motion.positions_world) - 1, poses + 2).astype(int)[1:-1]
    vertical = {"y": 1, "z": 2}[motion.up]
    axes.axhline(0, color="#dddddd", linewidth=1, zorder=0)
    tallest = 0.0
    facing = (_heading(motion.positions_world[frames[0]], motion.skeleton, motion.up) + view[0], view[1])
    for i, frame in enumerate(frames):
      joints = motion.positions_world[frame].astype(np.float64)
      ground = joints[motion.skeleton.root].copy()
      ground[vertical] = 0
      seen = orthographic(joints - ground, motion.up, *facing)
      tallest = max(tallest, seen[:, 1].max())
      _draw_bones(axes, seen[:, :2] + (i * slot, 0), seen[:, 2], motion.skeleton, None, 1.6, 1.0, "-")
    # A row keeps its size: what is taller than a person, as who climbs, is drawn smaller.
    scale = max(1.0, (tallest + 0.35) / height)
    middle = (poses - 1) * slot / 2
    axes.set_xlim(middle - poses * slot / 2 * scale, middle + poses * slot / 2 * scale)
    axes.set_ylim(-0.25 * scale, (height - 0.25) * scale)
    axes.set_aspect("equal")
    axes.set_title(f"{motion.action}   {motion.subject}", fontsize=9, loc="left", pad=1, color="#333333")
  figure.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=1 - 0.2 / size[1], wspace=0.01, hspace=0.12)
  return _finish(figure, path, dpi)


def _heading(joints: np.ndarray, skeleton: Skeleton, up: str) -> float:
  """The azimuth from which a viewer sees a person's front, by the hips; 0 where the skeleton has none."""
  if "left_hip" not in skeleton.names or "right_hip" not in skeleton.names:
    return 0.0
  left = orthographic(joints[skeleton.index("left_hip")] - joints[skeleton.index("right_hip")], up, 0.0, 0.0)
  return float(np.arctan2(left[2], left[0]))


def gallery(
  examples: Sequence[Example],
  path: str | os.PathLike | None = None,
  *,
  view: tuple[float, float] = (0.7, 0.15),
  dpi: int = 100,
) -> Figure:
  """One row for each example: its 2D input, then for each method its prediction over the true pose, in grey.

  Poses are turned by `view` against the camera's, which would hide errors of depth. The title of a cell is the method
  and its MPJPE in mm, root-aligned. Raises ValueError when examples differ in their methods.
  """
  if not examples:
    raise ValueError("gallery needs at least one example")
  names = list(examples[0].predictions)
  for example in examples:
    if list(example.predictions) != names:
      raise ValueError(
        f"example {example.title!r} has predictions of {list(example.predictions)}, the first one of {names}"
      )
  figure = _figure((2.2 * (1 + len(names)), 2.4 * len(examples)))
  grid = figure.subplots(len(examples), 1 + len(names), squeeze=False)
  for row, example in zip(grid, examples):
    draw_skeleton_2d(row[0], example.keypoints_2d, example.skeleton, confidence=example.confidence)
    row[0].set_title(example.title or "input", fontsize=8, color="#333333")
    root = example.skeleton.root
    truth = None if example.joints_3d is None else example.joints_3d - example.joints_3d[root]
    everything = [p - p[root] for p in example.predictions.values()] + ([] if truth is None else [truth])
    flat = orthographic(np.concatenate(everything), "-y", *view)[:, :2]
    for axes, (name, predicted) in zip(row[1:], example.predictions.items()):
      predicted, title = predicted - predicted[root], name
      if truth is not None:
        draw_skeleton_3d(axes, truth, example.skeleton, up="-y", view=view, colour="#bbbbbb", width=3.5, frame=False)
        title = f"{name}   {1000 * np.linalg.norm(predicted - truth, axis=-1).mean():.0f} mm"
      draw_skeleton_3d(axes, predicted, example.skeleton, up="-y", view=view, width=1.6, frame=False)
      axes.set_title(title, fontsize=8, color="#333333")
      _frame(axes, flat, 0.1)
  figure.tight_layout(pad=0.5)
  return _finish(figure, path, dpi)


def intervals_plot(
  rows: Mapping[str, tuple[float | int, float | int, float | int]],
  path: str | os.PathLike | None = None,
  *,
  label: str = "MPJPE (mm)",
  reference: float | None = None,
  dpi: int = 120,
) -> Figure:
  """A dot at each value with a whisker from low to high, a row for each name; `reference` draws a dashed line.

  Raises ValueError for an interval whose ends are reversed.
  """
  if not rows:
    raise ValueError("intervals_plot needs at least one row")
  for name, (_, low, high) in rows.items():
    if not low <= high:
      raise ValueError(f"{name}: the interval [{low}, {high}] has its ends reversed; a row is (value, low, high)")
  figure = _figure((5.5, 0.7 + 0.32 * len(rows)))
  axes = figure.subplots()
  at = np.arange(len(rows))[::-1]
  values, lows, highs = np.array(list(rows.values()), np.float64).T
  if reference is not None:
    axes.axvline(reference, color="#999999", linewidth=1, linestyle="--", zorder=0)
  axes.hlines(at, lows, highs, color=LEFT, linewidth=1.8)
  axes.plot(values, at, "o", color=LEFT, markersize=5.5)
  axes.set_yticks(at, list(rows))
  axes.set_ylim(-0.6, len(rows) - 0.4)
  axes.set_xlabel(label)
  _plain(axes, "x")
  figure.tight_layout()
  return _finish(figure, path, dpi)


def curves(
  lines: Mapping[str, tuple[Sequence[float | int] | np.ndarray, Sequence[float | int] | np.ndarray]],
  path: str | os.PathLike | None = None,
  *,
  x_label: str = "step",
  y_label: str = "loss",
  log_y: bool = False,
  dpi: int = 120,
) -> Figure:
  """Lines by name, each (x, y), with the names at the lines' ends instead of a legend."""
  if not lines:
    raise ValueError("curves needs at least one line")
  palette = (LEFT, RIGHT, *METHOD_COLOURS)
  figure = _figure((6.0, 3.4))
  axes = figure.subplots()
  for i, (name, (x, y)) in enumerate(lines.items()):
    colour = palette[i % len(palette)]
    axes.plot(x, y, color=colour, linewidth=1.6)
    axes.annotate(
      name, (x[-1], y[-1]), xytext=(5, 0), textcoords="offset points", color=colour, va="center", fontsize=9
    )
  if log_y:
    axes.set_yscale("log")
  axes.set_xlabel(x_label)
  axes.set_ylabel(y_label)
  axes.margins(x=0.02)
  _plain(axes, "y")
  figure.tight_layout()
  figure.subplots_adjust(right=0.8)
  return _finish(figure, path, dpi)


def _plain(axes: Axes, grid: Literal["x", "y"]) -> None:
  """No box, a faint grid along one axis."""
  for side in ("top", "right"):
    axes.spines[side].set_visible(False)
  axes.grid(axis=grid, color="#e5e5e5", linewidth=0.8)
  axes.set_axisbelow(True)


def _figure(size: tuple[float, float]) -> Figure:
  figure = Figure(figsize=size)
  FigureCanvasAgg(figure)
  return figure


def _finish(figure: Figure, path: str | os.PathLike | None, dpi: int) -> Figure:
  if path is not None:
    figure.savefig(path, dpi=dpi, facecolor="white")
  return figure
