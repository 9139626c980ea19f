"""MotionBERT's h36m_sh_conf_cam_source_final.pkl: hourglass keypoints with confidence, and poses in 2.5D image space.

The file has no pose in metres: `joint3d_image` is (u, v, s (Z - Z_root)) in pixels with u, v the pinhole projection and
s the scale at the root's depth. Given that depth the pose in camera space follows, and whatever depth is taken, codec
image_25d gives `joint3d_image` back from it. Where the depth comes from:

  test:  the file's `2.5d_factor`, a monotone function of it
  train: the file has no factor; the four cameras that saw the take are calibrated, so the root is triangulated
  else:  (a take with one camera, or cameras that disagree) the middle of the room, which gets the size wrong by as much
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from data_builders.human36m import takes
from data_builders.human36m.calibration import CAMERA_IDS, Cameras
from jaxpose import skeleton as skeletons
from jaxpose.data.clip import Clip
from jaxpose.formats import pickles
from jaxpose.geometry.camera import Camera

FILE = "h36m_sh_conf_cam_source_final.pkl"
SKELETON = skeletons.get("h36m_17")
SPLITS = ("train", "test")
_TOLERANCE_PX = 2.0  # cameras that agree on the root do so to a thousandth of this
_DEPTHS_M = (0.5, 30.0)  # of a root before a camera of this laboratory


class Part(NamedTuple):
  """The frames of one split; factor is None in the training split, which has none."""

  keypoints: np.ndarray  # [N, 17, 2] pixels
  confidence: np.ndarray  # [N, 17]
  image: np.ndarray  # [N, 17, 3] pixels
  camera: np.ndarray  # [N] camera ids
  factor: np.ndarray | None  # [N] millimetres a pixel
  spans: dict[str, slice]  # source -> its frames


def load(content: bytes, where: str, skipped: dict[str, str]) -> dict[str, Part]:
  """The splits of the file. Second runs of a source are put in `skipped`; a ValueError says what is not as expected."""
  data = pickles.load(content, where)
  if not isinstance(data, dict) or not any(isinstance(data.get(split), dict) for split in SPLITS):
    raise ValueError(f"{where}: expected a dict with 'train' and 'test'")
  return {split: _part(data[split], f"{where}, {split}", skipped) for split in SPLITS if split in data}


def _part(data: dict[str, Any], where: str, skipped: dict[str, str]) -> Part:
  missing = [key for key in ("joint_2d", "joint3d_image", "camera_name", "source") if key not in data]
  if missing:
    raise ValueError(f"{where}: it lacks {', '.join(missing)}; it holds {', '.join(map(str, data))}")
  frames, joints = len(data["source"]), SKELETON.num_joints
  confidence = data.get("confidence", np.ones((frames, joints)))
  factor = data.get("2.5d_factor")
  part = Part(
    keypoints=_array(data["joint_2d"], (frames, joints, 2), f"{where}: joint_2d"),
    confidence=_array(np.reshape(confidence, np.shape(confidence)[:2]), (frames, joints), f"{where}: confidence"),
    image=_array(data["joint3d_image"], (frames, joints, 3), f"{where}: joint3d_image"),
    camera=np.asarray(data["camera_name"]).astype(str),
    factor=None if factor is None else _array(factor, (frames,), f"{where}: 2.5d_factor"),
    spans=_spans(np.asarray(data["source"]).astype(str), skipped),
  )
  if part.camera.shape != (frames,):
    raise ValueError(f"{where}: {len(part.camera)} camera names for {frames} frames")
  if "action" in data:
    _check_actions(np.asarray(data["action"]).astype(str), part.spans, where)
  return part


def _array(values: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
  array = np.asarray(values)
  if array.shape != shape or not np.issubdtype(array.dtype, np.number):
    raise ValueError(f"{what} has shape {array.shape} and dtype {array.dtype}, expected numbers of shape {shape}")
  return array


def _spans(source: np.ndarray, skipped: dict[str, str]) -> dict[str, slice]:
  """{source: its frames}: a video is a run of frames of one source."""
  edges = np.concatenate([[0], np.flatnonzero(source[1:] != source[:-1]) + 1, [len(source)]])
  spans: dict[str, slice] = {}
  for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist()):
    name = str(source[start])
    if name in spans:
      skipped[f"{name}, frames {start} to {stop - 1}"] = "a second run of frames of this source"
    else:
      spans[name] = slice(start, stop)
  return spans


def _check_actions(actions: np.ndarray, spans: dict[str, slice], where: str) -> None:
  """The file's action labels group the takes as the numbers in `source` do, whatever their spelling."""
  pairs = set()
  for source, span in spans.items():
    try:
      take = takes.parse_source(source).take
    except ValueError:
      continue  # left out with a reason of its own
    pairs |= {(takes.action(take), label) for label in np.unique(actions[span]).tolist()}
  if len({ours for ours, _ in pairs}) != len(pairs) or len({label for _, label in pairs}) != len(pairs):
    raise ValueError(f"{where}: its actions do not go with those of its sources: {sorted(pairs)}")


def clip(parts: dict[str, Part], split: str, source: str, cameras: Cameras) -> Clip:
  """The clip of one source, joints_3d in camera space.

  extra["factor_25d"] is the published factor of each frame in mm a pixel: the file's, or, for training frames, that of
  joints_3d. extra["depth_from"] says where the root's depth comes from: "2.5d_factor", "triangulated" or "assumed".
  """
  part, span = parts[split], parts[split].spans[source]
  subject, take, _ = takes.parse_source(source)
  camera_id = str(part.camera[span.start])
  if set(part.camera[span].tolist()) != {camera_id} or camera_id not in cameras[subject]:
    raise ValueError(f"source {source!r} has cameras {sorted(set(part.camera[span].tolist()))}, expected one of four")
  camera, image = cameras[subject][camera_id], part.image[span].astype(np.float64)
  if part.factor is not None:
    depth, origin = depth_of_factor(image, part.factor[span] / 1000, camera), "2.5d_factor"
  else:
    depth, origin = _triangulated(part, source, cameras[subject]), "triangulated"
    if depth is None:
      depth, origin = np.full(len(image), _middle_depth(cameras[subject], camera_id)), "assumed"
  wrong = (depth < _DEPTHS_M[0]) | (depth > _DEPTHS_M[1]) | ~np.isfinite(depth)
  if wrong.any():
    raise ValueError(
      f"source {source!r}: the root would be {depth[wrong][0]:.3g} m away; is 2.5d_factor in mm a pixel?"
    )
  joints = camera_space(image, depth, camera)
  factor = factor_of(image, joints) * 1000 if part.factor is None else part.factor[span]
  return Clip(
    keypoints_2d=part.keypoints[span].astype(np.float32),
    confidence=part.confidence[span].astype(np.float32),
    joints_3d=joints.astype(np.float32),
    valid=np.ones(len(image), bool),
    camera=camera,
    skeleton=SKELETON,
    fps=takes.FPS,
    subject=subject,
    action=takes.action(take),
    sequence=take,
    camera_id=camera_id,
    extra={"factor_25d": np.asarray(factor, np.float32), "depth_from": origin},
  )


def camera_space(image: np.ndarray, depth: np.ndarray, camera: Camera) -> np.ndarray:
  """Joints [T, J, 3] in metres from the image pose [T, J, 3] in pixels and the root's depth [T] in metres."""
  depth = depth[:, None]
  scale = camera.focal[0] / depth + 0.5  # pixels a metre: half of the box of root +- 1 m, and a pixel
  z = depth + image[..., 2] / scale
  rays = (image[..., :2] - camera.center) / camera.focal
  return np.concatenate([rays * z[..., None], z[..., None]], -1)


def factor_of(image: np.ndarray, joints: np.ndarray) -> np.ndarray:
  """argmin over lambda of |lambda P_image - P_camera|^2 per frame, about the root: metres a pixel [T]."""
  image, joints = (x - x[:, SKELETON.root : SKELETON.root + 1] for x in (image, joints))
  return (image * joints).sum((1, 2)) / np.maximum((image * image).sum((1, 2)), 1e-12)


def depth_of_factor(image: np.ndarray, factor: np.ndarray, camera: Camera, steps: int = 30) -> np.ndarray:
  """The root's depth [T] in metres at which `factor_of` is `factor` (metres a pixel): nearly focal * factor."""
  factor = np.asarray(factor, np.float64)
  depth = factor * camera.focal[0]
  for _ in range(steps):
    depth = depth * factor / np.maximum(factor_of(image, camera_space(image, depth, camera)), 1e-12)
  return depth


def _triangulated(part: Part, source: str, cameras: dict[str, Camera]) -> np.ndarray | None:
  """The root's depth [T] before this source's camera, from all cameras of the take; None where they do not agree."""
  take = takes.parse_source(source)
  names = [n for n in part.spans if n.rpartition("_ca_")[0] == source.rpartition("_ca_")[0]]
  views = {CAMERA_IDS[takes.parse_source(n).camera - 1]: part.image[part.spans[n], SKELETON.root, :2] for n in names}
  if len(views) < 2 or len({len(v) for v in views.values()}) > 1:
    return None
  seen_by = [cameras[camera_id] for camera_id in views]
  rays = [(v.astype(np.float64) - c.center) / c.focal for v, c in zip(views.values(), seen_by)]
  points = nearest_points(seen_by, rays)
  for camera, ray in zip(seen_by, rays):
    x, y, z = np.moveaxis(points @ camera.rotation.T.astype(np.float64) + camera.translation, -1, 0)
    error = np.linalg.norm((np.stack([x, y], -1) / z[:, None] - ray) * camera.focal, axis=-1)
    if not np.median(error) < _TOLERANCE_PX:
      return None
  camera = cameras[CAMERA_IDS[take.camera - 1]]
  return points @ camera.rotation[2].astype(np.float64) + camera.translation[2]


def nearest_points(cameras: Sequence[Camera], rays: Sequence[np.ndarray]) -> np.ndarray:
  """World points [T, 3] nearest, in least squares, to the cameras' rays (x/z, y/z) [T, 2] each."""
  across, right = np.zeros((len(rays[0]), 3, 3)), np.zeros((len(rays[0]), 3))
  for camera, ray in zip(cameras, rays):
    rotation = np.asarray(camera.rotation, np.float64)
    direction = np.concatenate([ray, np.ones_like(ray[:, :1])], -1) @ rotation
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    projector = np.eye(3) - direction[:, :, None] * direction[:, None]
    across += projector
    right += projector @ (-rotation.T @ camera.translation)
  return np.linalg.solve(across, right[..., None])[..., 0]


def _middle_depth(cameras: dict[str, Camera], camera_id: str) -> float:
  """The depth, before a camera, of the point nearest to the optical axes of all."""
  middle = nearest_points(list(cameras.values()), [np.zeros((1, 2))] * len(cameras))[0]
  return float(cameras[camera_id].rotation[2] @ middle + cameras[camera_id].translation[2])
