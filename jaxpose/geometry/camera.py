"""The camera model: world to camera to pixels and back, with Human3.6M's radial and tangential distortion.

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


class Camera(NamedTuple):
  """A calibrated camera, or a batch of them. Arrays of NumPy or JAX; a pytree."""

  focal: Float[AnyArray, "*b 2"]  # fx, fy in pixels
  center: Float[AnyArray, "*b 2"]  # cx, cy in pixels
  radial: Float[AnyArray, "*b 3"]  # k1, k2, k3
  tangential: Float[AnyArray, "*b 2"]  # p1, p2
  size: Float[AnyArray, "*b 2"]  # image width, height in pixels
  rotation: Float[AnyArray, "*b 3 3"]  # world -> camera
  translation: Float[AnyArray, "*b 3"]  # of the world's origin, in camera space: X_c = R X_w + t, metres


def create(focal, center, size, radial=(0, 0, 0), tangential=(0, 0), rotation=None, position=(0, 0, 0)) -> Camera:
  """A NumPy float32 camera from lists of numbers; `position` is the camera's own place in the world, metres."""
  rotation = np.eye(3) if rotation is None else np.asarray(rotation, np.float64)
  fields = (focal, center, radial, tangential, size, rotation, -rotation @ np.asarray(position, np.float64))
  return Camera(*(np.asarray(f, np.float32) for f in fields))


def _align(field, points, event_ndim: int):
  """Adds axes to a camera field, between its batch axes and its own `event_ndim`, to broadcast against [..., C]."""
  batch = field.ndim - event_ndim
  return field.reshape(field.shape[:batch] + (1,) * (points.ndim - 1 - batch) + field.shape[batch:])


def world_to_camera(points: Float[AnyArray, "*n 3"], camera: Camera) -> Float[Array, "*n 3"]:
  """X_c = R X_w + t. Points [..., 3] in metres; the camera's batch axes lead those of the points."""
  rotation = _align(camera.rotation, points, 2)
  return einsum("...ij,...j->...i", rotation, points) + _align(camera.translation, points, 1)


def camera_to_world(points: Float[AnyArray, "*n 3"], camera: Camera) -> Float[Array, "*n 3"]:
  """X_w = R^T (X_c - t), the inverse of `world_to_camera`."""
  rotation = _align(camera.rotation, points, 2)
  return einsum("...ji,...j->...i", rotation, points - _align(camera.translation, points, 1))


def distort(rays: Float[AnyArray, "*n 2"], camera: Camera, clip: bool = True) -> Float[Array, "*n 2"]:
  """Radial and tangential distortion of normalised image coordinates (x/z, y/z), in Human3.6M's form.

  radial = 1 + k1 r^2 + k2 r^4 + k3 r^6, tangential = p1 x + p2 y,
  (x', y') = (x, y) (radial + tangential) + (p1, p2) r^2:
  this is VideoPose3D's p order, the reverse of the metadata file's, and not OpenCV's formula.
  `clip` bounds the rays of a distorting lens to +-1 first, as the peers do: the polynomial folds back outside the
  calibrated field of view. A camera without distortion keeps its wider rays.
  """
  rays = jnp.asarray(rays)
  if clip:
    rays = _bound(rays, camera)
  k, p = _align(camera.radial, rays, 1), _align(camera.tangential, rays, 1)
  r2 = jnp.sum(rays**2, -1, keepdims=True)
  radial = 1 + r2 * (k[..., :1] + r2 * (k[..., 1:2] + r2 * k[..., 2:]))
  tangential = jnp.sum(p * rays, -1, keepdims=True)
  return rays * (radial + tangential) + p * r2


def _bound(rays, camera: Camera):
  coefficients = jnp.concatenate([_align(camera.radial, rays, 1), _align(camera.tangential, rays, 1)], -1)
  return jnp.where(jnp.any(coefficients != 0, -1, keepdims=True), jnp.clip(rays, -1, 1), rays)


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
