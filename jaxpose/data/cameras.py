"""Virtual camera rigs: world-space motion becomes clips, as real or sampled cameras would see it.

A rig lives in a world with z up and the floor at z = 0, in metres. Everything here is NumPy in float64, rounded to
float32 at the end, so that a data set is the same whatever accelerator the machine has; `see` agrees with
`geometry.camera`.
"""

import dataclasses
import hashlib
import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from jaxpose.data import calibration
from jaxpose.data.clip import Clip, Motion
from jaxpose.geometry import camera as geometry
from jaxpose.geometry import rotation as rotations
from jaxpose.geometry.camera import Camera

NEAREST_M = 0.1  # a joint nearer to the camera plane than this, or behind it, makes its frame invalid
CHEST_M = 0.9  # the height that a fixed rig aims at: the middle of a standing person
_UP = np.array([0.0, 0.0, 1.0])
_Y_UP_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # a quarter turn about x: a rotation, so left stays left

Sampler = Callable[[np.random.Generator, np.ndarray], list[tuple[str, Camera]]]


@dataclasses.dataclass(frozen=True)
class Rig:
  """Cameras, and how motions are placed before them.

  cameras(rng, target [3]) gives (camera_id, Camera) pairs; `target` is the mean place of the person's root, in metres.
  Motions are centred on `center` (x, y). recentre: "clip" subtracts the mean horizontal place of the root, one
  constant vector, and leaves the motion as it is; "window" subtracts its moving mean over `window_s` seconds, as if
  the cameras travelled with the person, for sequences that walk out of the image. A frame with more than `max_outside`
  joints outside the image is not valid.
  """

  name: str
  cameras: Sampler
  center: tuple[float, float] = (0.0, 0.0)
  recentre: str = "clip"
  window_s: float = 4.0
  max_outside: int = 0

  def __post_init__(self):
    if self.recentre not in ("clip", "window"):
      raise ValueError(f"rig {self.name!r}: recentre={self.recentre!r}; known are 'clip' and 'window'")
    if not self.window_s > 0:
      raise ValueError(
        f"rig {self.name!r}: window_s={self.window_s}; the window's length is a positive number of seconds"
      )
    if self.max_outside < 0:
      raise ValueError(f"rig {self.name!r}: max_outside={self.max_outside}; it counts joints, from 0")


def build(name: str, **options) -> Rig:
  """The rig of that name; its function below tells its options, every rig takes recentre, window_s, max_outside too.

  Raises ValueError for an unknown name or option, listing those there are.
  """
  if name not in RIGS:
    raise ValueError(f"unknown camera rig {name!r}; known are {', '.join(RIGS)}")
  of_rig = list(inspect.signature(RIGS[name]).parameters)
  placing = ["recentre", "window_s", "max_outside"]
  for option in options:
    if option not in of_rig + placing:
      raise ValueError(f"camera rig {name!r} has no option {option!r}; it has {', '.join(of_rig + placing)}")
  rig = RIGS[name](**{k: v for k, v in options.items() if k in of_rig})
  return dataclasses.replace(rig, **{k: v for k, v in options.items() if k in placing})


def h36m(subject: str = "S1") -> Rig:
  """Human3.6M's four real cameras, with distortion, as calibrated for a subject; centred where the four look."""
  extrinsics = calibration.H36M_EXTRINSICS
  if subject not in extrinsics:
    raise ValueError(f"rig 'h36m': no calibration for subject {subject!r}; known are {', '.join(extrinsics)}")
  cameras = []
  for (camera_id, intrinsics), (quaternion, position_mm) in zip(
    calibration.H36M_INTRINSICS.items(), extrinsics[subject]
  ):
    rotation = np.asarray(rotations.from_quaternion(np.array(quaternion, np.float32))).T
    cameras.append((camera_id, geometry.create(**intrinsics, rotation=rotation, position=np.array(position_mm) / 1000)))
  x, y, _ = _focus([c for _, c in cameras])
  return Rig("h36m", lambda rng, target: cameras, (float(x), float(y)))


def mpi_inf_3dhp_test(
  cameras_per_motion: int = 2,
  elevation: Sequence[float] = (-0.5, 0.9),
  distance: Sequence[float] = (2.5, 6.0),
  fit_m: float = 1.1,
  jitter_m: float = 0.1,
) -> Rig:
  """The intrinsics of MPI-INF-3DHP's test sequences on cameras sampled anew for each motion, aimed at the person.

  Azimuth is uniform, elevation (radians) and distance (metres) are uniform in their ranges, high and low: a low camera
  may be under the floor, which hides nothing. A lens that cannot hold `fit_m` metres to each side of the person at the
  sampled range's start keeps farther away. The aim is off by `jitter_m` (standard deviation).
  """
  elevation, distance = _range("elevation", elevation), _range("distance", distance, positive=True)
  _check_count("cameras_per_motion", cameras_per_motion)
  names = list(calibration.MPI_INF_3DHP_TEST_INTRINSICS)

  def sample(rng: np.random.Generator, target: np.ndarray) -> list[tuple[str, Camera]]:
    cameras = []
    for i in range(cameras_per_motion):
      name = names[rng.integers(len(names))]
      intrinsics = calibration.MPI_INF_3DHP_TEST_INTRINSICS[name]
      nearest = fit_m * max(2 * f / s for f, s in zip(intrinsics["focal"], intrinsics["size"]))
      far = rng.uniform(max(distance[0], min(nearest, distance[1])), distance[1])
      pose = _aim(rng, target, rng.uniform(-np.pi, np.pi), rng.uniform(*elevation), far, jitter_m)
      cameras.append((f"{i}_{name}", geometry.create(**intrinsics, **pose)))
    return cameras

  return Rig("mpi_inf_3dhp_test", sample)


def random(
  cameras_per_motion: int = 2,
  azimuth: Sequence[float] = (-np.pi, np.pi),
  elevation: Sequence[float] = (-0.1, 0.35),
  distance: Sequence[float] = (3.0, 6.0),
  focal: Sequence[float] = (1100.0, 1200.0),
  size: Sequence[int] = (1000, 1000),
  jitter_m: float = 0.1,
) -> Rig:
  """Pinhole cameras, sampled for each motion; ranges in radians, metres and pixels are uniform."""
  azimuth, elevation = _range("azimuth", azimuth), _range("elevation", elevation)
  distance, focal = _range("distance", distance, positive=True), _range("focal", focal, positive=True)
  _check_count("cameras_per_motion", cameras_per_motion)

  def sample(rng: np.random.Generator, target: np.ndarray) -> list[tuple[str, Camera]]:
    cameras = []
    for i in range(cameras_per_motion):
      pose = _aim(rng, target, rng.uniform(*azimuth), rng.uniform(*elevation), rng.uniform(*distance), jitter_m)
      cameras.append((str(i), _pinhole(rng.uniform(*focal), size, pose)))
    return cameras

  return Rig("random", sample)


def fixed_four(focal: float = 1150.0, size: Sequence[int] = (1000, 1000)) -> Rig:
  """Four fixed cameras around the person, slightly above: the source domain of the synthetic experiments."""
  cameras = []
  for i, (azimuth, elevation, distance) in enumerate(
    zip((0.6, 2.2, 3.7, 5.3), (0.05, 0.25, 0.12, 0.18), (4.0, 5.5, 4.5, 5.0))
  ):
    pose = _aim(np.random.default_rng(0), CHEST_M * _UP, azimuth, elevation, distance, 0.0)
    cameras.append((str(i), _pinhole(focal, size, pose)))
  return Rig("fixed_four", lambda rng, target: cameras)


def high_low_close(jitter_m: float = 0.1) -> Rig:
  """A high, a low and a close wide camera, sampled for each motion: the target domain of the synthetic experiments."""
  #         elevation      distance     focal px
  kinds = {
    "high": ((0.6, 0.9), (3.5, 6.0), 1150.0),
    "low": ((-0.5, -0.2), (3.5, 6.0), 1150.0),
    "close": ((-0.1, 0.35), (2.3, 3.0), 800.0),
  }

  def sample(rng: np.random.Generator, target: np.ndarray) -> list[tuple[str, Camera]]:
    cameras = []
    for name, (elevation, distance, focal) in kinds.items():
      azimuth = rng.uniform(-np.pi, np.pi)
      pose = _aim(rng, target, azimuth, rng.uniform(*elevation), rng.uniform(*distance), jitter_m)
      cameras.append((name, _pinhole(focal, (1000, 1000), pose)))
    return cameras

  return Rig("high_low_close", sample)


RIGS: dict[str, Callable[..., Rig]] = {
  f.__name__: f for f in (h36m, mpi_inf_3dhp_test, random, fixed_four, high_low_close)
}


def clips_from_motion(motion: Motion, rig: Rig, *, fps: float | int | None = None, seed: int = 0) -> list[Clip]:
  """One clip for each camera of the rig, at `fps` (the motion's own when None).

  The motion is resampled, turned to z up, centred (Rig.recentre) and set on the floor: z = 0 is the first percentile,
  over frames, of the lowest joint. Frames with a joint behind the camera or outside the image (Rig.max_outside) are
  not `valid`; their keypoints are finite but mean nothing. Nor are frames valid that the motion lacks, or that lie
  between one that it lacks and another: their confidence is 0. A clip without any valid frame is returned too,
  `summary` counts them. Sampled cameras depend on (seed, rig, subject, sequence) alone.
  """
  fps = float(motion.fps if fps is None else fps)
  known = resample(motion.valid.astype(np.float64), motion.fps, fps) > 1 - 1e-6
  standing = known if known.any() else np.ones_like(known)
  positions = place(resample(motion.positions_world.astype(np.float64), motion.fps, fps), motion, rig, fps, standing)
  root = positions[:, motion.skeleton.root]
  key = json.dumps([seed, rig.name, motion.subject, motion.sequence]).encode()
  rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))
  clips = []
  for camera_id, camera in rig.cameras(rng, root[standing].mean(0)):
    joints, pixels, outside, near = see(positions, camera)
    clips.append(
      Clip(
        keypoints_2d=pixels,
        confidence=np.repeat(known[:, None], pixels.shape[1], 1).astype(np.float32),
        joints_3d=joints,
        valid=(outside.sum(-1) <= rig.max_outside) & ~near.any(-1) & known,
        camera=camera,
        skeleton=motion.skeleton,
        fps=fps,
        subject=motion.subject,
        action=motion.action,
        sequence=motion.sequence,
        camera_id=camera_id,
      )
    )
  return clips


def summary(clips: Iterable[Clip]) -> dict[str, int]:
  """Counts of clips, clips_without_valid_frames, frames and valid_frames."""
  valid = [(len(c), int(c.valid.sum())) for c in clips]
  return {
    "clips": len(valid),
    "clips_without_valid_frames": sum(v == 0 for _, v in valid),
    "frames": sum(n for n, _ in valid),
    "valid_frames": sum(v for _, v in valid),
  }


def resample(positions: np.ndarray, source_fps: float, fps: float) -> np.ndarray:
  """Positions [T, ...] at another frame rate, from the first frame on; never past the last one.

  Every n-th frame where `fps` divides the source's rate (to a thousandth: BVH files round theirs); else linear
  interpolation in time, which shortens a bone by at most 1 - cos of half the angle it turns in a source frame.
  """
  if not fps > 0:
    raise ValueError(f"fps={fps}; the frame rate is a positive number of frames a second")
  ratio = source_fps / fps
  stride = round(ratio)
  if stride >= 1 and abs(ratio - stride) < 1e-3 * stride:
    return positions[::stride]
  at = np.arange(int((len(positions) - 1) / ratio + 1e-6) + 1) * ratio
  before = np.minimum(at.astype(int), len(positions) - 1)
  after = np.minimum(before + 1, len(positions) - 1)
  weight = (at - before).reshape((-1,) + (1,) * (positions.ndim - 1))
  return positions[before] * (1 - weight) + positions[after] * weight


def place(
  positions: np.ndarray, motion: Motion, rig: Rig, fps: float, standing: np.ndarray | slice = slice(None)
) -> np.ndarray:
  """Positions [T, J, 3] in the motion's world to the rig's: z up, centred, standing on z = 0.

  standing: the frames, bool [T], that say where the middle and the floor are; all unless given.
  """
  if motion.up == "y":
    positions = positions @ _Y_UP_TO_Z_UP.T
  path = positions[:, motion.skeleton.root, :2]
  if rig.recentre == "clip":
    middle = np.broadcast_to(path[standing].mean(0), path.shape)
  else:
    middle = ndimage.uniform_filter1d(path, max(1, round(rig.window_s * fps)), axis=0, mode="nearest")
  floor = np.percentile(positions[standing, :, 2].min(-1), 1)
  shift = np.concatenate([np.array(rig.center) - middle, np.full((len(path), 1), -floor)], -1)
  return positions + shift[:, None]


def see(positions: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """World positions [T, J, 3] to camera space [T, J, 3], pixels [T, J, 2], and per joint: outside the image, too near.

  Pixels are those of `geometry.camera.project`; a joint nearer than NEAREST_M is projected as if it were that far.
  """
  c = Camera(*(np.asarray(field, np.float64) for field in camera))
  joints = positions @ c.rotation.T + c.translation
  near = joints[..., 2] < NEAREST_M
  rays = joints[..., :2] / np.maximum(joints[..., 2:], NEAREST_M)
  wide = np.zeros_like(near)
  if c.radial.any() or c.tangential.any():
    widest = geometry.WIDEST if c.tangential_gain == 1 else geometry.WIDEST_OPENCV  # where the model bounds rays
    wide = (np.abs(rays) > widest).any(-1) | ((rays**2).sum(-1) > _fold(np.asarray(c.radial)))
    rays = np.clip(rays, -widest, widest)
  r2 = (rays**2).sum(-1, keepdims=True)
  tangential = c.tangential_gain * (rays * c.tangential).sum(-1, keepdims=True)
  factor = 1 + r2 * (c.radial[0] + r2 * (c.radial[1] + r2 * c.radial[2])) + tangential
  pixels = (rays * factor + c.tangential * r2) * c.focal + c.center
  outside = near | wide | (pixels < 0).any(-1) | (pixels >= c.size).any(-1)
  return joints.astype(np.float32), pixels.astype(np.float32), outside, near


def _fold(radial: np.ndarray) -> float:
  """The r^2 from which on a ray's image comes back towards the centre: r (1 + k1 r^2 + ...) has a derivative of 0."""
  roots = np.roots([7 * radial[2], 5 * radial[1], 3 * radial[0], 1])
  return min((r.real for r in roots if abs(r.imag) < 1e-9 < r.real), default=np.inf)


def _aim(
  rng: np.random.Generator, target: np.ndarray, azimuth: float, elevation: float, distance: float, jitter_m: float
) -> dict[str, Any]:
  """rotation and position of a level camera at a place around `target`, above it by `elevation`, that looks near it."""
  level = np.cos(elevation)
  position = target + distance * np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)])
  looks_at = target + rng.normal(0, 1, 3) * jitter_m
  rotation = rotations.look_at(*(np.asarray(v, np.float32) for v in (position, looks_at, _UP)))
  return {"rotation": np.asarray(rotation), "position": position}


def _pinhole(focal: float, size: Sequence[int], pose: dict[str, Any]) -> Camera:
  return geometry.create((focal, focal), (size[0] / 2, size[1] / 2), size, **pose)


def _focus(cameras: list[Camera]) -> np.ndarray:
  """The point [3] nearest to all optical axes, in least squares."""
  normal, right = np.zeros((3, 3)), np.zeros(3)
  for camera in cameras:
    rotation = np.asarray(camera.rotation, np.float64)
    across = np.eye(3) - np.outer(rotation[2], rotation[2])
    normal += across
    right += across @ (-rotation.T @ camera.translation)
  return np.linalg.solve(normal, right)


def _range(name: str, value: Sequence[float], positive: bool = False) -> tuple[float, float]:
  if len(value) != 2 or not value[0] <= value[1] or (positive and not value[0] > 0):
    raise ValueError(f"camera rig option {name}={value!r}; expected (low, high)" + " above 0" * positive)
  return float(value[0]), float(value[1])


def _check_count(name: str, value: int) -> None:
  if value < 1:
    raise ValueError(f"camera rig option {name}={value!r}; expected at least 1")
