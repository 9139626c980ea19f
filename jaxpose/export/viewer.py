"""viewer.html: the poses to turn around in a browser, in one file that needs no network.

Positions are stored in millimetres and keypoints in fractions of a pixel, as 16-bit integers in base64: a minute and a
half of two people takes less than a megabyte. The page is `viewer.html` beside this module, with `viewer.js`, which
draws on a canvas, inside it: from file:// a browser loads neither modules nor data.
"""

import base64
import json
import os
import pathlib

import numpy as np

from jaxpose import whole_file
from jaxpose.lifted import Lifted

_FOLDER = pathlib.Path(__file__).parent
_MISSING = -32768


def write(path: str | os.PathLike, lifted: Lifted, title: str = "") -> None:
  """Writes the page. Without a world people stand side by side, two metres apart."""
  whole_file.write(path, page(lifted, title).encode())


def page(lifted: Lifted, title: str = "") -> str:
  shown = lifted.shown
  if lifted.positions_world is None:
    low = np.where(np.isfinite(shown[..., 1]), shown[..., 1], np.inf).min(initial=np.inf)
    aside = 2.0 * (np.arange(len(lifted.ids)) - (len(lifted.ids) - 1) / 2)
    shown = shown + np.stack([aside, np.full_like(aside, -low if np.isfinite(low) else 0), 0 * aside], -1)[:, None]
  fine = 32000 / max(*lifted.size, 1)
  left, right = set(lifted.skeleton.left), set(lifted.skeleton.right)
  data = {
    "title": title or "Lifted poses",
    "ids": list(lifted.ids),
    "first": int(lifted.frames[0]) if len(lifted) else 0,
    "frames": len(lifted),
    "fps": float(lifted.fps),
    "names": list(lifted.skeleton.names),
    "bones": [list(bone) for bone in lifted.skeleton.bones],
    "sides": [-1 if j in left else 1 if j in right else 0 for j in range(lifted.skeleton.num_joints)],
    "root": lifted.skeleton.root,
    "size": list(lifted.size),
    "fine": fine,
    "world": lifted.positions_world is not None,
    "provenance": lifted.provenance,
    "positions": _base64(shown * 1000),
    "keypoints": _base64(lifted.keypoints_2d * fine),
    "status": base64.b64encode(lifted.status.tobytes()).decode(),
  }
  # A script ends at the first "</script", also within a text.
  text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
  script = (_FOLDER / "viewer.js").read_text(encoding="utf-8").replace("/*DATA*/null", text)
  return (_FOLDER / "viewer.html").read_text(encoding="utf-8").replace("/*SCRIPT*/", script)


def _base64(values: np.ndarray) -> str:
  """Rounded to little-endian int16, NaN as -32768."""
  finite = np.isfinite(values)
  whole = np.clip(np.round(np.where(finite, values, 0)), -32767, 32767)
  return base64.b64encode(np.where(finite, whole, _MISSING).astype("<i2").tobytes()).decode()
