"""Skeletool's `camera.calibration`, the text that calibrates the cameras of MPI-INF-3DHP's training sequences."""

import numpy as np

from jaxpose.geometry.camera import Camera

HEADER = "Skeletool Camera Calibration File V1.0"


def parse(content: bytes, name: str) -> dict[int, Camera]:
  """{camera number: Camera}, from blocks of lines `name`, `size`, `intrinsic`, `extrinsic` (4 x 4, by rows), `radial`.

  The extrinsic takes world to camera, its translation in millimetres; a Camera's is in metres. Raises ValueError, with
  the file's name and the line, for anything else, as for a lens with distortion: in no published file has one any.
  """
  text = content.decode("ascii", "replace").splitlines()
  if not text or text[0].strip() != HEADER:
    raise ValueError(f"{name}, line 1: expected {HEADER!r}, got {text[0][:60] if text else 'an empty file'!r}")
  blocks: dict[int, dict[str, np.ndarray]] = {}
  block: dict[str, np.ndarray] = {}
  for number, line in enumerate(text[1:], 2):
    words = line.split()
    if not words:
      continue
    key, values = words[0], _numbers(words[1:], f"{name}, line {number}")
    if key == "name":
      if len(values) != 1 or not float(values[0]).is_integer() or int(values[0]) in blocks:
        raise ValueError(f"{name}, line {number}: {line.strip()!r}; every camera needs one number of its own")
      block = blocks.setdefault(int(values[0]), {})
    elif key in _LENGTHS:
      if len(values) != _LENGTHS[key]:
        raise ValueError(f"{name}, line {number}: {key} has {len(values)} numbers, expected {_LENGTHS[key]}")
      block[key] = values
    elif key == "radial" and values.any():
      raise ValueError(f"{name}, line {number}: radial distortion {values}; how it enters is not known")
  if not blocks:
    raise ValueError(f"{name}: it holds no camera; is it cut short?")
  return {number: _camera(block, f"{name}: camera {number}") for number, block in blocks.items()}


_LENGTHS = {"size": 2, "intrinsic": 16, "extrinsic": 16}


def _numbers(words: list[str], where: str) -> np.ndarray:
  try:
    return np.array([float(w) for w in words])
  except ValueError as error:
    raise ValueError(f"{where}: {error}") from None


def _camera(block: dict[str, np.ndarray], where: str) -> Camera:
  missing = [key for key in _LENGTHS if key not in block]
  if missing:
    raise ValueError(f"{where} lacks {', '.join(missing)}; is the file cut short?")
  inside, outside = block["intrinsic"].reshape(4, 4), block["extrinsic"].reshape(4, 4)
  rotation = outside[:3, :3]
  if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-4) or np.linalg.det(rotation) < 0:
    raise ValueError(f"{where}: its extrinsic is no rotation and translation")
  if not (inside[0, 0] > 0 and inside[1, 1] > 0 and np.isfinite(inside).all() and np.isfinite(outside).all()):
    raise ValueError(f"{where}: its focal lengths are {inside[0, 0]} and {inside[1, 1]}; they are positive, in pixels")
  fields = dict(
    focal=(inside[0, 0], inside[1, 1]),
    center=inside[:2, 2],
    radial=np.zeros(3),
    tangential=np.zeros(2),
    tangential_gain=1,
    size=block["size"],
    rotation=rotation,
    translation=outside[:3, 3] / 1000,
  )
  return Camera(**{k: np.asarray(v, np.float32) for k, v in fields.items()})
