"""Human3.6M's cameras: from the official metadata.xml, or as published with derived files."""

import re

import numpy as np
from scipy.spatial.transform import Rotation

from jaxpose.data import calibration
from jaxpose.geometry import camera as geometry
from jaxpose.geometry.camera import Camera

CAMERA_IDS = tuple(calibration.H36M_INTRINSICS)  # cameras 1 to 4
_SUBJECTS, _PER_EXTRINSIC, _PER_INTRINSIC = 11, 6, 9
_COUNT = 4 * (_SUBJECTS * _PER_EXTRINSIC + _PER_INTRINSIC)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")

Cameras = dict[str, dict[str, Camera]]  # subject -> camera id -> its camera


def published() -> Cameras:
  """The calibration that VideoPose3D and its line carry as constants."""
  cameras: Cameras = {}
  for subject, extrinsics in calibration.H36M_EXTRINSICS.items():
    cameras[subject] = {}
    for camera_id, ((w, x, y, z), position_mm) in zip(CAMERA_IDS, extrinsics):
      rotation = Rotation.from_quat([x, y, z, w]).as_matrix().T  # the quaternion turns camera axes into the world's
      position = np.array(position_mm) / 1000
      cameras[subject][camera_id] = geometry.create(
        **calibration.H36M_INTRINSICS[camera_id], rotation=rotation, position=position
      )
  return cameras


def from_metadata(text: str, where: str) -> Cameras:
  """The calibration in metadata.xml's list `w0`: 44 extrinsics, camera by camera, then 4 intrinsics.

  An extrinsic is three intrinsic XYZ Euler angles in radians and the camera's centre in millimetres; an intrinsic is
  fx fy cx cy k1 k2 k3 p1 p2. Traps: p1 and p2 are in the reverse of `Camera.tangential`'s order, and the file's
  `dbcameras` are an older calibration. Image sizes are the published ones: the file's own, for S7, nobody uses.
  Raises ValueError, naming `where`, for a file without this list.
  """
  match = re.search(r"<w0>\s*\[([^\]<]*)\]\s*</w0>", text)
  numbers = np.array([float(n) for n in _NUMBER.findall(match.group(1))]) if match else np.zeros(0)
  if numbers.size != _COUNT:
    raise ValueError(
      f"{where} holds {numbers.size} numbers in <w0>, expected {_COUNT}; take metadata.xml from the toolbox "
      "(code-v1.2.zip), or remove it to use the published calibration"
    )
  extrinsics = numbers[: 4 * _SUBJECTS * _PER_EXTRINSIC].reshape(4, _SUBJECTS, _PER_EXTRINSIC)
  intrinsics = numbers[4 * _SUBJECTS * _PER_EXTRINSIC :].reshape(4, _PER_INTRINSIC)
  return {
    subject: {
      camera_id: _camera(camera_id, extrinsic[int(subject[1:]) - 1], intrinsic)
      for camera_id, extrinsic, intrinsic in zip(CAMERA_IDS, extrinsics, intrinsics)
    }
    for subject in calibration.H36M_EXTRINSICS
  }


def _camera(camera_id: str, extrinsic: np.ndarray, intrinsic: np.ndarray) -> Camera:
  return geometry.create(
    focal=intrinsic[:2],
    center=intrinsic[2:4],
    radial=intrinsic[4:7],
    tangential=intrinsic[:6:-1],
    size=calibration.H36M_INTRINSICS[camera_id]["size"],
    rotation=Rotation.from_euler("XYZ", extrinsic[:3]).as_matrix(),
    position=extrinsic[3:] / 1000,
  )
