"""A small MPI-INF-3DHP in the files of its download, or of P-STMO's: procedural people before made-up cameras."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import scipy.io

from data_builders.mpi_inf_3dhp import official, published
from jaxpose.geometry import rotation as rotations
from jaxpose.geometry.camera import Camera
from jaxpose.synthetic import kinematics, motion

UNIVERSAL = 0.955  # the universal skeleton's size in the fixture, as a share of the true one; TS5 has this ratio
_INTRINSIC = (1497.693, 1497.103, 1024.704, 1051.394)  # of S1/Seq1's camera 0: focal lengths, then centre
_SIZE = (2048, 2048)
_DISTANCE_MM = 4200.0

# Where the joints that the simulated body lacks lie between two of its points, as a share of the way.
_BETWEEN = {
  "spine2": ("spine", "thorax", 0.3), "spine3": ("spine", "thorax", 0.6), "spine4": ("spine", "thorax", 0.85),
  "neck": ("spine", "thorax", 1.0), "head": ("thorax", "head_top", 0.5),
  **{
    f"{side}_{joint}": (f"{side}_{a}" if a != "thorax" else a, f"{side}_{b}", share)
    for side in ("left", "right")
    for joint, a, b, share in (
      ("clavicle", "thorax", "shoulder", 0.2), ("hand", "elbow", "wrist", 1.3), ("foot", "ankle", "ball", 0.6),
      ("toe", "ankle", "ball", 1.2),
    )
  },
}  # fmt: skip


def write(
  folder: str | os.PathLike,
  *,
  config: str = "univ",
  seed: int = 0,
  subjects: Sequence[int] = (1, 3),
  frames: int = 8,
  test_frames: int = 10,
  ts6_valid: int | None = None,
) -> None:
  """Writes training sequences 1 and 2 of `subjects` and the six test sequences; config "pstmo" as P-STMO's two files.

  A quarter of the test frames is not valid, unless `ts6_valid` says how many of TS6 are.
  """
  root = pathlib.Path(folder)
  train = {
    (s, q): _training(people(frames, seed, 2 * i + q), cameras_around(seed + 31 * s + q))
    for i, s in enumerate(subjects)
    for q in (1, 2)
  }
  test = {
    name: _testing(people(test_frames, seed, 50 + i), name, ts6_valid if name == "TS6" else None)
    for i, name in enumerate(published.TEST)
  }
  if config == "pstmo":
    write_pstmo(root, train, test)
    return
  for (subject, sequence), views in train.items():
    at = root / f"S{subject}" / f"Seq{sequence}"
    at.mkdir(parents=True, exist_ok=True)
    (at / "camera.calibration").write_text(calibration_text([v["camera"] for v in views]))
    write_annot(at / "annot.mat", views)
  for name, values in test.items():
    at = root / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set" / name
    at.mkdir(parents=True, exist_ok=True)
    write_annot_data(at / "annot_data.mat", **values)


def people(frames: int, seed: int, index: int) -> np.ndarray:
  """A simulated person's 28 joints [T, 28, 3] in the order of the training files, millimetres, world y up."""
  points = motion.simulate("train", index, seed=seed, frames=max(frames, 2)).points[:frames] * 1000
  return np.stack([_point(points, name) for name in official.FULL.names], 1)


def _point(points: np.ndarray, name: str) -> np.ndarray:
  if name in kinematics.POINTS and name not in _BETWEEN:
    return points[:, kinematics.POINTS.index(name)]
  start, end, share = _BETWEEN[name]
  a, b = (points[:, kinematics.POINTS.index(n)] for n in (start, end))
  return a + share * (b - a)


def cameras_around(seed: int) -> list[dict[str, np.ndarray]]:
  """Fourteen cameras around the origin, the last three at the ceiling: intrinsic and extrinsic [4, 4], as written."""
  rng, made = np.random.default_rng(seed), []
  for number in range(published.CAMERAS):
    azimuth, height = 2 * np.pi * number / 11, 2800.0 if number > 10 else rng.uniform(300, 1900)
    position = np.array([np.sin(azimuth) * _DISTANCE_MM, height, np.cos(azimuth) * _DISTANCE_MM])
    target = np.array([0, 900.0, 0])
    rotation = np.asarray(rotations.look_at(*(np.asarray(v, np.float32) for v in (position, target, (0, 1, 0)))))
    extrinsic, intrinsic = np.eye(4), np.eye(4)
    extrinsic[:3, :3] = rotation
    extrinsic[:3, 3] = -rotation.astype(np.float64) @ position
    intrinsic[[0, 1], [0, 1]], intrinsic[:2, 2] = _INTRINSIC[:2], _INTRINSIC[2:]
    # What the text file will say, so that pixels agree with it to the last digit.
    made.append({k: np.array([[float(f"{x:.7g}") for x in row] for row in m]) for k, m in
                 (("intrinsic", intrinsic), ("extrinsic", extrinsic))})  # fmt: skip
  return made


def _training(world: np.ndarray, cameras: Sequence[Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
  return [training_view(world @ c["extrinsic"][:3, :3].T + c["extrinsic"][:3, 3], c) for c in cameras]


def training_view(joints: np.ndarray, camera: Mapping[str, np.ndarray]) -> dict[str, Any]:
  """What one camera's cells hold, from its joints [T, 28, 3] in millimetres, camera axes."""
  inside = camera["intrinsic"]
  return {
    "camera": camera,
    "annot2": joints[..., :2] / joints[..., 2:] * inside[[0, 1], [0, 1]] + inside[:2, 2],
    "annot3": joints,
    "univ_annot3": universal(joints, official.FULL.root),
  }


def universal(joints: np.ndarray, root: int) -> np.ndarray:
  """Joints scaled about their root."""
  origin = joints[:, root : root + 1]
  return origin + UNIVERSAL * (joints - origin)


def _testing(world: np.ndarray, name: str, valid: int | None) -> dict[str, np.ndarray]:
  camera, frames = official.test_camera(name), len(world)
  turned = world * (1, -1, -1) + (0, 900.0, 4800.0)  # half a turn about x: y down, z forward
  joints = np.stack([turned[:, official.FULL.index(n)] for n in official.RELEVANT.names], 1)
  mark = np.arange(frames) % 4 != 1 if valid is None else np.arange(frames) < valid
  return test_values(joints, camera, mark, np.arange(frames) % 7 + 1)


def test_values(joints: np.ndarray, camera: Camera, valid: np.ndarray, activity: np.ndarray) -> dict[str, np.ndarray]:
  """What an annot_data.mat holds, from joints [T, 17, 3] in millimetres, camera axes."""
  return {
    "annot2": joints[..., :2] / joints[..., 2:] * camera.focal.astype(float) + camera.center.astype(float),
    "annot3": joints,
    "univ_annot3": universal(joints, official.RELEVANT.root),
    "valid": valid,
    "activity": activity,
  }


def calibration_text(cameras: Sequence[Mapping[str, np.ndarray]]) -> str:
  """A `camera.calibration` of cameras with intrinsic and extrinsic [4, 4]."""
  lines = ["Skeletool Camera Calibration File V1.0"]
  for number, camera in enumerate(cameras):
    matrices = {k: "".join(f"{x:.7g} " for x in camera[k].ravel()) for k in ("intrinsic", "extrinsic")}
    lines += [
      f"name          {number}",
      "  sensor      10 10",
      f"  size        {_SIZE[0]} {_SIZE[1]}",
      "  animated    0",
      *(f"  {key}   {text}" for key, text in matrices.items()),
      "  radial      0",
    ]
  return "\n".join(lines) + "\n"


def write_annot(path: pathlib.Path, views: Sequence[Mapping[str, Any]]) -> None:
  """An annot.mat, MATLAB 5, of fourteen views as `training_view` gives them."""
  frames = len(views[0]["annot2"])
  content: dict[str, Any] = {
    "cameras": np.arange(len(views), dtype=np.uint8)[:, None],
    "frames": np.arange(frames, dtype=np.int32)[:, None],
  }
  for key in ("annot2", "annot3", "univ_annot3"):
    cell = np.empty((len(views), 1), object)
    for number, view in enumerate(views):
      cell[number, 0] = view[key].reshape(frames, -1)
    content[key] = cell
  scipy.io.savemat(path, content, do_compression=True)


def write_annot_data(
  path: pathlib.Path,
  annot2: np.ndarray,
  annot3: np.ndarray,
  univ_annot3: np.ndarray,
  valid: np.ndarray,
  activity: np.ndarray,
) -> None:
  """An annot_data.mat, MATLAB 7.3, from [T, 17, C] arrays and [T] labels; HDF5 has MATLAB's axes reversed."""
  frames = len(annot2)
  with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
    for name, array in (("annot2", annot2), ("annot3", annot3), ("univ_annot3", univ_annot3)):
      chunks = (max(1, frames // 2), 1, *array.shape[1:])
      _numeric(file, name, array[:, None], chunks=chunks, compression="gzip")
    _numeric(file, "valid_frame", valid[:, None])
    _numeric(file, "activity_annotation", activity[:, None])
    references = np.empty((frames, 1), h5py.ref_dtype)
    group = file.create_group("#refs#")
    for frame in range(frames):  # crop coordinates, 17 x 2, which nobody reads
      references[frame, 0] = _numeric(group, f"b{frame}", annot2[frame].reshape(34, 1)).ref
    crops = file.create_dataset("bb_crop", data=references, dtype=h5py.ref_dtype)
    crops.attrs["MATLAB_class"] = np.bytes_("cell")
  with path.open("r+b") as raw:
    raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b"\0" * 8 + b"\x00\x02IM")


def _numeric(group: h5py.Group, name: str, array: np.ndarray, **options: Any) -> h5py.Dataset:
  dataset = group.create_dataset(name, data=array.astype(np.float64), **options)
  dataset.attrs["MATLAB_class"] = np.bytes_("double")
  return dataset


def write_pstmo(
  root: pathlib.Path,
  train: Mapping[tuple[int, int], Sequence[Mapping[str, Any]]],
  test: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
  """data_train_3dhp.npz and data_test_3dhp.npz: universal joints in the test order, the eight video cameras."""
  root.mkdir(parents=True, exist_ok=True)
  order = [official.FULL.index(n) for n in official.RELEVANT.names]
  sequences = {
    f"S{s} Seq{q}": [
      {
        str(c): {"data_2d": views[c]["annot2"][:, order], "data_3d": views[c]["univ_annot3"][:, order]}
        for c in published.VIDEO_CAMERAS
      },
      int(published.TRAIN[s, q].fps),
    ]
    for (s, q), views in train.items()
  }
  tests = {
    n: {"data_2d": v["annot2"], "data_3d": v["univ_annot3"], "valid": v["valid"].astype(float)} for n, v in test.items()
  }
  np.savez_compressed(root / "data_train_3dhp.npz", data=np.array(sequences, object))
  np.savez_compressed(root / "data_test_3dhp.npz", data=np.array(tests, object))
