"""A small Leeds Sports Pose, or its extension, in the files of its download: procedural people in images of noise."""

import os
import pathlib

import numpy as np
import scipy.io

from data_builders import photographs_fixture as photographs
from data_builders.lsp.lsp_dataset_builder import LAYOUTS, SKELETON, TRAIN_IMAGES

_SIZE = (120, 160)
_FOLDERS = {"lsp": "lsp_dataset", "lspet": "lspet_dataset"}


def write(
  folder: str | os.PathLike, *, config: str = "lsp", seed: int = 0, people: int | None = None, images: int = 3
) -> None:
  """Writes joints.mat of `people`, four to test on with LSP and six in all with its extension, and the first images."""
  people = ({"lsp": TRAIN_IMAGES + 4, "lspet": 6}[config]) if people is None else people
  rng = np.random.default_rng(seed)
  joints = photographs.poses(SKELETON, people, seed, _SIZE)
  flags = rng.random((people, SKELETON.num_joints)) < 0.8  # visible, or labelled
  root = pathlib.Path(folder) / _FOLDERS[config]
  write_joints(root / "joints.mat", config, joints, flags)
  photographs.write_images(root / "images", [LAYOUTS[config].image.format(n + 1) for n in range(images)], _SIZE, seed)


def write_joints(path: pathlib.Path, config: str, joints: np.ndarray, flags: np.ndarray) -> None:
  """joints.mat from pixels [N, 14, 2] and flags [N, 14]: visible (LSP, which stores the opposite), or labelled.

  The extension's unlabelled joints lie anywhere, as in the published file.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  if config == "lsp":
    values = np.concatenate([joints, ~flags[..., None]], -1).transpose(2, 1, 0)
  else:
    anywhere = np.where(flags[..., None], joints, -77.0)
    values = np.concatenate([anywhere, flags[..., None]], -1).transpose(1, 2, 0)
  scipy.io.savemat(path, {"joints": values.astype(np.float64)}, do_compression=True)
