"""Losses: golden means, float64 NumPy, zero at the truth, finite gradients, and bones by name."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import losses, skeleton
from tests import numpy_reference as reference

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "motionbert_losses.npz")
GOLDEN_KEYS = {"limb_variance": "limb_var", "limb_length": "limb_gt", "weighted_2d": "loss_2d_weighted"}
PAIRS = ("mpjpe", "n_mpjpe", "velocity", "limb_length", "angle", "angle_velocity", "bone")
NAMES = (*PAIRS, "limb_variance", "weighted_2d")


def mean(name, predicted, target, confidence):
  arguments = {"limb_variance": (predicted,), "weighted_2d": (predicted, target, confidence)}
  return jnp.mean(getattr(losses, name)(*arguments.get(name, (predicted, target))))


@jax.jit
def means(predicted, target, confidence):
  return {name: mean(name, predicted, target, confidence) for name in NAMES}


@jax.jit
def gradients(predicted, target, confidence):
  def gradient(name):
    return jax.grad(lambda p, t: mean(name, p, t, confidence), (0, 1))(predicted, target)

  return {name: gradient(name) for name in NAMES}


def sequences(seed):
  rng = np.random.default_rng(seed)
  shapes = (2, 7, 17, 3), (2, 7, 17, 3)
  predicted, target = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
  return predicted, target, rng.uniform(size=(2, 7, 17, 1)).astype(np.float32)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "bone"])
def test_golden(name):
  got = means(GOLDEN["predicted"], GOLDEN["target"], GOLDEN["conf"])[name]
  np.testing.assert_allclose(got, GOLDEN[GOLDEN_KEYS.get(name, name)], rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equal_to_numpy(seed):
  arguments = sequences(seed)
  got = means(*arguments)
  for name, value in reference.losses(*arguments).items():
    np.testing.assert_allclose(got[name], value, rtol=1e-5, err_msg=name)


def test_unreduced_shapes():
  predicted, target, confidence = sequences(0)
  expected = {
    "mpjpe": (2, 7, 17),
    "n_mpjpe": (2, 7, 17),
    "velocity": (2, 6, 17),
    "bone": (2, 7, 16),
    "limb_length": (2, 7, 16),
    "angle": (2, 7, 18),
    "angle_velocity": (2, 6, 18),
    "squared_error": (2, 7, 17),
    "absolute_error": (2, 7, 17),
  }
  for name, shape in expected.items():
    assert jax.eval_shape(getattr(losses, name), predicted, target).shape == shape, name
  assert jax.eval_shape(losses.limb_variance, predicted).shape == (2, 16)
  assert jax.eval_shape(losses.weighted_2d, predicted, target, confidence).shape == (2, 7, 17)


def test_coordinate_errors_sum_over_coordinates():
  predicted, target, _ = sequences(1)
  difference = predicted.astype(np.float64) - target
  np.testing.assert_allclose(losses.squared_error(predicted, target), np.sum(difference**2, -1), rtol=1e-5)
  np.testing.assert_allclose(losses.absolute_error(predicted, target), np.sum(np.abs(difference), -1), rtol=1e-5)


def test_truth_costs_nothing():
  _, target, confidence = sequences(2)
  still = np.broadcast_to(target[:, :1], target.shape)
  for name, value in means(target, target, confidence).items():
    if name != "limb_variance":
      np.testing.assert_allclose(value, 0, atol=1e-6, err_msg=name)
  np.testing.assert_allclose(losses.limb_variance(still), 0, atol=1e-12)


@pytest.mark.parametrize(
  "case", ["predicted == target", "zero pose", "one bone of no length", "straight limbs", "tiny"]
)
def test_gradients_are_finite(case):
  _, target, confidence = sequences(3)
  predicted = {
    "predicted == target": target,
    "zero pose": target * 0,
    "one bone of no length": np.concatenate([target[..., :1, :], target[..., :1, :], target[..., 2:, :]], -2),
    "straight limbs": np.arange(17, dtype=np.float32)[:, None] * np.ones_like(target),
    "tiny": target * np.float32(1e-12),
  }[case]
  for arguments in ((predicted, target), (target, predicted), (predicted, predicted)):
    for name, pair in gradients(*arguments, confidence).items():
      for gradient in pair:
        assert np.isfinite(gradient).all(), name
        assert np.abs(gradient).max() < 1e13, name


def test_gradients_at_the_truth_are_zero():
  _, target, confidence = sequences(4)
  got = gradients(target, target, confidence)
  for name in ("mpjpe", "velocity", "bone"):
    np.testing.assert_array_equal(got[name][0], np.zeros_like(target), err_msg=name)


def test_a_single_frame_has_no_motion():
  predicted, target, _ = (x[:, :1] for x in sequences(5))
  for result in (
    losses.velocity(predicted, target),
    losses.angle_velocity(predicted, target),
    losses.limb_variance(predicted),
  ):
    assert float(jnp.mean(result)) == 0


def test_confidence_of_either_shape_and_of_none_other():
  predicted, target, confidence = sequences(6)
  with_axis = losses.weighted_2d(predicted, target, confidence)
  np.testing.assert_array_equal(losses.weighted_2d(predicted, target, confidence[..., 0]), with_axis)
  np.testing.assert_allclose(losses.weighted_2d(predicted[..., :2], target[..., :2], confidence), with_axis)
  with pytest.raises(ValueError, match="confidence has shape.*one value a joint"):
    losses.weighted_2d(predicted, target, confidence[:, :1])


def test_n_mpjpe_does_not_see_scale():
  predicted, target, _ = sequences(7)
  doubled = losses.n_mpjpe(predicted * 2, target)
  np.testing.assert_allclose(doubled, losses.n_mpjpe(predicted, target), rtol=1e-5)


def test_angle_list_is_the_published_one():
  bones = losses.H36M.bones
  got = {frozenset((bones[a], bones[b])) for a, b in losses.bone_pairs(losses.H36M)}
  published = {frozenset(tuple(reversed(reference.LIMBS[i])) for i in pair) for pair in reference.ANGLES}
  assert got == published


def test_limbs_follow_the_skeleton():
  lsp = skeleton.get("lsp_14")
  pose = np.random.default_rng(8).normal(size=(3, 14, 3)).astype(np.float32)
  assert losses.limb_variance(pose, lsp).shape == (13,)
  expected = pose[:, lsp.index("left_knee")] - pose[:, lsp.index("left_hip")]
  got = losses.bone_vectors(pose, lsp)[:, [lsp.names[child] for child, _ in lsp.bones].index("left_knee")]
  np.testing.assert_array_equal(got, expected)
  with pytest.raises(ValueError, match="'h36m_17' has 17 joints.*own skeleton"):
    losses.limb_variance(pose)
