"""Rotation matrices against NumPy and SciPy, and at the angles where formulas divide by zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jaxpose.geometry import camera, procrustes, projection, rotation
from tests import numpy_reference as reference

# Compiled once each: op by op, the examples would compile every primitive.
azimuth_elevation = jax.jit(rotation.azimuth_elevation)
from_axis_angle = jax.jit(rotation.from_axis_angle)
from_quaternion = jax.jit(rotation.from_quaternion)
look_at = jax.jit(rotation.look_at)

ANGLES = st.floats(-7, 7, width=32)
VECTORS = st.tuples(*[st.floats(-4, 4, width=32)] * 3)


def assert_proper(matrix, atol=2e-6):
  matrix = np.asarray(matrix, np.float64)
  np.testing.assert_allclose(matrix @ matrix.swapaxes(-1, -2), np.broadcast_to(np.eye(3), matrix.shape), atol=atol)
  np.testing.assert_allclose(np.linalg.det(matrix), 1, atol=atol)


@settings(max_examples=30, deadline=None)
@given(ANGLES, ANGLES)
def test_azimuth_elevation_turns_about_y_then_tilts_about_x(azimuth, elevation):
  matrix = azimuth_elevation(jnp.float32(azimuth), jnp.float32(elevation))
  expected = reference.rotation_x(elevation) @ reference.rotation_y(azimuth)
  np.testing.assert_allclose(matrix, expected, atol=2e-6)


def test_azimuth_keeps_the_vertical():
  matrix = azimuth_elevation(jnp.array([0.3, 2.0, -1.0]), jnp.zeros(3))
  np.testing.assert_allclose(matrix @ jnp.array([0.0, 1.0, 0.0]), np.tile([0, 1, 0], (3, 1)), atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(VECTORS, st.sampled_from([1.0, 1e-2, 1e-4, 1e-9]))
def test_axis_angle_equals_scipy(vector, scale):
  vector = np.asarray(vector, np.float32) * np.float32(scale)
  expected = Rotation.from_rotvec(vector.astype(np.float64)).as_matrix()
  np.testing.assert_allclose(from_axis_angle(vector), expected, atol=2e-6)


@pytest.mark.parametrize("magnitude", [0.0, 1e-20, 1e-4, 0.031622, 0.031624, np.pi])
def test_axis_angle_has_the_true_derivative_at_every_angle(magnitude):
  vector = np.array([0.6, 0, 0.8]) * magnitude
  derivative = jax.jit(jax.jacobian(from_axis_angle))(jnp.asarray(vector, jnp.float32))
  step = 1e-6
  for i in range(3):
    offset = step * np.eye(3)[i]
    numeric = Rotation.from_rotvec(vector + offset).as_matrix() - Rotation.from_rotvec(vector - offset).as_matrix()
    np.testing.assert_allclose(derivative[..., i], numeric / (2 * step), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-1, 1, width=32)] * 4).filter(lambda q: np.linalg.norm(q) > 0.01))
def test_quaternion_equals_scipy_at_any_length(quaternion):
  w, x, y, z = quaternion
  expected = Rotation.from_quat([x, y, z, w]).as_matrix()
  np.testing.assert_allclose(from_quaternion(np.asarray(quaternion, np.float32)), expected, atol=2e-6)


def test_zero_quaternion_is_the_identity_with_a_finite_gradient():
  zero = jnp.zeros((2, 4))
  np.testing.assert_array_equal(from_quaternion(zero), np.tile(np.eye(3), (2, 1, 1)))
  assert np.isfinite(jax.jit(jax.jacobian(from_quaternion))(zero)).all()


@settings(max_examples=30, deadline=None)
@given(VECTORS, VECTORS, st.sampled_from([(0, 1, 0), (0, 0, 2.5)]))
def test_look_at_centres_the_target_and_keeps_up_up(position, target, up):
  position, target, up = (np.asarray(a, np.float32) for a in (position, target, up))
  forward = target - position
  if np.linalg.norm(forward) < 0.1:
    return
  matrix = np.asarray(look_at(position, target, up))
  assert_proper(matrix)
  np.testing.assert_allclose(matrix @ forward, [0, 0, np.linalg.norm(forward)], atol=1e-5)
  right, down = matrix @ up @ np.eye(3)[:, :2]
  if np.linalg.norm(np.cross(forward, up)) > 0.05 * np.linalg.norm(forward):
    assert abs(right) < 1e-4 and down < 0  # y points down, so the world's up has negative y


def test_look_at_the_world_from_the_front():
  # World y up; a camera on +z that looks back at the origin sees world x to its right.
  matrix = look_at(jnp.array([0.0, 0, 5]), jnp.zeros(3), jnp.array([0.0, 1, 0]))
  np.testing.assert_allclose(matrix, [[1, 0, 0], [0, -1, 0], [0, 0, -1]], atol=1e-7)


@pytest.mark.parametrize("up", [[0.0, 1, 0], [0.0, 0, 1]])
def test_looking_straight_down_is_still_a_rotation(up):
  up = jnp.array(up)
  matrix = look_at(3 * up, jnp.zeros(3), up)
  assert_proper(matrix)
  np.testing.assert_allclose(matrix[2], -up, atol=1e-7)
  gradient = jax.jit(jax.jacobian(look_at))(3 * up, jnp.zeros(3), up)
  assert np.isfinite(gradient).all()


def test_rotations_batch():
  azimuth = jnp.linspace(-1, 1, 6).reshape(2, 3)
  assert azimuth_elevation(azimuth, azimuth).shape == (2, 3, 3, 3)
  assert from_axis_angle(jnp.ones((2, 3, 3))).shape == (2, 3, 3, 3)
  assert look_at(jnp.ones((2, 3)), jnp.zeros((2, 3)), jnp.tile(jnp.array([0.0, 1, 0]), (2, 1))).shape == (2, 3, 3)


def test_geometry_multiplies_in_full_precision_on_every_device():
  pose, matrix = jnp.ones((4, 17, 3)), jnp.ones((4, 3, 3))
  cam = camera.create((1, 1), (0, 0), (2, 2))
  for jaxpr in (
    jax.make_jaxpr(procrustes.align)(pose, pose),
    jax.make_jaxpr(procrustes.similarity)(pose, pose),
    jax.make_jaxpr(projection.rotate)(pose, matrix),
    jax.make_jaxpr(camera.world_to_camera)(pose, cam),
    jax.make_jaxpr(camera.camera_to_world)(pose, cam),
  ):
    products = [line for line in str(jaxpr).split(" = ") if line.startswith("dot_general")]
    assert products and all("HIGHEST" in line for line in products)
