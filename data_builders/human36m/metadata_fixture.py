"""Human3.6M's metadata.xml as the official toolbox has it, from the published calibration and the table of takes."""

import pathlib
import zipfile
from collections.abc import Iterable
from typing import Any
from xml.sax import saxutils

import numpy as np
from scipy.spatial.transform import Rotation

from data_builders.human36m import takes
from data_builders.human36m.calibration import CAMERA_IDS
from jaxpose.data import calibration

_SUBJECTS = tuple(f"S{n}" for n in range(1, 12))


def write(folder: pathlib.Path, zipped: bool = False) -> None:
  """Release-v1.2/metadata.xml below the folder, or in code-v1.2.zip."""
  name = "Release-v1.2/metadata.xml"
  if zipped:
    with zipfile.ZipFile(folder / "code-v1.2.zip", "w", zipfile.ZIP_DEFLATED) as archive:
      archive.writestr(name, text())
  else:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text())


def camera(subject: str, camera_id: str) -> dict[str, Any]:
  """R, T (mm), f, c, k, p of a camera in the file's conventions, float64: X_camera = R (X_world - T), p reversed."""
  (w, x, y, z), position = calibration.H36M_EXTRINSICS[subject][CAMERA_IDS.index(camera_id)]
  intrinsics = calibration.H36M_INTRINSICS[camera_id]
  return {
    "R": Rotation.from_quat([x, y, z, w]).as_matrix().T,
    "T": np.array(position),
    "f": np.array(intrinsics["focal"]),
    "c": np.array(intrinsics["center"]),
    "k": np.array(intrinsics["radial"]),
    "p": np.array(intrinsics["tangential"][::-1]),
  }


def text() -> str:
  """The whole file. Subjects whose calibration is not published get zeros."""
  header = ["Action", "subaction", *_SUBJECTS]
  rows = [["1", str(sub), *("_ALL" if sub == 1 else "_ALL 1" for _ in _SUBJECTS)] for sub in (1, 2)]
  for i in range(30):
    number, sub = 2 + i // 2, 1 + i % 2
    files = [takes.TAKES[s][i].file if s in takes.TAKES else f"{takes.ACTIONS[i // 2]} {sub}" for s in _SUBJECTS]
    rows.append([str(number), str(sub), *files])
  actions = ["_ALL", *takes.ACTIONS]
  parts = [
    _node("mapping", _table([header, *rows])),
    _node("actionnames", "".join(_node("a", a) for a in actions)),
    _node("frames", _table(_frames(s) for s in _SUBJECTS)),
    _node("dbcameras", _node("index2id", "".join(_node("id", c) for c in CAMERA_IDS))),
    _node("train_subjects", "[1 7 8 9 11]"),
    _node("val_subjects", "[5 6]"),
    _node("test_subjects", "[2 3 4 10]"),
    _node("w0", "[" + " ".join(repr(float(n)) for n in _w0()) + "]"),
  ]
  return '<?xml version="1.0" encoding="utf-8"?>\n' + _node("metadata", "\n".join(parts)) + "\n"


def _node(name: str, content: str) -> str:
  inside = content if content.startswith(("<", "[")) else saxutils.escape(content)
  return f"<{name}>{inside}</{name}>"


def _table(rows: Iterable[list[str]]) -> str:
  return "".join(_node("tr", "".join(_node("td", cell) for cell in row)) for row in rows)


def _frames(subject: str) -> list[str]:
  """[camera 1 to 4, motion capture at 200 Hz] of each take; videos are a few frames longer than poses."""
  return [
    f"[{t.frames + 1} {t.frames + 4} {t.frames + 4} {t.frames + 1} {4 * t.frames + 1}]"
    for t in takes.TAKES.get(subject, ())
  ]


def _w0() -> np.ndarray:
  """300 numbers: camera by camera the extrinsics of 11 subjects, then four intrinsics."""
  extrinsics = np.zeros((4, 11, 6))
  for subject in takes.SUBJECTS:
    for c, camera_id in enumerate(CAMERA_IDS):
      published = camera(subject, camera_id)
      angles = Rotation.from_matrix(published["R"]).as_euler("XYZ")
      extrinsics[c, int(subject[1:]) - 1] = [*angles, *published["T"]]
  intrinsics = [[*o["f"], *o["c"], *o["k"], *o["p"]] for o in (camera("S1", c) for c in CAMERA_IDS)]
  return np.concatenate([extrinsics.ravel(), np.ravel(intrinsics)])
