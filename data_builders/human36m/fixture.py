"""A small Human3.6M in its files' own formats: procedural people before the real cameras, of no use for results."""

import functools
import math
import os
import pathlib
import pickle
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from cdflib.cdfwrite import CDF

from data_builders.human36m import metadata_fixture, motionbert, takes, videopose3d
from data_builders.human36m.calibration import CAMERA_IDS
from data_builders.human36m.joints import H36M_32, HOURGLASS_16, SAME_PLACE
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras as rigs
from jaxpose.synthetic import motion as synthetic

# A training subject with the names that it alone has, a drifted take of S9, and S11's take that papers leave out.
TAKES = {
  "S1": ("Directions 1", "WalkingDog"),
  "S9": ("Greeting", "Walking 1"),
  "S11": ("Directions", "Directions 1"),
}
LAYOUTS = ("official", "archives", "h36m_fetch", "mmpose")
EXTRA_FRAMES = 2  # that keypoint lists run on after the poses end
H36M_17 = skeletons.get("h36m_17")
_NOISE_PX = {"gt": 0.0, "cpn_ft_h36m_dbb": 3.0, "detectron_ft_h36m": 4.0, "sh_ft_h36m": 5.0}


def write(
  folder: str | os.PathLike,
  *,
  seed: int = 0,
  config: str = "official",
  frames: int = 40,
  only: Mapping[str, Sequence[str]] = TAKES,
  layout: str = "official",
  metadata: bool = True,
  hourglass: str = "hourglass_16",
) -> None:
  """Writes the files that a configuration of the builder reads, and metadata.xml.

  frames: of the first take; each further one is three frames longer. only: the takes by subject, in the official files'
  names. layout: how the official files lie, one of LAYOUTS. hourglass: the joint order of sh_ft_h36m, the other one
  being h36m_16.
  """
  root = pathlib.Path(folder)
  root.mkdir(parents=True, exist_ok=True)
  made = {
    (subject, take): positions(subject, take, seed=seed, frames=frames + 3 * i)
    for i, (subject, take) in enumerate((s, t) for s in only for t in only[s])
  }
  if metadata:
    metadata_fixture.write(root, zipped=layout == "archives")
  if config == "official":
    _write_official(root, made, layout)
  elif config == "motionbert":
    _write_motionbert(root / motionbert.FILE, made, seed)
  elif config in _NOISE_PX:
    _write_videopose3d(root, made, config, seed, hourglass)
  else:
    raise ValueError(f"config={config!r}; known are official, motionbert, {', '.join(_NOISE_PX)}")


def positions(subject: str, take: str, *, seed: int = 0, frames: int = 40) -> np.ndarray:
  """World positions of a take, float32 [T, 32, 3] millimetres: z up, around the point that the cameras look at."""
  index = [(s, t.file) for s in takes.SUBJECTS for t in takes.TAKES[s]].index((subject, take))
  motion = synthetic.simulate(
    "train", index, seed=seed, frames=math.ceil(frames * synthetic.FPS / takes.FPS) + 2
  ).motion
  moved = rigs.resample(motion.positions_world.astype(np.float64), motion.fps, takes.FPS)
  placed = rigs.place(moved, motion, rigs.build("h36m", subject=subject), takes.FPS)[:frames]
  return (1000 * all_joints(placed)).astype(np.float32)


def all_joints(body: np.ndarray) -> np.ndarray:
  """[T, 17, 3] to the files' 32 joints: duplicates on their twins, hands and toes in line with the bone before them."""
  full = np.zeros((len(body), H36M_32.num_joints, 3))
  for j, name in enumerate(H36M_32.names):  # parents come first
    parent = H36M_32.parents[j]
    if name in H36M_17.names:
      full[:, j] = body[:, H36M_17.index(name)]
    elif name in SAME_PLACE:
      twin = SAME_PLACE[name]
      full[:, j] = body[:, H36M_17.index(twin)] if twin in H36M_17.names else full[:, H36M_32.index(twin)]
    else:
      full[:, j] = full[:, parent] + 0.3 * (full[:, parent] - full[:, H36M_32.parents[parent]])
  return full


def project(
  world_mm: np.ndarray, subject: str, camera_id: str, distortion: bool = True
) -> tuple[np.ndarray, np.ndarray]:
  """(camera-space millimetres, pixels) of world positions [..., 3], float64, in the official formula."""
  camera = _camera(subject, camera_id)
  joints = (world_mm - camera["T"]) @ camera["R"].T
  x, y = joints[..., 0] / joints[..., 2], joints[..., 1] / joints[..., 2]
  if distortion:
    k, p, r2 = camera["k"], camera["p"], x**2 + y**2
    factor = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3 + p[0] * y + p[1] * x
    x, y = x * factor + p[1] * r2, y * factor + p[0] * r2
  return joints, np.stack([x, y], -1) * camera["f"] + camera["c"]


@functools.cache
def _camera(subject: str, camera_id: str) -> dict[str, Any]:
  return metadata_fixture.camera(subject, camera_id)


def _write_official(root: pathlib.Path, made: dict, layout: str) -> None:
  with tempfile.TemporaryDirectory() as temporary:
    for subject in dict.fromkeys(s for s, _ in made):
      folder, archive = {
        "official": (root / subject / "MyPoseFeatures" / "D3_Positions", None),
        "h36m_fetch": (root / "extracted" / subject / "Poses_D3_Positions", None),
        "archives": (pathlib.Path(temporary), root / f"Poses_D3_Positions_{subject}.tgz"),
        "mmpose": (pathlib.Path(temporary), root / subject.lower() / "D3_Positions.tgz"),
      }[layout]
      folder.mkdir(parents=True, exist_ok=True)
      files = []
      for (_, take), values in ((key, v) for key, v in made.items() if key[0] == subject):
        files.append(folder / f"{take}.cdf")
        write_cdf(files[-1], values.reshape(len(values), -1))
      if archive is not None:
        archive.parent.mkdir(exist_ok=True)
        with tarfile.open(archive, "w:gz") as tar:
          for file in files:
            tar.add(file, f"{subject}/MyPoseFeatures/D3_Positions/{file.name}")
            file.unlink()


def write_cdf(path: str | os.PathLike, pose: np.ndarray) -> None:
  """One record `Pose` [T, D], as the official files hold it."""
  file = CDF(os.fspath(path), cdf_spec={"Majority": "row_major"})
  file.write_var(
    {
      "Variable": "Pose", "Data_Type": CDF.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True, "Var_Type": "zVariable",
      "Dim_Sizes": list(pose.shape), "Compress": 0,
    },
    var_data=pose.astype(np.float32)[None],
  )  # fmt: skip
  file.close()


def _write_videopose3d(root: pathlib.Path, made: dict, config: str, seed: int, hourglass: str) -> None:
  rng = np.random.default_rng(seed)
  poses: dict[str, dict] = {}
  keypoints: dict[str, dict] = {}
  for (subject, take), values in made.items():
    name = takes.canonical(take)
    if (subject, name) == takes.CORRUPT:
      continue
    poses.setdefault(subject, {})[name] = (values / 1000).astype(np.float32)
    views = [_detect(values, subject, c, _NOISE_PX[config], rng) for c in CAMERA_IDS]
    views = [np.concatenate([v, v[-1:].repeat(EXTRA_FRAMES, 0)]) for v in views]
    if config == "sh_ft_h36m":
      order = {s.name: s for s in (HOURGLASS_16, skeletons.get("h36m_16"))}[hourglass]
      views = [skeletons.joint_map(H36M_17, order)(v) for v in views]
    keypoints.setdefault(subject, {})[name] = views
  metadata: dict[str, Any] = {"num_joints": 17, "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]}
  if config == "sh_ft_h36m":
    metadata = {"num_joints": 16, "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [2, 1, 0, 12, 11, 10]]}
  if config != "gt":
    metadata["layout_name"] = "h36m"
    keypoints["S2"] = dict(next(iter(keypoints.values())))  # detections of a subject whose poses are withheld
  np.savez_compressed(root / videopose3d.FILE_3D, positions_3d=np.array(poses, object))
  np.savez_compressed(
    root / videopose3d.file_2d(config), positions_2d=np.array(keypoints, object), metadata=np.array(metadata, object)
  )


def _detect(values: np.ndarray, subject: str, camera_id: str, noise_px: float, rng: np.random.Generator) -> np.ndarray:
  """Keypoints [T, 17, 2] float32 with independent normal noise."""
  at = [H36M_32.index(name) for name in H36M_17.names]
  pixels = project(values[:, at].astype(np.float64), subject, camera_id)[1]
  return (pixels + noise_px * rng.normal(size=pixels.shape)).astype(np.float32)


def _write_motionbert(path: pathlib.Path, made: dict, seed: int) -> None:
  rng = np.random.default_rng(seed)
  parts: dict[str, dict[str, list]] = {"train": {}, "test": {}}
  for (subject, take), values in made.items():
    number = next(t for t in takes.TAKES[subject] if t.file == take)
    for c, camera_id in enumerate(CAMERA_IDS, 1):
      source = takes.source_of(subject, number, c)
      if source == takes.source_of(*_LOST):
        continue
      image, factor = image_pose(values, subject, camera_id)
      columns = {
        "joint_2d": _detect(values, subject, camera_id, _NOISE_PX["sh_ft_h36m"], rng),
        "confidence": rng.uniform(0.2, 1.0, image.shape[:2]).astype(np.float32),
        "joint3d_image": image,
        "camera_name": [camera_id] * len(image),
        "source": [source] * len(image),
      }
      if subject in takes.TEST:
        columns |= {
          "action": [takes.action(takes.canonical(take))] * len(image),
          "2.5d_factor": factor,
          "joints_2.5d_image": image * factor[:, None, None],
        }
      part = parts["test" if subject in takes.TEST else "train"]
      for name, column in columns.items():
        part.setdefault(name, []).append(column)
  data = {split: {name: np.concatenate(columns) for name, columns in part.items()} for split, part in parts.items()}
  with open(path, "wb") as file:
    pickle.dump(data, file, protocol=4)


_LOST = ("S11", takes.TAKES["S11"][1], 1)  # Directions before the first camera: the hourglass set lacks it


def image_pose(world_mm: np.ndarray, subject: str, camera_id: str) -> tuple[np.ndarray, np.ndarray]:
  """(joint3d_image [T, 17, 3] pixels, 2.5d_factor [T] mm a pixel) of world positions [T, 32, 3], by LCN's recipe."""
  at = [H36M_32.index(name) for name in H36M_17.names]
  joints, pixels = project(world_mm[:, at].astype(np.float64), subject, camera_id, distortion=False)
  root = joints[:, 0]
  left, right = (_camera(subject, camera_id)["f"][0] * (root[:, 0] + side) / root[:, 2] for side in (-1000, 1000))
  ratio = (right - left + 1) / 2000
  depth = ratio[:, None] * (joints[..., 2] - root[:, None, 2])
  image = np.concatenate([pixels, depth[..., None]], -1)
  flat, body = image - image[:, :1], joints - root[:, None]
  return image, (flat * body).sum((1, 2)) / (flat * flat).sum((1, 2))
