"""Keypoints as a detector would give them: errors that last a while, and a confidence that falls with the error."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose.data.transforms import Batch

# The published noise and confidence were fitted to one detector, joint by joint, and are kept in binary files of that
# repository. These are round numbers: errors of 4 pixels in an image of 1000, up to 15 where a joint is lost.
STD, UNIFORM, WEIGHT, JITTER = 0.008, 0.06, 0.9, 0.002
CONFIDENCE = (0.1, 0.0, 0.0, 0.05)


def detector_noise(
  batch: Batch,
  key: jax.Array,
  *,
  key_frames: int = 27,
  mean: float | Sequence[float] = 0.0,
  std: float | Sequence[float] = STD,
  weight: float | Sequence[float] = WEIGHT,
  uniform: float = UNIFORM,
  jitter: float = JITTER,
  confidence: Sequence[float] = CONFIDENCE,
) -> Batch:
  """Errors on the keypoints of a batch [B, T, J, 2], and the confidences that go with them (MotionBERT, section 3.3).

  At `key_frames` moments, evenly from a window's first frame to its last, each joint is off by a draw from
  N(mean, std^2) with probability `weight`, else from U(-uniform / 2, uniform / 2); frames between are interpolated, and
  every frame adds N(0, jitter^2). All in half widths of the image, x and y alike; mean, std and weight are one number
  or one a joint.

  confidence: (a, b, m, s), the confidence of an error of d is a / (d + a) + b d + N(m, s^2), clipped to [0, 1]. It
  multiplies the batch's own; a missing joint (confidence 0) stays where and what it is.

  Two departures from the published code: each clip draws its own jitter, and its parameters are not the fitted ones.
  """
  if key_frames < 1 or min(uniform, jitter, *np.ravel(std)) < 0 or not all(0 <= w <= 1 for w in np.ravel(weight)):
    raise ValueError(
      f"detector_noise: key_frames={key_frames} must be at least 1, std={std}, uniform={uniform} and jitter={jitter} "
      f"not negative, weight={weight} between 0 and 1"
    )
  keypoints, own = jnp.asarray(batch["keypoints_2d"]), jnp.asarray(batch["confidence"])
  frames, joints = keypoints.shape[1:3]
  per_joint = lambda x: np.broadcast_to(np.asarray(x, np.float32), (joints,)).reshape(1, joints, 1)  # noqa: E731

  def errors(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    keys = jax.random.split(key, 5)
    shape = (key_frames, joints, 2)
    normal = jax.random.normal(keys[0], shape) * per_joint(std) + per_joint(mean)
    even = jax.random.uniform(keys[1], shape, minval=-uniform / 2, maxval=uniform / 2)
    chosen = jax.random.uniform(keys[2], (key_frames, joints, 1)) < per_joint(weight)
    slow = _stretched(jnp.where(chosen, normal, even), frames)
    delta = slow + jitter * jax.random.normal(keys[3], (frames, joints, 2))
    a, b, m, s = confidence
    distance = jnp.sqrt(jnp.sum(delta**2, -1))
    certain = a / (distance + a) + b * distance + m + s * jax.random.normal(keys[4], (frames, joints))
    return delta, jnp.clip(certain, 0, 1)

  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(keypoints)))
  delta, certain = jax.vmap(errors)(keys)
  half_width = jnp.asarray(batch["camera"].size)[:, :1] / 2
  moved = keypoints + delta * half_width[..., None, None]
  return {
    **batch,
    "keypoints_2d": jnp.where(own[..., None] > 0, moved, keypoints),
    "confidence": own * certain,
  }


def _stretched(values: jax.Array, frames: int) -> jax.Array:
  """[K, J, 2] at even moments to [frames, J, 2], linearly; first to first and last to last."""
  at = np.linspace(0, len(values) - 1, frames)
  before = np.minimum(at.astype(int), max(len(values) - 2, 0))
  after = np.minimum(before + 1, len(values) - 1)
  share = (at - before).astype(np.float32)[:, None, None]
  return values[before] * (1 - share) + values[after] * share
