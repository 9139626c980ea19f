"""Rotation matrices from angles, axes, quaternions and viewpoints: batched, and differentiable also at zero angle."""

import functools

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

# Full float32: by default GPUs multiply matrices in TF32 and TPUs in bfloat16, which costs millimetres here.
einsum = functools.partial(jnp.einsum, precision="highest")


def _matrix(rows) -> Float[Array, "*b 3 3"]:
  """Nine entries, broadcast and stacked to [..., 3, 3]."""
  entries = jnp.broadcast_arrays(*(jnp.asarray(x) for row in rows for x in row))
  return jnp.stack(entries, -1).reshape(*entries[0].shape, 3, 3)


def azimuth_elevation(azimuth: Float[ArrayLike, "*b"], elevation: Float[ArrayLike, "*b"]) -> Float[Array, "*b 3 3"]:
  """Rx(elevation) @ Ry(azimuth): the turn about the vertical y axis first, then the tilt about x.

  Angles [...] in radians; returns [..., 3, 3] for column vectors. Source: Drover et al. 2018; Chen et al. 2019.
  Trap: in camera space the vertical is y. Azimuth about z would roll the image instead of turning the person.
  """
  ca, sa = jnp.cos(azimuth), jnp.sin(azimuth)
  ce, se = jnp.cos(elevation), jnp.sin(elevation)
  return _matrix([[ca, 0.0, sa], [se * sa, ce, -se * ca], [-ce * sa, se, ce * ca]])


def from_axis_angle(axis_angle: Float[ArrayLike, "*b 3"]) -> Float[Array, "*b 3 3"]:
  """Rodrigues' formula, I + sin(a) K + (1 - cos(a)) K^2, of rotation vectors [..., 3] of length a, in radians.

  Near zero the two factors, divided by a and a^2, come from their series in a^2: the length has no derivative there.
  """
  axis_angle = jnp.asarray(axis_angle)
  square = jnp.sum(axis_angle**2, -1)
  small = square < 1e-3
  angle = jnp.sqrt(jnp.where(small, 1.0, square))
  series_sine = 1 - square / 6 * (1 - square / 20 * (1 - square / 42))
  series_cosine = (1 - square / 12 * (1 - square / 30 * (1 - square / 56))) / 2
  # 1 - cos(a) = 2 sin^2(a/2) keeps its digits at small angles.
  sine = jnp.where(small, series_sine, jnp.sin(angle) / angle)
  cosine = jnp.where(small, series_cosine, 2 * (jnp.sin(angle / 2) / angle) ** 2)
  x, y, z = axis_angle[..., 0], axis_angle[..., 1], axis_angle[..., 2]
  sx, sy, sz = sine * x, sine * y, sine * z
  cx, cy, cz = cosine * x, cosine * y, cosine * z
  return _matrix(
    [
      [1 - cy * y - cz * z, cx * y - sz, cx * z + sy],
      [cx * y + sz, 1 - cx * x - cz * z, cy * z - sx],
      [cx * z - sy, cy * z + sx, 1 - cx * x - cy * y],
    ]
  )


def from_quaternion(quaternion: Float[ArrayLike, "*b 4"]) -> Float[Array, "*b 3 3"]:
  """The rotation of quaternions [..., 4] in the order w, x, y, z, of any length; zero gives the identity."""
  quaternion = jnp.asarray(quaternion)
  square = jnp.sum(quaternion**2, -1)
  factor = jnp.where(square > 0, 2 / jnp.where(square > 0, square, 1), 0)
  w, x, y, z = (quaternion[..., i] for i in range(4))
  fx, fy, fz = factor * x, factor * y, factor * z
  return _matrix(
    [
      [1 - fy * y - fz * z, fx * y - fz * w, fx * z + fy * w],
      [fx * y + fz * w, 1 - fx * x - fz * z, fy * z - fx * w],
      [fx * z - fy * w, fy * z + fx * w, 1 - fx * x - fy * y],
    ]
  )


def look_at(
  position: Float[ArrayLike, "*b 3"], target: Float[ArrayLike, "*b 3"], up: Float[ArrayLike, "*b 3"]
) -> Float[Array, "*b 3 3"]:
  """The world -> camera rotation of a camera at `position` that looks at `target`, level against `up`.

  Its rows are the camera's axes in the world: x right, y down, z forward. All arguments [..., 3] of one shape, world
  axes; `up` need not be of unit length. A camera that looks along `up` has no level: its roll is then arbitrary
  but fixed. Trap: `position` equal to `target` gives no direction and returns zeros.
  """
  position, target, up = (jnp.asarray(a) for a in (position, target, up))
  forward = _unit(target - position)
  up = _unit(up)
  right = jnp.cross(forward, up)
  # The world axis that is farthest from the view stands in for `up` when the two coincide.
  axis = jnp.argmin(jnp.abs(forward), -1)[..., None] == jnp.arange(3).reshape((1,) * (forward.ndim - 1) + (3,))
  vertical = jnp.sum(right**2, -1, keepdims=True) < 1e-8
  right = _unit(jnp.where(vertical, jnp.cross(forward, axis.astype(forward.dtype)), right))
  return jnp.stack([right, jnp.cross(forward, right), forward], -2)


def _unit(vector):
  square = jnp.sum(vector**2, -1, keepdims=True)
  return jnp.where(square > 0, vector / jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
