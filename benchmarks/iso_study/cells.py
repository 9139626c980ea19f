"""Cells: one run on one target, adapted in one way. Each is computed once and kept under WORKDIR/cells.

A cell's file is named by a hash of everything that decides its numbers, down to the run's config and the checkpoint's
step, so that an interrupted study goes on where it stopped. Delete the folder after a change of the library.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.iso_study.methods import Method
from benchmarks.iso_study.settings import Settings
from jaxpose import adaptation, progress, report, runs
from jaxpose import config as configs
from jaxpose.adapt.settings import MODES
from jaxpose.config import DataConfig
from jaxpose.data import source
from jaxpose.data.clip import Clip, noisy
from jaxpose.experiment import Trained
from jaxpose.runs import AdaptConfig

_FORMAT = 3  # of the files; raise it when what they hold changes
# Instances (vanilla) or streams (online) side by side: the fastest on two cores. Online modes compile anew for every
# number of steps below 64, which a skipping stream has: wider groups, fewer programs.
_CHUNK = {"none": 16, "vanilla": 16, "vanilla_lr": 16, "online": 4, "online_skip": 14}


@dataclasses.dataclass(frozen=True)
class Cell:
  """A number to be: `adapt` carries the run's seed, and the 2D keypoints have `noise_px` of Gaussian noise.

  thin: of the frames that the study's streams hold and that it scores, this cell takes every n-th.
  """

  run: str
  seed: int
  target: str
  adapt: AdaptConfig
  noise_px: float = 0.0
  thin: int = 1

  @property
  def online(self) -> bool:
    return MODES[self.adapt.mode].streams


@dataclasses.dataclass(frozen=True)
class Study:
  """Everything that cells are made of: runs by (kind, seed), and each target's data config and clips.

  streams: every `stream_stride`-th frame of the targets; what is scored is a subset of them.
  """

  settings: Settings
  trained: dict[tuple[str, int], Trained]
  data: dict[str, DataConfig]
  streams: dict[str, list[Clip]]

  @property
  def step(self) -> int:
    """Frames of a stream from one scored frame to the next."""
    return self.settings.stride // self.settings.stream_stride

  @property
  def targets(self) -> list[str]:
    return list(self.data)

  def rows(self, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that were asked for."""
    return tuple(n for n in names if n in self.settings.rows)

  def scored(self, target: str, thin: int = 1) -> list[Clip]:
    """The clips of a target as they are scored."""
    return [c.subsample(thin * self.step) for c in self.streams[target]]


def create(settings: Settings, trained: dict[tuple[str, int], Trained]) -> Study:
  """Loads the targets of the runs."""
  first = next(iter(trained.values()))
  loaded = {t: runs.load_target(first, settings.data_dir, t, settings.stream_stride) for t in first.config.targets}
  return Study(settings, trained, {t: x[1] for t, x in loaded.items()}, {t: x[2] for t, x in loaded.items()})


def cell(method: Method, seed: int, target: str, noise_px: float = 0.0, thin: int = 1, **changes: Any) -> Cell:
  """The cell of a method, with `changes` to how it adapts."""
  adapt = dataclasses.replace(method.adapt, seed=seed, chunk=_CHUNK[method.adapt.mode], **changes)
  return Cell(method.run, seed, target, adapt, noise_px, thin)


def key(study: Study, one: Cell) -> str:
  """The name of a cell's files: a hash of all its settings."""
  trained = study.trained[one.run, one.seed]
  described = {
    "format": _FORMAT,
    "config": configs.to_dict(trained.config),
    "checkpoint_step": trained.step,
    "target": [one.target, dataclasses.asdict(study.data[one.target])],
    "adapt": adaptation.fingerprint(trained, one.adapt),
    "stride": study.settings.stride * one.thin,
    "stream_stride": study.settings.stream_stride * one.thin if one.online else None,
    "noise_px": one.noise_px,
  }
  return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:20]


def compute(study: Study, wanted: Iterable[Cell]) -> None:
  """Computes the cells that have no file yet, with one progress bar for all."""
  missing = [c for c in dict.fromkeys(wanted) if not _path(study, c).exists()]
  missing.sort(key=lambda c: (c.target, c.run, repr(c.adapt.mode)))
  with progress.bar(len(missing), "cell", "study", enabled=bool(missing)) as bar:
    for one in missing:
      bar.set_postfix_str(f"{one.run} {one.seed}, {one.adapt.mode}, {one.target}")
      _compute(study, one)
      bar.update()


def load(study: Study, one: Cell) -> dict[str, Any]:
  """The report of a cell that was computed; {"metrics": None} where adaptation diverged."""
  return json.loads(_path(study, one).read_text())


def predictions(study: Study, one: Cell) -> list[np.ndarray]:
  """The poses [T, J, 3] of a cell that was computed, a clip of `study.scored`; NaN where a frame is not valid."""
  with np.load(_path(study, one).with_suffix(".npz")) as file:
    poses = file["poses"]
  return np.split(poses, np.cumsum([len(c) for c in study.scored(one.target, one.thin)])[:-1])


def _path(study: Study, one: Cell) -> pathlib.Path:
  return pathlib.Path(study.settings.workdir) / "cells" / f"{key(study, one)}.json"


def _compute(study: Study, one: Cell) -> None:
  trained = study.trained[one.run, one.seed]
  streams = [noisy(c, one.noise_px).subsample(one.thin) for c in study.streams[one.target]]
  clips = [c.subsample(study.step) for c in streams]
  if one.adapt.mode == "none":
    runs.predict(trained, clips, adapt=one.adapt)  # compiles for this many frames, outside the clock
  poses, timing = runs.predict(trained, streams if one.online else clips, adapt=one.adapt, show_progress=False)
  if one.online:
    poses = [p[:: study.step] for p in poses]
  result: dict[str, Any] = {"metrics": None}
  if all(np.isfinite(p[c.valid]).all() for p, c in zip(poses, clips)):
    data = study.data[one.target]
    built = source.facts(data.dataset, study.settings.data_dir)
    result = runs.score(trained, one.target, data, clips, poses, adapt=one.adapt, built=built)
    _complete(result["fingerprint"], study, one)
  path = _path(study, one)
  path.parent.mkdir(parents=True, exist_ok=True)
  np.savez(path.with_suffix(".npz"), poses=np.concatenate(poses))
  report.write_json(path, {**result, "timing": timing, "cell": dataclasses.asdict(one)})


def _complete(fingerprint: dict[str, Any], study: Study, one: Cell) -> None:
  """Adds what only the study knows: the strides and the noise."""
  fingerprint["stride"] = study.settings.stride * one.thin
  if one.online:
    fingerprint["adaptation"]["stream_stride"] = study.settings.stream_stride * one.thin
  if one.noise_px:
    fingerprint["keypoints_source"] = f"ground truth + normal noise of {one.noise_px:g} px, seed 0"


def of_seeds(study: Study, method: Method, target: str, noise_px: float = 0.0) -> list[Cell]:
  """A method's cell for each seed."""
  return [cell(method, seed, target, noise_px) for seed in study.settings.seeds]


def load_all(study: Study, wanted: Sequence[Cell]) -> list[dict[str, Any]]:
  """`load` of each, with its key under "key"; a ValueError where one diverged."""
  result = []
  for one in wanted:
    cell = load(study, one)
    if cell["metrics"] is None:
      raise ValueError(f"{one.run} of seed {one.seed} diverged on {one.target} when adapted by {one.adapt}")
    result.append({**cell, "key": key(study, one)})
  return result
