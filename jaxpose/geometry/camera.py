"""The camera model: world to camera to pixels and back, with the lens distortion of Human3.6M or of OpenCV.

Camera space is x right, y down, z forward, in metres. Cameras batch: a field's leading axes are matched with the
leading axes of the points, and broadcast over the rest (frames, joints).
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.geometry.rotation import einsum

AnyArray = Array | np.ndarray

WIDEST, WIDEST_OPENCV = 1.0, 3.0  # rays (x/z, y/z) that a lens of each formula is used for
_INVERTED_PX = 0.1  # how well a lens must be invertible at the sides of its image
_REMEDY = "which is not modelled; undistort the keypoints, and give a camera without distortion"


class Camera(NamedTuple):
  """A calibrated camera, or a batch of them. Arrays of NumPy or JAX; a pytree."""

  focal: Float[AnyArray, "*b 2"]  # fx, fy in pixels
  center: Float[AnyArray, "*b 2"]  # cx, cy in pixels
  radial: Float[AnyArray, "*b 3"]  # k1, k2, k3
  tangential: Float[AnyArray, "*b 2"]  # p1, p2
  tangential_gain: Float[AnyArray, "*b"]  # 1: Human3.6M's formula, 2: OpenCV's
  size: Float[AnyArray, "*b 2"]  # image width, height in pixels
  rotation: Float[AnyArray, "*b 3 3"]  # world -> camera
  translation: Float[AnyArray, "*b 3"]  # of the world's origin, in camera space: X_c = R X_w + t, metres


def create(focal, center, size, radial=(0, 0, 0), tangential=(0, 0), rotation=None, position=(0, 0, 0)) -> Camera:
  """A NumPy float32 camera from lists of numbers; `position` is the camera's own place in the world, metres.

  The distortion is Human3.6M's; `from_opencv` takes OpenCV's.
  """
  rotation = np.eye(3) if rotation is None else np.asarray(rotation, np.float64)
  translation = -rotation @ np.asarray(position, np.float64)
  fields = (focal, center, radial, tangential, 1, size, rotation, translation)
  return Camera(*(np.asarray(f, np.float32) for f in fields))


def from_opencv(matrix, distortion, size, rotation=None, translation=(0, 0, 0)) -> Camera:
  """A NumPy float32 camera from what OpenCV's calibration gives.

  matrix: [3, 3] pixels; distortion: k1 k2 p1 p2 and, if there are more, k3; size: width, height; rotation [3, 3] and
  translation [3] in metres take the world into camera space. Raises ValueError for a skewed matrix, for further
  coefficients than these (the rational, thin prism and tilted models), and for a lens that is not invertible up to the
  middle of each side of its image: undistort such keypoints, and describe a camera without distortion. In the corners a
  strong lens may not be invertible either; there, rays end where it is.
  """
  matrix, coefficients = np.asarray(matrix, np.float64), np.asarray(distortion, np.float64).ravel()
  if matrix.shape != (3, 3) or not matrix[0, 0] > 0 < matrix[1, 1] or np.abs(matrix[0, 1]) > 1e-3 * matrix[0, 0]:
    raise ValueError(f"{matrix.tolist()} is no camera matrix [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels")
  if len(coefficients) not in (4, 5) and (len(coefficients) < 4 or coefficients[5:].any()):
    raise ValueError(f"distortion {coefficients.tolist()}; expected k1 k2 p1 p2 or k1 k2 p1 p2 k3, {_REMEDY}")
  k1, k2, p1, p2, k3 = np.pad(coefficients[:5], (0, 5 - len(coefficients[:5])))
  rotation = np.eye(3) if rotation is None else rotation
  fields = (matrix.diagonal()[:2], matrix[:2, 2], (k1, k2, k3), (p2, p1), 2, size, rotation, translation)
  camera = Camera(*(np.asarray(f, np.float32) for f in fields))
  sides = np.array([(0, 0.5), (1, 0.5), (0.5, 0), (0.5, 1)]) * camera.size
  back = np.asarray(distort(unproject(sides, camera), camera)) * camera.focal + camera.center
  away = np.abs(back - sides).max()
  if not away < _INVERTED_PX:
    raise ValueError(f"the lens {coefficients.tolist()} is {away:.3g} px off at the sides of its image, {_REMEDY}")
  return camera


def _align(field, points, event_ndim: int):
  """Adds axes to a camera field, between its batch axes and its own `event_ndim`, to broadcast against [..., C].

  A field without axes of its own broadcasts against [...].
  """
  batch = field.ndim - event_ndim
  between = points.ndim - min(event_ndim, 1) - batch
  return field.reshape(field.shape[:batch] + (1,) * between + field.shape[batch:])


def world_to_camera(points: Float[AnyArray, "*n 3"], camera: Camera) -> Float[Array, "*n 3"]:
  """X_c = R X_w + t. Points [..., 3] in metres; the camera's batch axes lead those of the points."""
  rotation = _align(camera.rotation, points, 2)
  return einsum("...ij,...j->...i", rotation, points) + _align(camera.translation, points, 1)


def camera_to_world(points: Float[AnyArray, "*n 3"], camera: Camera) -> Float[Array, "*n 3"]:
  """X_w = R^T (X_c - t), the inverse of `world_to_camera`."""
  rotation = _align(camera.rotation, points, 2)
  return einsum("...ji,...j->...i", rotation, points - _align(camera.translation, points, 1))


def distort(rays: Float[AnyArray, "*n 2"], camera: Camera, clip: bool = True) -> Float[Array, "*n 2"]:
  """Radial and tangential distortion of normalised image coordinates (x/z, y/z).

  radial = 1 + k1 r^2 + k2 r^4 + k3 r^6, tangential = m (p1 x + p2 y),
  (x', y') = (x, y) (radial + tangential) + (p1, p2) r^2:
  with m = 1 Human3.6M's formula, in VideoPose3D's order of p, the reverse of the metadata file's; with m = 2 OpenCV's,
  whose p1 and p2 are in the reverse order, too.
  `clip` bounds the rays of a distorting lens first, to +-1 with Human3.6M's formula, as the peers do, and to +-3 with
  OpenCV's: the polynomial folds back outside the calibrated field of view. A camera without distortion keeps its rays.
  """
  rays = jnp.asarray(rays)
  if clip:
    rays = _bound(rays, camera)
  k, p = _align(camera.radial, rays, 1), _align(camera.tangential, rays, 1)
  r2 = jnp.sum(rays**2, -1, keepdims=True)
  radial = 1 + r2 * (k[..., :1] + r2 * (k[..., 1:2] + r2 * k[..., 2:]))
  tangential = _align(camera.tangential_gain, rays[..., 0], 0)[..., None] * jnp.sum(p * rays, -1, keepdims=True)
  return rays * (radial + tangential) + p * r2


def _bound(rays, camera: Camera):
  coefficients = jnp.concatenate([_align(camera.radial, rays, 1), _align(camera.tangential, rays, 1)], -1)
  limit = jnp.where(_align(camera.tangential_gain, rays[..., 0], 0)[..., None] > 1, WIDEST_OPENCV, WIDEST)
  return jnp.where(jnp.any(coefficients != 0, -1, keepdims=True), jnp.clip(rays, -limit, limit), rays)


@functools.partial(jax.jit, static_argnames="steps")
def undistort(rays: Float[AnyArray, "*n 2"], camera: Camera, steps: int = 20) -> Float[Array, "*n 2"]:
  """The inverse of `distort` by fixed-point iteration; within 1e-6 in the calibrated field of view."""
  rays = jnp.asarray(rays)

  def step(_, undistorted):
    return _bound(undistorted + rays - distort(undistorted, camera, clip=False), camera)

  return jax.lax.fori_loop(0, steps, step, rays)


def project(points: Float[AnyArray, "*n 3"], camera: Camera, distortion: bool = True) -> Float[Array, "*n 2"]:
  """Camera-space points [..., 3] in metres to pixels [..., 2], x right and y down.

  Points must lie before the camera (z > 0): a point behind it projects to its mirror image, so mark such frames
  invalid.
  """
  points = jnp.asarray(points)
  rays = points[..., :2] / points[..., 2:]
  if distortion:
    rays = distort(rays, camera)
  return rays * _align(camera.focal, points, 1) + _align(camera.center, points, 1)


def unproject(pixels: Float[AnyArray, "*n 2"], camera: Camera, distortion: bool = True) -> Float[Array, "*n 2"]:
  """Pixels [..., 2] to undistorted normalised image coordinates (x/z, y/z), the inverse of `project`."""
  pixels = jnp.asarray(pixels)
  rays = (pixels - _align(camera.center, pixels, 1)) / _align(camera.focal, pixels, 1)
  return undistort(rays, camera) if distortion else rays
