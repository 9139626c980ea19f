"""Development targets: who is lifted, by a model that was trained on whom."""

from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from configs import cmu_baseline, synthetic_baseline
from jaxpose import checkpoint, experiment
from jaxpose import config as configs
from jaxpose.config import Config
from jaxpose.data import source
from jaxpose.data.clip import Clip, noisy
from jaxpose.train import loop

HELD_OUT = {"01": "01_14", "02": "02_02", "03": "03_02"}  # the motion of each CMU subject that validates
FPS = 10.0
CLIPS, FRAMES = 6, 100  # of a target: spread evenly over its clips; each from its beginning


class Target(NamedTuple):
  """source: of the runs, a CMU subject that was left out, or "synthetic". splits, rig: as in a data config."""

  source: str
  dataset: str
  splits: tuple[str, ...]
  rig: str
  folder: str = ""  # of the data, below data_dir: another copy of the same data set's name


def _cmu(subject: str, rig: str) -> Target:
  return Target(subject, "cmu_mocap", (subject,), rig)


_VIEWS = ("same views", "h36m"), ("new views", "mpi_inf_3dhp_test")
_BVH = "bvh_mocap", ("train",)
TARGETS = {
  **{f"CMU {s}, {name}": _cmu(s, rig) for s in HELD_OUT for name, rig in _VIEWS},
  "other studio, same views": Target("01", *_BVH, "h36m", "studio"),
  "other studio, new views": Target("01", *_BVH, "mpi_inf_3dhp_test", "studio"),
  "CMU 131 in BVH": Target("01", *_BVH, "h36m", "cmu_131"),
  "synthetic, new poses": Target("synthetic", "synthetic_mocap", ("target",), "fixed_four"),
  "synthetic, new poses and views": Target("synthetic", "synthetic_mocap", ("target",), "high_low_close"),
}  # fmt: skip


def config_of(kind: str, steps: int, seed: int) -> Config:
  """The baseline trained on everyone but `kind`, a CMU subject; or on the synthetic source."""
  return configs.from_dict(values_of(kind, steps, seed))


def values_of(kind: str, steps: int, seed: int) -> ConfigDict:
  """`config_of`, to be changed further."""
  module = synthetic_baseline if kind == "synthetic" else cmu_baseline
  config = module.get_config()
  config.seed, config.num_steps, config.keep_best = seed, steps, 1
  config.eval_every = max(500, steps // 5 // 500 * 500)
  if kind != "synthetic":
    others = tuple(s for s in HELD_OUT if s != kind)
    held_out = tuple(HELD_OUT[s] for s in others)
    shared = dict(dataset="cmu_mocap", splits=others, rig="h36m", fps=30.0)
    config.train, config.validation = dict(shared, exclude=held_out), dict(shared, include=held_out)
    config.targets = dict(new_poses=dict(shared, splits=(kind,)))
  return config


def trained(workdir: str, data_dir: str, kind: str, steps: int, seed: int) -> experiment.Trained:
  """The run, trained first where it is not there or not complete."""
  config, folder = config_of(kind, steps, seed), f"{workdir}/{kind}_{steps}_{seed}"
  if steps not in checkpoint.steps(folder):
    loop.train(config, folder, *(experiment.load_clips(c, data_dir) for c in (config.train, config.validation)))
  return experiment.load(folder)


def clips(data_dir: str, target: Target, noise: float = 0.0, missing: float = 0.0, tail: float = 0.0) -> list[Clip]:
  """The target's clips. noise: pixels; missing: share of the joints; tail: share of joints that are 60 pixels off."""
  folder = f"{data_dir}/{target.folder}" if target.folder else data_dir
  every = source.load_clips(target.dataset, target.splits, folder, rig=target.rig, fps=FPS)
  every = [c for c in every if len(c) >= 10]
  chosen = [every[i] for i in np.unique(np.linspace(0, len(every) - 1, CLIPS).astype(int))]
  return [_damaged(noisy(_head(c), noise), missing, tail, i) for i, c in enumerate(chosen)]


def _head(clip: Clip) -> Clip:
  parts = ("keypoints_2d", "confidence", "joints_3d", "valid")
  return clip.replace(**{name: getattr(clip, name)[:FRAMES] for name in parts})


def _damaged(clip: Clip, missing: float, tail: float, seed: int) -> Clip:
  rng = np.random.default_rng(seed)
  gone, off = (rng.random(clip.confidence.shape) < share for share in (missing, tail))
  gone[:, clip.skeleton.root] = False
  keypoints = clip.keypoints_2d + np.where(off[..., None], rng.normal(0, 60, clip.keypoints_2d.shape), 0)
  return clip.replace(
    keypoints_2d=keypoints.astype(np.float32), confidence=np.where(gone, 0, clip.confidence).astype(np.float32)
  )
