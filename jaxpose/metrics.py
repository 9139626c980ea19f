"""The field's error metrics, one number a frame, unreduced: what to average, and how, is the protocol's to say.

Poses are compared as given: nothing here subtracts the root, so make them root-relative first where the protocol does.
NumPy and JAX arrays are accepted; the unit of the result is the unit of the poses.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from jaxpose.geometry import procrustes

AUC_THRESHOLDS = tuple(k * 5 / 1000 for k in range(31))  # 0, 5, ..., 150 mm, in metres


def safe_norm(vector: Float[ArrayLike, "*b C"]) -> Float[Array, "*b"]:
  """Euclidean length over the last axis, with gradient 0 at zero length, where the plain norm's is NaN."""
  square = jnp.sum(jnp.asarray(vector) ** 2, -1)
  positive = square > 0
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def joint_errors(predicted: Float[ArrayLike, "*b J C"], target: Float[ArrayLike, "*b J C"]) -> Float[Array, "*b J"]:
  """Distance |p - q| of each joint, [..., J]; its gradient at zero distance is 0."""
  return safe_norm(jnp.asarray(predicted) - jnp.asarray(target))


@jax.jit
def mpjpe(predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]) -> Float[Array, "*b"]:
  """Mean per-joint position error ("protocol 1"): the mean distance over joints, [...].

  Trap: a root joint that is zero in both poses counts as a perfect joint and lowers the mean by 1/J.
  """
  return joint_errors(predicted, target).mean(-1)


@jax.jit
def pa_mpjpe(predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]) -> Float[Array, "*b"]:
  """MPJPE after similarity Procrustes alignment of each frame ("protocol 2"), [...].

  The alignment is a proper rotation: a mirrored pose keeps its error.
  """
  return mpjpe(procrustes_align(predicted, target), target)


@jax.jit
def n_mpjpe(predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]) -> Float[Array, "*b"]:
  """MPJPE after scaling each predicted frame by its best scale ("protocol 3"; Rhodin et al. 2018), [...]."""
  return mpjpe(scale_align(predicted, target), target)


@jax.jit
def mpjve(predicted: Float[ArrayLike, "*b T J 3"], target: Float[ArrayLike, "*b T J 3"]) -> Float[Array, "*b S"]:
  """Mean per-joint velocity error: MPJPE of the first temporal differences, [..., T, J, 3] -> [..., T-1], unit a frame.

  Source: Pavllo et al. 2019. Trap: difference within one sequence only, never across the seam of two.
  """
  return mpjpe(jnp.diff(jnp.asarray(predicted), axis=-3), jnp.diff(jnp.asarray(target), axis=-3))


@jax.jit
def pck(
  predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"], threshold: Float[ArrayLike, ""] = 0.150
) -> Float[Array, "*b"]:
  """Percentage of correct keypoints, as a fraction in [0, 1]: the joints whose error is strictly below `threshold`.

  Source: Mehta et al. 2017 (MPI-INF-3DHP), 150 mm. An error that differs from the threshold by less than the rounding
  of its coordinates counts as equal to it and fails. Trap: papers differ in the joints they count; choose them first.
  """
  return _fraction_under(*_errors_and_rounding(predicted, target), threshold)


@jax.jit
def auc(predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]) -> Float[Array, "*b"]:
  """Mean PCK, in [0, 1], over the 31 thresholds 0, 5, ..., 150 mm; poses in metres.

  Trap: the threshold 0 is never met, so a perfect prediction scores 30/31.
  """
  errors = _errors_and_rounding(predicted, target)
  fractions = [_fraction_under(*errors, t) for t in AUC_THRESHOLDS]
  return jnp.mean(jnp.stack(fractions), axis=0)


def _errors_and_rounding(predicted, target):
  """Errors [..., J], and how far rounding may have moved them: without it 150 mm passes `< 0.150` by the last bit."""
  predicted, target = jnp.asarray(predicted), jnp.asarray(target)
  errors = joint_errors(predicted, target)
  return errors, jnp.finfo(errors.dtype).eps * (safe_norm(predicted) + safe_norm(target))


def _fraction_under(errors, rounding, threshold):
  return jnp.mean(errors + rounding < threshold, axis=-1, dtype=errors.dtype)


def best_scale(predicted: Float[ArrayLike, "*b J C"], target: Float[ArrayLike, "*b J C"]) -> Float[Array, "*b"]:
  """The least-squares scale <p, q> / <p, p> of each frame, [...], about the origin; 1 where p is a point there."""
  predicted, target = jnp.asarray(predicted), jnp.asarray(target)
  square = jnp.sum(predicted**2, (-2, -1))
  point = procrustes.is_point(square)
  return jnp.where(point, 1, jnp.sum(predicted * target, (-2, -1)) / jnp.where(point, 1, square))


def scale_align(predicted: Float[ArrayLike, "*b J C"], target: Float[ArrayLike, "*b J C"]) -> Float[Array, "*b J C"]:
  """The predicted pose times its `best_scale`, frame by frame: the "scaled" alignment, about the origin (the root)."""
  return best_scale(predicted, target)[..., None, None] * jnp.asarray(predicted)


def procrustes_align(
  predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]
) -> Float[Array, "*b J 3"]:
  """The predicted pose under its best scale, proper rotation and translation, by frame; see `geometry.procrustes`."""
  return procrustes.align(predicted, target)
