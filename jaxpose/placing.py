"""Where lifted people stand, how tall they are and which way is up: what a root-relative pose does not say."""

import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from jaxpose import smoothing
from jaxpose.geometry import camera as geometry
from jaxpose.geometry import placement, upright
from jaxpose.geometry.camera import Camera
from jaxpose.keypoints.joints import LIMBS
from jaxpose.keypoints.tracks import Status, Tracks
from jaxpose.skeleton import Skeleton

FOV_DEG = 55.0  # along the longer side: MeTRAbs' assumption, f = 0.96 of that side
_ANKLE = 0.039  # height of the ankle in statures: Drillis & Contini 1966, in Winter 2009
_LEG = (("hip", "knee"), ("knee", "ankle"))
_NEAREST_M = 0.2  # that a person stands before a camera


class Standing(NamedTuple):
  """camera: with the world's rotation and translation. world, raw_world: metres [T, N, J, 3], z up. note: which way."""

  camera: Camera
  world: np.ndarray
  raw_world: np.ndarray | None
  note: str


def stand(
  positions: Float[np.ndarray, "T N J 3"],
  raw: Float[np.ndarray, "T N J 3"] | None,
  tracks: Tracks,
  trusted: Bool[np.ndarray, " J"],
  camera: Camera,
  fps: float | int,
  up: str | float | int,
) -> Standing:
  """Root-relative poses in an upright world, by the keypoints of the same joints; `up` as `upright.find` has it.

  The distance of `positions` is smoothed, that of `raw`, poses before smoothing, is not. Where "auto" finds nobody
  upright the camera counts as level.
  """
  places = smoothing.along_rays(place(positions, tracks, trusted, camera), fps)
  absolute = positions + places[:, :, None]
  lying = up == "auto" and upright.upright_bodies(absolute, tracks.skeleton) is None
  level = upright.find(absolute, tracks.skeleton, fps, "camera" if lying else up)
  raw_world = None if raw is None else level.world(raw + place(raw, tracks, trusted, camera)[:, :, None])
  turned = camera._replace(rotation=level.rotation.astype(np.float32), translation=level.translation.astype(np.float32))
  return Standing(turned, level.world(absolute), raw_world, _up_note(level, lying))


def place(
  positions: Float[np.ndarray, "T N J 3"], tracks: Tracks, trusted: Bool[np.ndarray, " J"], camera: Camera
) -> Float[np.ndarray, "T N 3"]:
  """Where the poses stand, metres in camera axes, NaN where there is none; by the joints of a mask [J].

  By rays, and where these put a pose behind the camera, as keypoints do that the pose cannot have, by boxes.
  """
  where = np.full((*positions.shape[:2], 3), np.nan, np.float32)
  there = np.isfinite(positions).all((-1, -2))
  present = (tracks.status[there] != Status.MISSING) & trusted
  where[there] = np.asarray(_places(positions[there], np.nan_to_num(tracks.keypoints[there]), present, camera))
  return where


@jax.jit  # compiled once, where each operation would be by itself
def _places(poses, keypoints, present, camera: Camera):
  rays = geometry.unproject(keypoints, camera)
  by_rays = placement.place_by_rays(poses, rays, present)
  return jnp.where(by_rays[:, 2:] > _NEAREST_M, by_rays, placement.place_by_boxes(poses, rays, present))


def statures(positions: Float[np.ndarray, "T N J 3"], skeleton: Skeleton) -> Float[np.ndarray, " N"]:
  """The height in metres of each person: ankle, leg, trunk and head, each the median over the frames; NaN of nobody."""
  top = "thorax" if "thorax" in skeleton.names else "neck"
  joint = {name: positions[:, :, skeleton.index(name)].astype(np.float64) for name in (*LIMBS, top, "head_top")}
  hips = (joint["left_hip"] + joint["right_hip"]) / 2
  bones = [(hips, joint[top]), (joint[top], joint["head_top"])]
  bones += [(joint[f"{side}_{a}"], joint[f"{side}_{b}"]) for side in ("left", "right") for a, b in _LEG]
  lengths = np.stack([np.linalg.norm(a - b, axis=-1) for a, b in bones], -1)
  there = np.asarray(np.isfinite(lengths).all(-1))
  people = [lengths[there[:, n], n] for n in range(lengths.shape[1])]
  medians = [np.median(its, axis=0) if len(its) else np.full(len(bones), np.nan) for its in people]
  trunk, head, *legs = np.array(medians).T
  return (trunk + head + sum(legs) / 2) / (1 - _ANKLE)


def assumed_camera(size: tuple[int, int], fov_deg: float | int = FOV_DEG) -> Camera:
  """A camera without distortion that sees `fov_deg` degrees along the image's longer side, its centre in the middle."""
  if not 1 < fov_deg < 170:
    raise ValueError(f"--fov={fov_deg}; expected degrees along the image's longer side, from 1 to 170")
  focal = max(size) / 2 / np.tan(np.radians(fov_deg) / 2)
  return geometry.create((focal, focal), (size[0] / 2, size[1] / 2), size)


def chosen_camera(camera: Camera | None, size: tuple[int, int], where: str) -> tuple[Camera, str]:
  """The camera, or the assumed one of None, with a warning; and its note. Raises ValueError for one of another size."""
  assumed = camera is None
  camera = assumed_camera(size) if camera is None else camera
  note = camera_note(camera, assumed)
  if assumed:
    warnings.warn(note, stacklevel=3)
  if tuple(int(v) for v in np.asarray(camera.size)) != tuple(size):
    raise ValueError(f"{where}: the image is {size[0]}x{size[1]}, the camera's {np.asarray(camera.size)}")
  return camera, note


def camera_note(camera: Camera, assumed: bool) -> str:
  """The focal length and, where it is assumed, what that costs."""
  focal, size = float(np.asarray(camera.focal)[0]), np.asarray(camera.size).max()
  fov = f"focal {focal:.0f} px, {2 * np.degrees(np.arctan(size / 2 / focal)):.0f} degrees along the longer side"
  cost = ": distances are off by as much as it is, easily 20 %, the path across the image is not (--focal=, --fov=)"
  return f"camera: {fov}" + f", ASSUMED{cost}" * assumed


def _up_note(level: upright.Upright, lying: bool) -> str:
  if lying:
    return "up: nobody ever stands upright, so the camera counts as level; --up=DEGREES says how far it looks down"
  means = {"contacts": f"from {level.contacts} frames of standing feet", "upright": "from upright bodies"}
  degrees = np.degrees(level.pitch_rad)
  return f"up: the camera looks down by {degrees:.1f} degrees, {means.get(level.source, 'as given')}"
