"""Pictures of poses and of numbers. Every function returns a matplotlib Figure and, given a path, saves it too.

Left limbs are blue, right ones vermilion, the trunk grey: Okabe & Ito's palette, which colour-blind readers tell apart. Figures are
made without pyplot, so that nothing is shared between threads and nothing leaks.
"""

import os
from collections.abc import Mapping, Sequence

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


def bone_colours(skeleton: Skeleton) -> list[str]:
  """LEFT, RIGHT or MIDDLE for each of `skeleton.bones`, by the side of the child joint."""
  left, right = set(skeleton.left), set(skeleton.right)
  return [LEFT if child in left else RIGHT if child in right else MIDDLE for child, _ in skeleton.bones]


def orthographic(
  points: Float[np.ndarray, "*n 3"], up: str = "y", azimuth: float = VIEW[0], elevation: float = VIEW[1]
) -> Float[np.ndarray, "*n 3"]:
  """Points to picture axes: x right, y up, and depth away from the viewer, metres.

  up: "y" or "z" for worlds with that vertical axis, "-y" for camera space (x right, y down, z forward), which at azimuth 0
  and elevation 0 looks as the camera saw it.
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
    LineCollection(lines, colors=colours, linewidths=width, alpha=alpha, linestyles=style, capstyle="round"),
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
  view: tuple[float, float] = (0.5, 0.15),
  dpi: int = 100,
) -> Figure:
  """A grid of motions, each a row of `poses` moments evenly spread over its time, side by side on a common ground line.

  Each figure is shifted so that its pelvis stands in its own slot: the sheet shows poses, not paths.
  """
  if not motions:
    raise ValueError("contact_sheet needs at least one motion")
  rows = -(-len(motions) // columns)
  slot, height = 1.15, 2.2
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
    for i, frame in enumerate(frames):
      joints = motion.positions_world[frame].astype(np.float64)
      ground = joints[motion.skeleton.root].copy()
      ground[vertical] = 0
      seen = orthographic(joints - ground, motion.up, *view)
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


def _figure(size: tuple[float, float]) -> Figure:
  figure = Figure(figsize=size)
  FigureCanvasAgg(figure)
  return figure


def _finish(figure: Figure, path: str | os.PathLike | None, dpi: int) -> Figure:
  if path is not None:
    figure.savefig(path, dpi=dpi, facecolor="white")
  return figure
