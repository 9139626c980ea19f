"""Metrics: golden vectors, float64 NumPy, the invariances that define them, and the traps of thresholds."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import metrics
from tests import numpy_reference as reference

GOLDEN = pathlib.Path(__file__).parent / "golden"
METRICS = {name: getattr(metrics, name) for name in ("mpjpe", "pa_mpjpe", "n_mpjpe", "mpjve", "pck", "auc")}


def pair(seed, noise=0.1):
  """A root-relative target in metres and a prediction near it, [12, 17, 3]."""
  rng = np.random.default_rng(seed)
  target = rng.normal(size=(12, 17, 3)) * 0.4
  predicted = target + rng.normal(size=target.shape) * noise
  return tuple((pose - pose[:, :1]).astype(np.float32) for pose in (predicted, target))


@pytest.mark.parametrize(
  ("name", "key"),
  [("mpjpe", "mpjpe"), ("pa_mpjpe", "p_mpjpe"), ("n_mpjpe", "n_mpjpe"), ("mpjve", "mean_velocity_error")],
)
def test_golden_means(name, key):
  golden = np.load(GOLDEN / "pose_metrics.npz")
  result = METRICS[name](golden["predicted"], golden["target"])
  assert result.shape == (39 if name == "mpjve" else 40,)
  np.testing.assert_allclose(np.mean(result), golden[key], rtol=1e-5)


def test_golden_pck_and_auc():
  golden = np.load(GOLDEN / "poseaug_pck.npz")
  poses = golden["predicted_m"].astype(np.float32), golden["target_m"].astype(np.float32)
  np.testing.assert_allclose(100 * np.mean(metrics.pck(*poses)), golden["pck150"], rtol=1e-5)
  np.testing.assert_allclose(100 * np.mean(metrics.auc(*poses)), golden["auc"], rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_equal_to_numpy(seed, noise):
  predicted, target = pair(seed, noise)
  expected = {
    "mpjpe": reference.mpjpe(predicted, target),
    "pa_mpjpe": reference.mpjpe(reference.align(predicted, target), target),
    "n_mpjpe": reference.mpjpe(reference.scale_align(predicted, target), target),
    "mpjve": reference.mpjpe(np.diff(predicted.astype(np.float64), axis=0), np.diff(target.astype(np.float64), axis=0)),
    "pck": reference.pck(predicted, target, 0.150),
    "auc": reference.auc(predicted, target),
  }
  for name, value in expected.items():
    np.testing.assert_allclose(METRICS[name](predicted, target), value, rtol=1e-5, atol=1e-6, err_msg=name)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_n_mpjpe_is_invariant_to_scale_and_so_is_pa_mpjpe(seed, scale):
  predicted, target = pair(seed)
  scaled = (predicted * scale).astype(np.float32)
  np.testing.assert_allclose(metrics.n_mpjpe(scaled, target), metrics.n_mpjpe(predicted, target), rtol=1e-4)
  np.testing.assert_allclose(metrics.pa_mpjpe(scaled, target), metrics.pa_mpjpe(predicted, target), rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_each_alignment_fits_at_least_as_well_as_the_one_before(seed):
  predicted, target = pair(seed, 0.3)

  def residual(pose):
    return np.sum((np.asarray(pose, np.float64) - target) ** 2, (-2, -1))

  scaled, aligned = metrics.scale_align(predicted, target), metrics.procrustes_align(predicted, target)
  assert (residual(scaled) <= residual(predicted) * (1 + 1e-5)).all()
  assert (residual(aligned) <= residual(scaled) * (1 + 1e-5)).all()


def test_ground_truth_is_perfect_and_its_auc_is_30_of_31():
  _, target = pair(0)
  for name in ("mpjpe", "n_mpjpe", "mpjve"):
    np.testing.assert_allclose(METRICS[name](target, target), 0, atol=1e-7)
  np.testing.assert_allclose(metrics.pa_mpjpe(target, target), 0, atol=1e-6)
  np.testing.assert_array_equal(metrics.pck(target, target), np.ones(12))
  np.testing.assert_allclose(metrics.auc(target, target), np.full(12, 30 / 31), rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.sampled_from([1.0, 1000.0]))
def test_an_error_of_exactly_the_threshold_fails(seed, step, unit):
  # One joint is off along x by exactly the threshold, at coordinates whose subtraction rounds either way.
  _, target = pair(seed)
  threshold = step * 0.005 * unit
  target = (target * unit).astype(np.float32)
  at, under = target.copy(), target.copy()
  at[:, 5, 0] += np.float32(threshold)
  under[:, 5, 0] += np.float32(threshold * 0.99)
  correct = np.full(12, 16 if step else 0)
  np.testing.assert_array_equal(np.round(17 * np.asarray(metrics.pck(at, target, threshold))), correct)
  np.testing.assert_array_equal(np.round(17 * np.asarray(metrics.pck(under, target, threshold))), correct + bool(step))


def test_150_mm_fails_the_default_threshold():
  target = np.zeros((1, 2, 3), np.float32)
  predicted = target + np.float32([[0.150, 0, 0], [0, 0.1499, 0]])
  np.testing.assert_array_equal(metrics.pck(predicted, target), [0.5])
  # 149.9 mm is under the last threshold alone.
  np.testing.assert_allclose(metrics.auc(predicted, target), [0.5 / 31], rtol=1e-6)


def test_poses_are_compared_as_given():
  predicted, target = pair(1)
  np.testing.assert_allclose(metrics.mpjpe(target + np.float32([0.3, 0, 0.4]), target), 0.5, rtol=1e-5)
  far = np.float32([3, 0, 4])
  np.testing.assert_allclose(metrics.pa_mpjpe(predicted + far, target), metrics.pa_mpjpe(predicted, target), atol=1e-5)


def test_a_mirrored_prediction_keeps_its_error():
  _, target = pair(2)
  assert np.min(metrics.pa_mpjpe(target * np.float32([-1, 1, 1]), target)) > 0.1


def test_the_unit_in_is_the_unit_out():
  predicted, target = pair(3)
  thousand = np.float32(1000)
  for name in ("mpjpe", "pa_mpjpe", "n_mpjpe", "mpjve"):
    millimetres = METRICS[name](predicted * thousand, target * thousand)
    np.testing.assert_allclose(millimetres, METRICS[name](predicted, target) * 1000, rtol=1e-4)


def test_batch_axes_are_kept_and_frames_are_independent():
  predicted, target = pair(4)
  stacked = predicted.reshape(3, 4, 17, 3), target.reshape(3, 4, 17, 3)
  for name in ("pa_mpjpe", "n_mpjpe"):
    expected = METRICS[name](predicted, target).reshape(3, 4)
    np.testing.assert_allclose(METRICS[name](*stacked), expected, rtol=1e-5)
  for name in ("mpjpe", "pck", "auc"):
    assert jax.eval_shape(METRICS[name], *stacked).shape == (3, 4)
  assert jax.eval_shape(metrics.mpjve, *stacked).shape == (3, 3)
  assert jax.eval_shape(metrics.joint_errors, *stacked).shape == (3, 4, 17)


@pytest.mark.parametrize("name", ["mpjpe", "pa_mpjpe", "n_mpjpe", "mpjve"])
def test_gradients_are_finite_where_norms_and_scales_are_not_smooth(name):
  _, target = pair(5)
  gradient = jax.jit(jax.grad(lambda p, t: jnp.sum(METRICS[name](p, t)), (0, 1)))
  for predicted in (target, target * 0, target * np.float32([1, 0, 0]), target * 1e-12):
    for part in gradient(jnp.asarray(predicted, jnp.float32), jnp.asarray(target)):
      assert np.isfinite(part).all()
