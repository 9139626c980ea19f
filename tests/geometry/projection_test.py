"""The random projection: exact under the identity, undone by the inverse rotation, root at the canonical depth."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose.geometry import projection, rotation
from tests import numpy_reference as reference

# Compiled once each: op by op, the examples would compile every primitive.
sample_rotation = jax.jit(projection.sample_rotation, static_argnums=1)
rotate = jax.jit(projection.rotate, static_argnums=2)
perspective = jax.jit(projection.perspective)
backproject = jax.jit(projection.backproject, static_argnums=3)


def lifted(seed, root=0, depth=10.0):
  """Root-centred rays and depth offsets of a person of about unit head-root distance at the canonical depth."""
  rng = np.random.default_rng(seed)
  rays = rng.normal(size=(4, 17, 2)) * 0.05
  offsets = rng.normal(size=(4, 17)) * 0.5
  rays -= rays[:, root : root + 1]
  return rays.astype(np.float32), offsets.astype(np.float32), depth


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 7, 14]))
def test_identity_rotation_reproduces_the_input(seed, root):
  rays, offsets, depth = lifted(seed, root)
  pose = backproject(rays, offsets, depth, root)
  turned = rotate(pose, jnp.broadcast_to(jnp.eye(3), (4, 3, 3)), root)
  np.testing.assert_allclose(perspective(turned, depth), rays, rtol=2e-6, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 7, 14]))
def test_the_inverse_rotation_restores_the_pose(seed, root):
  rays, offsets, depth = lifted(seed, root)
  pose = backproject(rays, offsets, depth, root)
  matrix = sample_rotation(jax.random.key(seed % 2**31), (4,))
  back = rotate(rotate(pose, matrix, root), jnp.swapaxes(matrix, -1, -2), root)
  np.testing.assert_allclose(back, pose, atol=2e-6)


@pytest.mark.parametrize("root", [0, 14])
def test_the_root_stays_on_the_axis_at_exactly_the_depth(root):
  rays, offsets, depth = lifted(1, root)
  pose = backproject(rays, offsets + 1.0, depth, root)  # an offset predicted for the root is ignored
  np.testing.assert_array_equal(pose[:, root], np.zeros((4, 3)))
  turned = rotate(pose, sample_rotation(jax.random.key(0), (4,)), root)
  np.testing.assert_array_equal(turned[:, root], np.zeros((4, 3)))
  np.testing.assert_array_equal(perspective(turned, depth)[:, root], np.zeros((4, 2)))


def test_projection_equals_numpy():
  rays, offsets, depth = lifted(2)
  azimuth, elevation = 0.7, -0.2
  pose = backproject(rays, offsets, depth)
  matrix = jnp.broadcast_to(rotation.azimuth_elevation(azimuth, elevation), (4, 3, 3))
  got = perspective(rotate(pose, matrix), depth)
  z = depth + np.where(np.arange(17) == 0, 0, offsets.astype(np.float64))
  points = np.concatenate([rays * z[..., None], z[..., None] - depth], -1)
  points = points @ (reference.rotation_x(elevation) @ reference.rotation_y(azimuth)).T + [0, 0, depth]
  np.testing.assert_allclose(got, points[..., :2] / points[..., 2:], atol=1e-7)


def test_depths_are_bounded_before_the_camera_with_finite_gradients():
  rays, offsets, depth = lifted(3)
  far_behind = jnp.asarray(offsets) - 1000
  pose = backproject(rays, far_behind, depth)
  np.testing.assert_allclose(pose[:, 1:, 2] + depth, np.ones((4, 16)))  # depth / 10
  gradient = jax.grad(lambda o: jnp.sum(perspective(backproject(rays, o, depth), depth) ** 2))
  assert np.isfinite(gradient(far_behind)).all()
  behind = jnp.asarray(np.random.default_rng(4).normal(size=(4, 17, 3)) * 50, jnp.float32)
  assert np.isfinite(jax.grad(lambda p: jnp.sum(perspective(p, depth)))(behind)).all()


def test_sampled_viewpoints_cover_the_range_and_follow_the_key():
  matrix = np.asarray(sample_rotation(jax.random.key(5), (4000,)), np.float64)
  azimuth, elevation = np.arctan2(matrix[:, 0, 2], matrix[:, 0, 0]), np.arctan2(matrix[:, 2, 1], matrix[:, 1, 1])
  assert np.abs(elevation).max() <= math.pi / 9 + 1e-6 and elevation.max() > 0.3 and elevation.min() < -0.3
  assert azimuth.max() > 3.1 and azimuth.min() < -3.1
  # A uniform variable on +-a has standard deviation a / sqrt(3); 4000 samples estimate it to about one percent.
  assert abs(azimuth.std() - math.pi / math.sqrt(3)) < 0.1
  assert abs(np.corrcoef(azimuth, elevation)[0, 1]) < 0.06
  again = sample_rotation(jax.random.key(5), (4000,))
  np.testing.assert_array_equal(again, matrix.astype(np.float32))
  narrow = sample_rotation(jax.random.key(6), (2, 3), azimuth=0.0, elevation=0.0)
  np.testing.assert_array_equal(narrow, np.broadcast_to(np.eye(3), (2, 3, 3, 3)))


def test_azimuth_turns_about_the_vertical():
  rays, offsets, depth = lifted(7)
  pose = backproject(rays, offsets, depth)
  matrix = sample_rotation(jax.random.key(8), (4,), elevation=0.0)
  np.testing.assert_allclose(rotate(pose, matrix)[..., 1], pose[..., 1], atol=1e-6)


def test_whoever_turns_about_the_scenes_vertical_stays_upright_and_at_the_same_elevation():
  rng = np.random.default_rng(9)
  up = rng.normal(size=(4, 3, 3)).astype(np.float32) * [0.1, 0.2, 0.3] - [0, 1, 0]
  up = (up / np.linalg.norm(up, axis=-1, keepdims=True)).astype(np.float32)
  matrix = np.asarray(sample_rotation(jax.random.key(9), (4, 1), elevation=0.0, up=up), np.float64)
  assert matrix.shape == (4, 3, 3, 3)
  np.testing.assert_allclose(np.einsum("...ij,...j->...i", matrix, up), up, atol=1e-6)
  np.testing.assert_allclose(matrix @ np.swapaxes(matrix, -1, -2), np.broadcast_to(np.eye(3), matrix.shape), atol=1e-6)
  np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=1e-6)
  # One angle for the frames of a row, whatever their axes.
  angle = np.arccos((np.trace(matrix, axis1=-2, axis2=-1) - 1) / 2)
  np.testing.assert_allclose(angle, np.broadcast_to(angle[:, :1], angle.shape), atol=1e-3)
  assert angle.max() > 1

  # Straight up is the camera's own vertical, elevation included.
  own = sample_rotation(jax.random.key(9), (4,))
  np.testing.assert_allclose(sample_rotation(jax.random.key(9), (4,), up=np.float32([[0, -1, 0]] * 4)), own, atol=1e-6)
