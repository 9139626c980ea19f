"""Files as their publishers made them, for those who have some: JAXPOSE_REAL=FOLDER python -m pytest THIS_FILE

FOLDER holds a folder (or a link) of raw files for each data set, by the name that launch.build_data takes:
FOLDER/human36m/official, FOLDER/cmu_mocap. A fixture is written by whoever wrote the reader and cannot find a
misreading; a person can, whose bones have a length, whose knees bend forward, and whom the cameras see.
"""

import os
import pathlib

import numpy as np
import pytest

from data_builders import build
from jaxpose.data import source
from jaxpose.data.clip import Motion
from jaxpose.geometry import camera as cameras

REAL = os.environ.get("JAXPOSE_REAL")
FLAT = ("mpii", "lsp", "coco_keypoints")  # photographs, without 3D
LEG = {"thigh": ("hip", "knee"), "shin": ("knee", "ankle")}


def data_sets():
  if REAL is None:
    return [pytest.param("", marks=pytest.mark.skip(reason="JAXPOSE_REAL names no folder of published files"))]
  known = [
    n for n, make in build.DATASETS.items() for n in [n, *(f"{n}/{c.name}" for c in make().builder.BUILDER_CONFIGS)]
  ]
  present = [n for n in known if (pathlib.Path(REAL) / n).is_dir() and not any(k.startswith(f"{n}/") for k in known)]
  assert present, f"JAXPOSE_REAL={REAL} holds no folder called as a data set: {', '.join(known)}"
  return present


def poses(records):
  """[N, J, 3] metres, and which way is up for each."""
  axes = {"y": (0, 1, 0), "z": (0, 0, 1)}
  together, up = [], []
  for r in records:
    together.append(r.positions_world[r.valid] if isinstance(r, Motion) else r.joints_3d[r.valid])
    up.append(np.tile(axes[r.up] if isinstance(r, Motion) else (0, -1, 0), (len(together[-1]), 1)))
  return np.concatenate(together), np.concatenate(up)


@pytest.mark.parametrize("name", data_sets())
def test_real_people(name, tmp_path):
  built = build.build(name, tmp_path, pathlib.Path(REAL) / name)
  table, verdict = build.verify(name, built)
  assert verdict != "different", table
  records = source.load(name, list(built.splits), tmp_path)
  assert sum(r.valid.sum() for r in records)
  if name.partition("/")[0] in FLAT:
    return
  joints, up = poses(records)
  at = {n: joints[:, i] for i, n in enumerate(records[0].skeleton.names)}
  for part, (start, end) in LEG.items():
    left, right = (np.linalg.norm(at[f"{s}_{start}"] - at[f"{s}_{end}"], axis=-1) for s in ("left", "right"))
    assert 0.3 < np.median(left) < 0.6 and 0.3 < np.median(right) < 0.6, part
    assert np.median(np.abs(left - right)) < 0.03, part
  hips, ankles = ((at[f"left_{n}"] + at[f"right_{n}"]) / 2 for n in ("hip", "ankle"))
  assert np.mean(np.sum((hips - ankles) * up, -1) > 0) > 0.7  # most people stand or sit most of the time
  forward = np.cross(at["left_hip"] - at["right_hip"], (at["left_shoulder"] + at["right_shoulder"]) / 2 - hips)
  for side in ("left", "right"):
    hip, knee, ankle = (at[f"{side}_{n}"] for n in ("hip", "knee", "ankle"))
    bend = np.sum((knee - (hip + ankle) / 2) * forward, -1) / np.linalg.norm(forward, axis=-1)
    assert np.mean(bend[np.abs(bend) > 0.05] > 0) > 0.9, side  # a knee bends forward
  for clip in records[:50]:
    if not isinstance(clip, Motion) and source.facts(name, tmp_path).get("keypoints_source") == "ground truth":
      away = np.linalg.norm(cameras.project(clip.joints_3d, clip.camera) - clip.keypoints_2d, axis=-1)[clip.valid]
      assert np.median(away) < 5, f"{clip.name}: {np.median(away):.1f} px from where its camera sees it"
