"""The official download: D3_Positions, world-space poses of 32 joints, seen through the four calibrated cameras."""

import os
import pathlib
import re

import numpy as np

from data_builders import archives, sources
from data_builders.human36m import takes
from data_builders.human36m.calibration import Cameras
from data_builders.human36m.joints import H36M_32
from jaxpose import skeleton as skeletons
from jaxpose.data import cameras as rigs
from jaxpose.data.clip import Clip
from jaxpose.formats import cdf

_FOLDERS = ("D3_Positions", "Poses_D3_Positions")  # as unpacked, and as h36m-fetch names it
_ARCHIVE = re.compile(r"(?:Poses_)?D3_Positions(?:_S\d+)?\.(?:tgz|tar\.gz)", re.IGNORECASE)
_SUBJECT = re.compile(r"(?:^|[/_])[sS](\d+)(?=[/.])")
_MILLIMETRE = 1e-3

to_h36m_17 = skeletons.joint_map(H36M_32, skeletons.get("h36m_17"))


def find(folder: str | os.PathLike, owner: object) -> sources.Files:
  """The CDF files in D3_Positions folders below a folder, in its zips too, and in D3_Positions archives.

  owner: as of `sources.files`.
  """

  def packed(name: str) -> bool:
    return name.lower().endswith(archives.ZIPS) or bool(_ARCHIVE.fullmatch(name.rpartition("/")[2]))

  raw = sources.files(folder, None, (".cdf",), owner, packed)
  return {name: path for name, path in raw.items() if _is_pose(name)}


def _is_pose(name: str) -> bool:
  folder, _, file = name.rpartition("/")
  inside = folder.rpartition("/")[2]  # D3_Positions_mono and the like are other poses
  return (inside in _FOLDERS or bool(_ARCHIVE.fullmatch(inside))) and not file.startswith("_ALL")


def group(files: sources.Files, skipped: dict[str, str]) -> dict[str, list[str]]:
  """Names by subject, in the order of takes.SUBJECTS; second copies and files of no known subject go to `skipped`."""
  by_subject: dict[str, list[str]] = {subject: [] for subject in takes.SUBJECTS}
  first: dict[tuple[str, str], str] = {}
  for name in files:
    subject, take = identify(name)
    if subject not in by_subject:
      skipped[name] = f"no folder or archive of its path names a subject of {', '.join(takes.SUBJECTS)}"
    elif (subject, take) in first:
      skipped[name] = f"a second copy of {first[subject, take]}"
    else:
      first[subject, take] = name
      by_subject[subject].append(name)
  return {subject: names for subject, names in by_subject.items() if names}


def identify(name: str) -> tuple[str, str]:
  """(subject, take's canonical name) of a path; the innermost folder S1 or archive ..._S1.tgz names the subject."""
  subjects = _SUBJECT.findall(name.rpartition("/")[0] + "/")
  stem = name.rpartition("/")[2].rpartition(".")[0]
  return f"S{int(subjects[-1])}" if subjects else "", takes.canonical(stem)


def read(path: pathlib.Path, name: str, cameras: Cameras) -> list[Clip]:
  """The clips of a CDF file, one a camera. Raises ValueError, naming the file, for a damaged or another file."""
  subject, take = identify(name)
  values = cdf.read_pose(path, name)
  if values.shape[-1] != 3 * H36M_32.num_joints:
    raise ValueError(f"{name}: a frame has {values.shape[-1]} values, expected 96; is it a file of D3_Positions?")
  positions = values.reshape(len(values), -1, 3).astype(np.float64) * _MILLIMETRE
  return clips(positions, subject, take, cameras, name)


def clips(positions: np.ndarray, subject: str, take: str, cameras: Cameras, where: str) -> list[Clip]:
  """World positions [T, 32, 3] in metres as each camera of the subject sees them, lens distortion included."""
  if not np.isfinite(positions).all():
    raise ValueError(f"{where}: NaN or infinity in frame {np.argwhere(~np.isfinite(positions))[0][0]}")
  body = to_h36m_17(positions)
  views = []
  for camera_id, camera in cameras[subject].items():
    joints, pixels, _, near = rigs.see(body, camera)
    if near.any():
      raise ValueError(f"{where}: frame {near.any(-1).argmax()} lies behind camera {camera_id}; not world millimetres?")
    views.append(
      Clip(
        keypoints_2d=pixels,
        confidence=np.ones(pixels.shape[:2], np.float32),
        joints_3d=joints,
        valid=np.ones(len(joints), bool),
        camera=camera,
        skeleton=to_h36m_17.target,
        fps=takes.FPS,
        subject=subject,
        action=takes.action(take),
        sequence=take,
        camera_id=camera_id,
      )
    )
  return views
