"""Training losses, unreduced: the caller masks and averages. Every gradient is finite, also at a perfect prediction.

Sequences are [..., T, J, 3] in the unit of the model's output. The mean of mpjpe, n_mpjpe, velocity, limb_variance,
limb_length, angle, angle_velocity and weighted_2d is the loss of that name in MotionBERT (Zhu et al., ICCV 2023). Bones
come from a skeleton's parents, by default those of Human3.6M's 17 joints.
"""

import functools
import itertools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxpose import metrics
from jaxpose import skeleton as skeletons

H36M = skeletons.get("h36m_17")

# MotionBERT's list of joint angles holds every pair of bones that meet at a joint, but for this one at the thorax. It
# is left out here too, so that losses compare.
_OMITTED_ANGLE = {"nose", "left_shoulder"}

_EPS = 1e-7  # Cosines are clamped this far inside +-1: the arc cosine has no derivative at its ends.


def mpjpe(predicted: Float[ArrayLike, "*b J C"], target: Float[ArrayLike, "*b J C"]) -> Float[Array, "*b J"]:
  """Distance |p - q| of each joint, [..., J]."""
  return metrics.joint_errors(predicted, target)


def n_mpjpe(predicted: Float[ArrayLike, "*b J C"], target: Float[ArrayLike, "*b J C"]) -> Float[Array, "*b J"]:
  """Distance |s p - q| of each joint, [..., J], with s = <p, q> / <p, p> fitted to each frame (Rhodin et al. 2018).

  The gradient flows through the scale too: the loss does not see the size of the prediction.
  """
  return metrics.joint_errors(metrics.scale_align(predicted, target), target)


def squared_error(predicted: Float[ArrayLike, "*b C"], target: Float[ArrayLike, "*b C"]) -> Float[Array, "*b"]:
  """|p - q|^2, summed over the last axis. Trap: the mean squared error over coordinates is this divided by C."""
  return jnp.sum((jnp.asarray(predicted) - jnp.asarray(target)) ** 2, -1)


def absolute_error(predicted: Float[ArrayLike, "*b C"], target: Float[ArrayLike, "*b C"]) -> Float[Array, "*b"]:
  """|p - q|_1, summed over the last axis. Trap: the mean absolute error over coordinates is this divided by C."""
  return jnp.sum(jnp.abs(jnp.asarray(predicted) - jnp.asarray(target)), -1)


def weighted_2d(
  predicted: Float[ArrayLike, "*b J C"], target: Float[ArrayLike, "*b J D"], confidence: Float[ArrayLike, "*c"]
) -> Float[Array, "*b J"]:
  """Distance of each joint in the image plane (the first two coordinates) times its confidence, [..., J].

  `confidence` is [..., J] or [..., J, 1]. Trap: the mean divides by the number of joints, not by the confidences' sum.
  """
  predicted, target, confidence = jnp.asarray(predicted), jnp.asarray(target), jnp.asarray(confidence)
  joints = predicted.shape[:-1]
  if confidence.shape not in (joints, (*joints, 1)):
    raise ValueError(f"confidence has shape {confidence.shape}, expected {joints} or {(*joints, 1)}: one value a joint")
  return metrics.joint_errors(predicted[..., :2], target[..., :2]) * confidence.reshape(joints)


def velocity(predicted: Float[ArrayLike, "*b T J C"], target: Float[ArrayLike, "*b T J C"]) -> Float[Array, "*b S J"]:
  """Distance of the first temporal differences, [..., T-1, J]; a single frame has none and gives zeros [..., 1, J]."""
  return metrics.joint_errors(_difference(predicted, -3), _difference(target, -3))


def bone(
  predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"], skeleton: skeletons.Skeleton = H36M
) -> Float[Array, "*b K"]:
  """|B - B'|^2 of each bone vector, child minus parent, [..., bones] in the order of `skeleton.bones`.

  Source: Zhang, Nie, Feng, Inference Stage Optimization for Cross-scenario 3D Human Pose Estimation, 2020, Eq. 2.
  """
  return squared_error(bone_vectors(predicted, skeleton), bone_vectors(target, skeleton))


def limb_length(
  predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"], skeleton: skeletons.Skeleton = H36M
) -> Float[Array, "*b K"]:
  """Absolute difference of each bone's length, [..., bones]."""
  return jnp.abs(_lengths(predicted, skeleton) - _lengths(target, skeleton))


def limb_variance(predicted: Float[ArrayLike, "*b T J 3"], skeleton: skeletons.Skeleton = H36M) -> Float[Array, "*b K"]:
  """Unbiased variance over time of each bone's length, [..., bones]; 0 for a single frame."""
  lengths = _lengths(predicted, skeleton)
  frames = lengths.shape[-2]
  deviation = lengths - lengths.mean(-2, keepdims=True)
  return jnp.sum(deviation**2, -2) / max(frames - 1, 1)


def angle(
  predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"], skeleton: skeletons.Skeleton = H36M
) -> Float[Array, "*b A"]:
  """Absolute difference of each joint angle, [..., angles], radians; `bone_pairs` lists the angles."""
  return jnp.abs(_angles(predicted, skeleton) - _angles(target, skeleton))


def angle_velocity(
  predicted: Float[ArrayLike, "*b T J 3"], target: Float[ArrayLike, "*b T J 3"], skeleton: skeletons.Skeleton = H36M
) -> Float[Array, "*b S A"]:
  """Absolute difference of the angles' change a frame, [..., T-1, angles]; one frame gives zeros [..., 1, angles]."""
  return jnp.abs(_difference(_angles(predicted, skeleton), -2) - _difference(_angles(target, skeleton), -2))


def bone_vectors(pose: Float[ArrayLike, "*b J C"], skeleton: skeletons.Skeleton = H36M) -> Float[Array, "*b K C"]:
  """Child minus parent of each bone, [..., bones, C], in the order of `skeleton.bones`."""
  pose = jnp.asarray(pose)
  if pose.shape[-2] != skeleton.num_joints:
    raise ValueError(
      f"pose has shape {pose.shape}; skeleton {skeleton.name!r} has {skeleton.num_joints} joints on axis -2:"
      " pass the pose's own skeleton"
    )
  child, parent = np.asarray(skeleton.bones).T
  return pose[..., child, :] - pose[..., parent, :]


@functools.lru_cache
def bone_pairs(skeleton: skeletons.Skeleton) -> tuple[tuple[int, int], ...]:
  """The joint angles: index pairs into `skeleton.bones` of bones that share a joint (MotionBERT's list, by name)."""
  return tuple(
    (a, b)
    for (a, first), (b, second) in itertools.combinations(enumerate(skeleton.bones), 2)
    if set(first) & set(second) and {skeleton.names[first[0]], skeleton.names[second[0]]} != _OMITTED_ANGLE
  )


def _lengths(pose, skeleton):
  return metrics.safe_norm(bone_vectors(pose, skeleton))


def _angles(pose, skeleton):
  """Angles [..., A] between paired bones; a bone of no length counts as perpendicular and gets no gradient."""
  bones = bone_vectors(pose, skeleton)
  first, second = np.asarray(bone_pairs(skeleton)).T
  lengths = metrics.safe_norm(bones)
  product = lengths[..., first] * lengths[..., second]
  solid = product > 1e-8
  dot = jnp.sum(bones[..., first, :] * bones[..., second, :], -1)
  cosine = jnp.where(solid, dot / jnp.where(solid, product, 1), 0)
  return jnp.arccos(jnp.clip(cosine, -1 + _EPS, 1 - _EPS))


def _difference(values, axis):
  values = jnp.asarray(values)
  if values.shape[axis] == 1:
    return jnp.zeros_like(values)
  return jnp.diff(values, axis=axis)
