"""The random projection of self-supervised lifting: turn a lifted pose, look at it again from the front.

2D rays [..., J, 2] are root-centred, normalised image coordinates; the root joint stands at a fixed, canonical depth.
A lifter predicts each joint's depth offset from the root. Drover et al., Can 3D Pose be Learned from 2D Projections
Alone?, 2018; Chen et al., Unsupervised 3D Pose Estimation with Geometric Self-Supervision, 2019.

Trap: the published depth max(0, d + o) + 1 puts the root at d + 1, while the pose is put back at d, so that even the
identity rotation scales the 2D pose by (d + 1) / d. Here the root stands at exactly d throughout.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxpose.geometry import rotation
from jaxpose.geometry.rotation import einsum

NEAREST = 0.1  # The least depth of a joint, as a fraction of the root's: nothing comes behind the camera.


def sample_rotation(
  key: jax.Array,
  shape: tuple[int, ...],
  azimuth: Float[ArrayLike, ""] = math.pi,
  elevation: Float[ArrayLike, ""] = math.pi / 9,
  up: Float[ArrayLike, "*n 3"] | None = None,
) -> Float[Array, "*n 3 3"]:
  """Random viewpoints [*shape, 3, 3]: azimuth in +-`azimuth` about the vertical, then +-`elevation` about x.

  Both uniform, in radians; the defaults are Drover's: every side, 20 degrees up and down.

  up: unit vectors [*n, 3] of the scene's vertical in camera axes, `shape` broadcast against [*n]. A person who is
  turned about it stands as people do, and is seen at the elevation that the camera has. None is (0, -1, 0), the
  camera's own vertical (Drover's): before a camera that looks down, whoever is turned about that leans, by up to twice
  the camera's pitch.
  """
  keys = jax.random.split(key)
  azimuths, elevations = (jax.random.uniform(k, shape, minval=-1, maxval=1) for k in keys)
  azimuths, elevations = azimuth * azimuths, elevation * elevations
  if up is None:
    return rotation.azimuth_elevation(azimuths, elevations)
  turned = rotation.from_axis_angle(-azimuths[..., None] * jnp.asarray(up))
  return einsum("...ij,...jk->...ik", rotation.azimuth_elevation(jnp.zeros_like(elevations), elevations), turned)


def rotate(
  pose: Float[ArrayLike, "*b J 3"], matrix: Float[ArrayLike, "*b 3 3"], root: int = 0
) -> Float[Array, "*b J 3"]:
  """Turns poses [..., J, 3] about their root joint by matrices [..., 3, 3]; returns root-relative poses."""
  pose = jnp.asarray(pose)
  return einsum("...ij,...kj->...ki", matrix, pose - pose[..., root : root + 1, :])


def perspective(pose: Float[ArrayLike, "*b J 3"], depth: Float[ArrayLike, ""]) -> Float[Array, "*b J 2"]:
  """Rays (x/z, y/z) of a root-relative pose whose root is placed at exactly `depth`, in the pose's unit.

  Depths are bounded below by depth / 10; a joint held there gets no gradient through its depth.
  """
  pose = jnp.asarray(pose)
  return pose[..., :2] / _bounded(depth + pose[..., 2:], depth)


def backproject(
  rays: Float[ArrayLike, "*b J 2"], depth_offsets: Float[ArrayLike, "*b J"], depth: Float[ArrayLike, ""], root: int = 0
) -> Float[Array, "*b J 3"]:
  """The root-relative pose (x z, y z, z - depth) with z = depth + offset, seen along `rays`; Drover's lifting.

  `rays` must be root-centred, so that the root lies on the optical axis. The root's offset is taken as 0 whatever was
  predicted. `perspective` of the result gives back the rays. Depths are bounded below by depth / 10.
  """
  rays, depth_offsets = jnp.asarray(rays), jnp.asarray(depth_offsets)
  z = _bounded(depth + depth_offsets.at[..., root].set(0), depth)
  return jnp.concatenate([rays * z[..., None], (z - depth)[..., None]], -1)


def _bounded(z, depth):
  return jnp.maximum(z, NEAREST * depth)
