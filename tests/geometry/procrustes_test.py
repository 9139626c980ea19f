"""Procrustes alignment: equal to singular values in float64, invariant to similarities, proper, always finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jaxpose.geometry import procrustes
from tests import numpy_reference as reference

MIRROR = np.array([-1, 1, 1], np.float32)


def poses(seed, frames=6, joints=17):
  return np.random.default_rng(seed).normal(size=(frames, joints, 3)).astype(np.float32)


def random_rotation(seed):
  return Rotation.from_quat(np.random.default_rng(seed).normal(size=4)).as_matrix()


DEGENERATE = {
  "zero pose": lambda t: t * 0,
  "all joints equal": lambda t: t * 0 + np.float32([0.3, 3.7, -5.1]),
  "planar": lambda t: t * np.float32([1, 1, 0]),
  "collinear": lambda t: t[..., :1] * np.float32([1, 2, 3]),
  "one joint off": lambda t: t * (np.arange(17) == 5)[:, None].astype(np.float32),
  "predicted == target": lambda t: t,
  "mirrored": lambda t: t * MIRROR,
  "nearly equal joints": lambda t: 1e-12 * t,
  "in other units": lambda t: 1e6 * t,
}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 2))
def test_align_equals_singular_values(seed, noise):
  target = poses(seed)
  predicted = (0.4 * target @ random_rotation(seed) + noise * poses(seed + 1)).astype(np.float32)
  np.testing.assert_allclose(procrustes.align(predicted, target), reference.align(predicted, target), atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20))
def test_error_is_invariant_to_similarities_of_the_prediction(seed, scale):
  predicted, target = poses(seed), poses(seed + 1)
  rotation = np.float32(random_rotation(seed))
  moved = (scale * predicted @ rotation.T + np.float32([1, -2, 0.5])).astype(np.float32)
  np.testing.assert_allclose(procrustes.align(moved, target), procrustes.align(predicted, target), atol=2e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 20))
def test_a_similarity_is_recovered(seed, scale):
  predicted = poses(seed)
  rotation = random_rotation(seed)
  target = (scale * predicted @ rotation.T + [1, -2, 0.5]).astype(np.float32)
  got_scale, got_rotation, translation = procrustes.similarity(predicted, target)
  np.testing.assert_allclose(got_scale, scale, rtol=1e-5)
  np.testing.assert_allclose(got_rotation, np.broadcast_to(rotation, (6, 3, 3)), atol=5e-6)
  np.testing.assert_allclose(translation, np.tile([1, -2, 0.5], (6, 1)), atol=2e-5 * max(1, scale))


def test_similarity_and_align_agree():
  predicted, target = poses(0), poses(1)
  scale, rotation, translation = procrustes.similarity(predicted, target)
  moved = scale[:, None, None] * jnp.einsum("nij,nkj->nki", rotation, predicted) + translation[:, None]
  np.testing.assert_allclose(moved, procrustes.align(predicted, target), atol=1e-5)


@pytest.mark.parametrize("name", DEGENERATE)
def test_rotation_is_always_proper_and_the_error_optimal(name):
  target = poses(3)
  for predicted, goal in ((DEGENERATE[name](target), target), (target, DEGENERATE[name](target))):
    predicted, goal = predicted.astype(np.float32), goal.astype(np.float32)
    scale, rotation, _ = procrustes.similarity(predicted, goal)
    assert np.isfinite(scale).all()
    np.testing.assert_allclose(np.linalg.det(np.asarray(rotation, np.float64)), 1, atol=1e-5)
    size = np.abs(goal - goal.mean(1, keepdims=True)).max()
    if name not in ("zero pose", "all joints equal", "nearly equal joints"):
      expected = reference.mpjpe(reference.align(predicted, goal), goal)
      got = reference.mpjpe(np.asarray(procrustes.align(predicted, goal)), goal)
      np.testing.assert_allclose(got, expected, atol=1e-5 * size)


@jax.jit
def gradients(predicted, target, weights):
  return jax.grad(lambda p, t: jnp.sum(procrustes.align(p, t) * weights), (0, 1))(predicted, target)


@pytest.mark.parametrize("name", DEGENERATE)
def test_gradients_are_finite(name):
  target = poses(4)
  other = DEGENERATE[name](target).astype(np.float32)

  for pair in ((other, target), (target, other), (other, other)):
    for gradient in gradients(*pair, np.ones_like(target)):
      assert np.isfinite(gradient).all()


def test_a_mirrored_pose_keeps_its_error():
  target = poses(5)
  assert reference.mpjpe(np.asarray(procrustes.align(target * MIRROR, target)), target).min() > 0.3


def test_prediction_that_is_a_point_goes_to_the_targets_mean():
  target = poses(6)
  aligned = procrustes.align(np.ones_like(target) * np.float32(2.3), target)
  np.testing.assert_allclose(aligned, np.broadcast_to(target.mean(1, keepdims=True), target.shape), atol=1e-5)


def test_gradient_equals_finite_differences_in_float64():
  predicted, target, weights = poses(7), poses(8), poses(9)
  for argument, gradient in enumerate(gradients(predicted, target, weights)):
    numeric = np.zeros((17, 3))
    for at in np.ndindex(17, 3):
      step = np.zeros((2, 17, 3))
      step[argument][at] = 1e-6
      high, low = (reference.align([predicted[0] + s * step[0]], [target[0] + s * step[1]])[0] for s in (1, -1))
      numeric[at] = np.sum((high - low) * weights[0]) / 2e-6
    np.testing.assert_allclose(gradient[0], numeric, atol=2e-5 * np.abs(numeric).max())


def test_any_number_of_batch_axes():
  predicted, target = poses(10), poses(11)
  batched = procrustes.align(predicted.reshape(2, 3, 17, 3), target.reshape(2, 3, 17, 3))
  np.testing.assert_allclose(batched.reshape(6, 17, 3), procrustes.align(predicted, target), atol=1e-6)


def test_nearest_rotation_of_zero_is_the_identity():
  np.testing.assert_array_equal(jax.jit(procrustes.nearest_rotation)(jnp.zeros((3, 3))), np.eye(3))
