"""Keypoints as a detector would give them: its errors, which last a while, its confidences, and its joints."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose import skeleton as skeletons
from jaxpose.data.transforms import Batch
from jaxpose.geometry import camera as cameras
from jaxpose.skeleton import Skeleton

# The published noise and confidence were fitted to one detector, joint by joint, and are kept in binary files of that
# repository. These are round numbers: errors of 4 pixels in an image of 1000, up to 15 where a joint is lost.
STD, UNIFORM, WEIGHT, JITTER = 0.008, 0.06, 0.9, 0.002
CONFIDENCE = (0.1, 0.0, 0.0, 0.05)

_COCO = skeletons.get("coco_17")
# Metres before and above a motion capture's nose, the end of the neck's bone, that a face's nose is drawn from; the
# middle of the eyes from there.
_NOSE = ((0.0, 0.12), (-0.04, 0.04))
_EYES = (-0.02, 0.035)


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
  keypoints, given = jnp.asarray(batch["keypoints_2d"]), jnp.asarray(batch["confidence"])
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
    "keypoints_2d": jnp.where(given[..., None] > 0, moved, keypoints),
    "confidence": given * certain,
  }


def detector_joints(batch: Batch, key: jax.Array, skeleton: Skeleton, probability: float, crown: float = 0.5) -> Batch:
  """Each sample with this probability as the joints of a detector of COCO's 17 come to `skeleton` by name.

  Hips, shoulders and the face are all that such a detector knows of the trunk and the head: pelvis, spine and thorax
  become means (`skeleton.joint_map`), certain only as their least certain joint. The nose is a face's, before and about
  the batch's own by metres drawn for each sample, and head_top the middle of the eyes with probability `crown`, missing
  else. Errors and gaps that the keypoints have already stay on the joints they are on: apply it after those.

  Raises ValueError for a skeleton without a nose, a head_top or the limbs.
  """
  if not 0 <= probability <= 1 or not 0 <= crown <= 1:
    raise ValueError(f"detector_joints: probability={probability}, crown={crown}; a probability is between 0 and 1")
  at = {name: skeleton.index(name) for name in ("nose", "head_top", *(n for n in _COCO.names if _is_limb(n)))}
  keypoints, confidence = jnp.asarray(batch["keypoints_2d"]), jnp.asarray(batch["confidence"])

  def draw(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    keys = jax.random.split(key, 3)
    low, high = np.array(_NOSE, np.float32).T
    nose = low + (high - low) * jax.random.uniform(keys[1], (2,))
    return jax.random.bernoulli(keys[0], probability), nose, jax.random.bernoulli(keys[2], crown)

  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(keypoints)))
  chosen, offset, crowned = jax.vmap(draw)(keys)
  nose, eyes = face(jnp.asarray(batch["joints_3d"]), at, offset)
  before = cameras.project(jnp.stack([nose, eyes], -2), batch["camera"])
  moved = before - cameras.project(jnp.asarray(batch["joints_3d"])[..., at["nose"], :][..., None, :], batch["camera"])
  shown = keypoints[..., at["nose"], :][..., None, :] + moved
  seen = [shown[..., 1, :] if "eye" in n or "ear" in n else keypoints[..., at[n], :] for n in _COCO.names]
  seen[_COCO.index("nose")] = shown[..., 0, :]
  certain = [confidence[..., at.get(n, at["nose"])] for n in _COCO.names]
  matrix = skeletons.joint_map(_COCO, skeleton).matrix
  points = jnp.einsum("kj,...jc->...kc", matrix, jnp.stack(seen, -2), precision=jax.lax.Precision.HIGHEST)
  least = jnp.where(matrix[None, None] > 0, jnp.stack(certain, -1)[..., None, :], jnp.inf).min(-1)
  least = least.at[..., at["head_top"]].multiply(crowned[:, None].astype(least.dtype))
  return {
    **batch,
    "keypoints_2d": jnp.where(chosen[:, None, None, None], points, keypoints),
    "confidence": jnp.where(chosen[:, None, None], least, confidence),
  }


def _is_limb(name: str) -> bool:
  return any(part in name for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))


def face(joints: jax.Array, at: dict[str, int], offset: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The nose and the middle of the eyes [B, T, 3] of bodies whose nose ends a bone; offset [B, 2]: before, above."""
  unit = lambda v: v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-6)  # noqa: E731
  left = unit(joints[..., at["left_shoulder"], :] - joints[..., at["right_shoulder"], :])
  up = unit(joints[..., at["head_top"], :] - joints[..., at["nose"], :])
  ahead = unit(jnp.cross(left, up))
  nose = joints[..., at["nose"], :] + offset[:, None, :1] * ahead + offset[:, None, 1:] * up
  return nose, nose + _EYES[0] * ahead + _EYES[1] * up


def _stretched(values: jax.Array, frames: int) -> jax.Array:
  """[K, J, 2] at even moments to [frames, J, 2], linearly; first to first and last to last."""
  at = np.linspace(0, len(values) - 1, frames)
  before = np.minimum(at.astype(int), max(len(values) - 2, 0))
  after = np.minimum(before + 1, len(values) - 1)
  share = (at - before).astype(np.float32)[:, None, None]
  return values[before] * (1 - share) + values[after] * share
