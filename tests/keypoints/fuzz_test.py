"""Damaged files of keypoints in every format: one error that names the file, or tracks; no crash, no hang.

As tests/formats/fuzz_test.py, with its damages: JAXPOSE_FUZZ=20000 asks for that many damaged files of each format, and
JAXPOSE_FUZZ_SEED=1 for others than usual.
"""

import pathlib
import random

import numpy as np
import pytest

from jaxpose import keypoints
from jaxpose import skeleton as skeletons
from tests.formats.fuzz_test import COUNT, DAMAGES, SEED
from tests.keypoints import files

SIZE, FRAMES = (1280, 720), 4


def folder_file(folder: pathlib.Path) -> bytes:
  return sorted(folder.iterdir())[1].read_bytes()


def contents(folder: pathlib.Path) -> dict[str, bytes]:
  made = {name: files.people(name, FRAMES) for name in ("coco_17", "halpe_26", "body_25", "mediapipe_33")}
  coco, names = made["coco_17"], skeletons.get("coco_17").names
  return {
    "coco": files.coco(*coco),
    "alphapose": files.alphapose(*made["halpe_26"]),
    "openpose": folder_file(files.openpose(folder / "openpose", *made["body_25"])),
    "mmpose": files.mmpose(*coco),
    "mmpose demo": files.mmpose(*coco, True, names),
    "mediapipe": files.mediapipe(*made["mediapipe_33"], SIZE, 30.0),
    "yolo": folder_file(files.yolo(folder / "yolo", *coco, SIZE, "both")),
    "deeplabcut": files.deeplabcut(*coco, names, ["a", "b"]),
    "pose": files.pose(*made["body_25"], files.OPENPOSE_25, SIZE, 25.0),
    "npz": files.npz(*coco, fps=30, ids=np.array([3, 4]), names=np.array(names), image_size=np.array(SIZE)),
  }


NAMES = ("coco", "alphapose", "openpose", "mmpose", "mmpose demo", "mediapipe", "yolo", "deeplabcut", "pose", "npz")


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_one_error_that_names_the_file_or_leaves_tracks(name, tmp_path):
  content = contents(tmp_path)[name]
  path = tmp_path / "damaged.file"
  path.write_bytes(content)
  whole = keypoints.read(path, image_size=SIZE)
  assert whole.format == name.split()[0] and whole.keypoints.shape[1] == 2
  errors = 0
  for i in range(COUNT):
    case = f"{SEED}:{name}:{i}"
    source = random.Random(case)
    damage = source.choice(DAMAGES)
    path.write_bytes(damage(content, source))
    try:
      tracks = keypoints.read(path, image_size=SIZE)
    except (ValueError, OSError) as error:
      assert "damaged.file" in str(error), f"{case} ({damage.__name__}): {error!r} does not name the file"
      errors += 1
    except Exception as error:
      raise AssertionError(f"{case} ({damage.__name__}): {error!r}") from error
    else:
      seen = tracks.status != keypoints.Status.MISSING
      assert np.isfinite(tracks.keypoints[seen]).all() and tracks.keypoints.shape[2:] == (seen.shape[2], 2), case
      assert ((tracks.confidence >= 0) & (tracks.confidence <= 1)).all(), case
  assert errors >= COUNT // 8  # or the damage did none
