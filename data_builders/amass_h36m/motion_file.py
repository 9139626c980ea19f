"""A motion of AMASS: an .npz with the parameters of a SMPL+H or SMPL-X body."""

import os
from typing import NamedTuple

import numpy as np

from jaxpose.formats import npz

_RATES = ("mocap_framerate", "mocap_frame_rate")  # SMPL+H's and SMPL-X's spelling
_GENDERS = ("female", "male", "neutral")


class Parameters(NamedTuple):
  """pose: [T, 156] (SMPL+H) or [T, 165] (SMPL-X), axis-angle; translation: [T, 3], metres, z up; betas: [B].

  A frame of pose or translation may be NaN. Soft tissue (`dmpls`, which not every file has) is left out.
  """

  gender: str
  pose: np.ndarray
  translation: np.ndarray
  betas: np.ndarray
  fps: float


def read(path: str | os.PathLike, name: str) -> Parameters:
  """The parameters in a file that errors call `name`.

  Raises ValueError that says why there are none.
  """
  keys = set(npz.names(path, name))
  if "poses" not in keys:
    raise ValueError(f"{name} holds no poses, it has {', '.join(sorted(keys))}")
  rates = [key for key in _RATES if key in keys]
  missing = [key for key in ("trans", "betas", "gender") if key not in keys] + ([] if rates else [_RATES[0]])
  if missing:
    raise ValueError(f"{name} lacks {', '.join(missing)}")
  try:
    record = npz.read(path, ["poses", "trans", "betas", "gender", rates[0]], where=name)
    poses, translation, betas = (np.asarray(record[key], np.float64) for key in ("poses", "trans", "betas"))
    fps = float(np.asarray(record[rates[0]]).reshape(()))
  except (TypeError, ValueError) as error:
    raise ValueError(f"{name} cannot be read: {error}") from None
  if poses.ndim != 2 or not len(poses) or translation.shape != (len(poses), 3) or betas.ndim != 1:
    raise ValueError(
      f"{name}: poses {poses.shape}, trans {translation.shape} and betas {betas.shape} are not [T, D], [T, 3] and [B]"
    )
  if not np.isfinite(betas).all():
    raise ValueError(f"{name}: its betas hold NaN or infinity")
  if not 1 <= fps <= 1000:
    raise ValueError(f"{name}: {rates[0]} is {fps}, no frame rate")
  # 120.00004577636719 is 120; 59.94 is not 60.
  return Parameters(_gender(record["gender"], name), poses, translation, betas, _rounded(fps))


def _rounded(fps: float) -> float:
  return float(round(fps)) if abs(fps - round(fps)) < 0.01 else fps


def _gender(value, name: str) -> str:
  """The gender as text: files hold it as Unicode, as bytes (whose `str` would be "b'female'"), or as an object."""
  item = np.asarray(value).reshape(-1)
  text = item[0] if len(item) == 1 else value
  text = (text.decode("latin1") if isinstance(text, bytes) else str(text)).strip().lower()
  if text not in _GENDERS:
    raise ValueError(f"{name}: gender {text!r}; expected one of {', '.join(_GENDERS)}")
  return text
