"""All files of one recording: npz always, the others by name."""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxpose import video as videos
from jaxpose.export import bvh, c3d, overlay, poses_json, poses_npz, trc, viewer
from jaxpose.keypoints import gaps
from jaxpose.lifted import Lifted

FORMATS = ("json", "html", "bvh", "trc", "c3d", "mp4")


class Saved(NamedTuple):
  """files: in the order in which they were written. notes: what there is to say of them."""

  files: tuple[pathlib.Path, ...]
  notes: tuple[str, ...]


def save(
  folder: str | os.PathLike,
  lifted: Lifted,
  formats: tuple[str, ...] = ("json", "html", "bvh", "trc"),
  *,
  video: str | os.PathLike | None = None,
  bvh_unit: str = "m",
  title: str = "",
) -> Saved:
  """Writes poses.npz and, by `formats`, poses.json, viewer.html, person1.bvh, .trc and .c3d, overlay.mp4.

  A person who is missing for a while has a BVH and a TRC file for each unbroken stretch, named by its frames; C3D holds
  gaps, but no more than 65,535 frames. mp4 needs `video`. Raises ValueError for an unknown format, mp4 without a video,
  and an extra that is not installed, before anything is written.
  """
  check(formats, video)
  folder, files, notes = pathlib.Path(folder), [], []
  poses_npz.write(_listed(files, folder / "poses.npz"), lifted)
  if "json" in formats:
    poses_json.write(_listed(files, folder / "poses.json"), lifted)
  if "html" in formats:
    viewer.write(_listed(files, folder / "viewer.html"), lifted, title)
  for n, person in enumerate(lifted.ids):
    poses, there = lifted.shown[:, n], lifted.present[:, n]
    errors = []
    for stretch, name in _stretches(there, lifted, person):
      first, skeleton = int(lifted.frames[stretch.start]), lifted.skeleton
      if "bvh" in formats:
        path = _listed(files, folder / f"{name}.bvh")
        errors.append(bvh.write(path, poses[stretch], skeleton, lifted.fps, bvh_unit))
      if "trc" in formats:
        trc.write(_listed(files, folder / f"{name}.trc"), poses[stretch], skeleton, lifted.fps, first)
    if errors:
      notes.append(f"person{person}.bvh: bones of constant length are off by {np.mean(errors):.1f} mm in the mean")
    if "c3d" in formats and there.any():
      _save_c3d(folder, files, lifted, n)
  if "mp4" in formats and video is not None:
    overlay.write(_listed(files, folder / "overlay.mp4"), lifted, video)
  return Saved(tuple(files), tuple(notes))


def check(formats: Sequence[str], video: str | os.PathLike | None = None) -> None:
  """Raises what `save` would raise of these formats, before anything is lifted."""
  unknown = [f for f in formats if f not in FORMATS]
  if unknown:
    raise ValueError(f"unknown format {unknown[0]!r}; known are npz (always) and {', '.join(FORMATS)}")
  if "mp4" in formats and video is None:
    raise ValueError("overlay.mp4 is drawn over the video; give --video=FILE, or leave mp4 out")
  if "c3d" in formats:
    c3d.library()
  if "mp4" in formats:
    videos.library()


def _save_c3d(folder: pathlib.Path, files: list[pathlib.Path], lifted: Lifted, n: int) -> None:
  """z up, or what `shown` has without a world."""
  poses = (lifted.positions_world if lifted.positions_world is not None else lifted.shown)[:, n]
  for start in range(0, len(poses), c3d.MOST_FRAMES):
    part = poses[start : start + c3d.MOST_FRAMES]
    first, last = lifted.frames[start], lifted.frames[start + len(part) - 1]
    name = f"person{lifted.ids[n]}" + f"_{first}-{last}" * (len(poses) > c3d.MOST_FRAMES)
    c3d.write(_listed(files, folder / f"{name}.c3d"), part, lifted.skeleton, lifted.fps)


def _stretches(there: np.ndarray, lifted: Lifted, person: int) -> list[tuple[slice, str]]:
  """Unbroken stretches of two frames or more, each with its file's name."""
  whole = [s for s in gaps.stretches(there) if s.stop - s.start > 1]
  if len(whole) == 1:
    return [(whole[0], f"person{person}")]
  return [(s, f"person{person}_{lifted.frames[s.start]}-{lifted.frames[s.stop - 1]}") for s in whole]


def _listed(files: list[pathlib.Path], path: pathlib.Path) -> pathlib.Path:
  files.append(path)
  return path
