"""Augmentations of batches: pure functions of a batch, a dict of arrays with leading axis B, and a key.

Keys are folded with the sample's index in the global batch, so a sample's augmentation depends on the key and its place
alone, and not on how the batch is sharded or on its size.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxpose.geometry import camera as cameras
from jaxpose.geometry import placement
from jaxpose.geometry.camera import Camera
from jaxpose.skeleton import Skeleton

Batch = dict[str, Any]
Transform = Callable[[Batch, jax.Array], Batch]


def augment(*transforms: Transform) -> Transform:
  """Applies transforms (batch, key) -> batch in order, each with a key of its own.

  augment(partial(random_flip, skeleton=s), partial(keypoint_noise, std_px=2.0)); appending one changes no other's
  numbers.
  """

  def apply(batch: Batch, key: jax.Array) -> Batch:
    for i, transform in enumerate(transforms):
      batch = transform(batch, jax.random.fold_in(key, i))
    return batch

  return apply


def flip(batch: Batch, skeleton: Skeleton) -> Batch:
  """Mirrors the whole scene, x -> -x: keypoints, joints, confidence, and the camera that sees the mirrored world.

  Left and right joints change places. In the image x -> width - x, so the camera's cx -> width - cx and p1 -> -p1; its
  pose becomes M R M, M t with M = diag(-1, 1, 1), a proper rotation. Projecting the result's joints_3d with its camera
  gives its keypoints, distortion included; "images" [*b, H, W, 3] are mirrored along. An involution.
  """
  order = np.array(skeleton.flip)
  camera = batch["camera"]
  width = jnp.asarray(camera.size)[..., :1]
  keypoints = jnp.asarray(batch["keypoints_2d"])[..., order, :]
  # The width [*b, 1] against x [*b, T, J]: axes in between.
  x = width.reshape(width.shape[:-1] + (1,) * (keypoints.ndim - width.ndim)) - keypoints[..., 0]
  sign = np.array([-1, 1, 1], np.float32)
  mirrored = {
    **batch,
    "keypoints_2d": jnp.stack([x, keypoints[..., 1]], -1),
    "confidence": jnp.asarray(batch["confidence"])[..., order],
    "camera": _mirror(camera, width, sign),
  }
  if "joints_3d" in batch:
    mirrored["joints_3d"] = flip_pose(batch["joints_3d"], skeleton)
  if "images" in batch:
    mirrored["images"] = jnp.asarray(batch["images"])[..., ::-1, :]
  return mirrored


def flip_pose(pose: Float[ArrayLike, "*b J 3"], skeleton: Skeleton) -> Float[Array, "*b J 3"]:
  """The mirrored pose [..., J, 3]: x -> -x, and left and right joints change places. An involution."""
  joints = jnp.asarray(pose)[..., np.array(skeleton.flip), :]
  return joints * np.array([-1, 1, 1], np.float32).reshape((1,) * (joints.ndim - 1) + (3,))


def random_flip(batch: Batch, key: jax.Array, skeleton: Skeleton, probability: float = 0.5) -> Batch:
  """`flip` for each sample with this probability."""
  _check_probability("random_flip", probability)
  chosen = jax.vmap(lambda k: jax.random.bernoulli(k, probability))(_keys(batch, key))
  mirrored = flip(batch, skeleton)
  return {name: jax.tree.map(lambda a, b: _choose(chosen, a, b), mirrored[name], batch[name]) for name in batch}


def keypoint_noise(batch: Batch, key: jax.Array, std_px: float) -> Batch:
  """Adds normal noise, `std_px` pixels in x and in y, to the keypoints that are present (confidence above 0)."""
  if not std_px >= 0:
    raise ValueError(f"keypoint_noise: std_px={std_px}; the standard deviation in pixels is at least 0")
  keypoints = jnp.asarray(batch["keypoints_2d"])
  noise = jax.vmap(lambda k: jax.random.normal(k, keypoints.shape[1:], keypoints.dtype))(_keys(batch, key))
  present = jnp.asarray(batch["confidence"])[..., None] > 0
  return {**batch, "keypoints_2d": keypoints + std_px * jnp.where(present, noise, 0)}


def missing_joints(batch: Batch, key: jax.Array, skeleton: Skeleton, probability: float) -> Batch:
  """Drops each joint of each frame with this probability: confidence 0, keypoints on the root. Never the root."""
  _check_probability("missing_joints", probability)
  keypoints, confidence = jnp.asarray(batch["keypoints_2d"]), jnp.asarray(batch["confidence"])
  dropped = jax.vmap(lambda k: jax.random.bernoulli(k, probability, confidence.shape[1:]))(_keys(batch, key))
  root = skeleton.root
  dropped = dropped.at[..., root].set(False)
  return {
    **batch,
    "keypoints_2d": jnp.where(dropped[..., None], keypoints[..., root : root + 1, :], keypoints),
    "confidence": jnp.where(dropped, 0, confidence),
  }


def place_root(
  batch: Batch, key: jax.Array, skeleton: Skeleton, boxes: Float[ArrayLike, "K 3"], nearest: float = 0.5
) -> Batch:
  """Moves each sample's root to where its projection has the box of a target body, drawn from `boxes`.

  boxes: centre x, y and mean side in rays, as `placement.boxes` measures them on the target's unlabelled 2D poses. The
  body keeps its pose and its orientation to the image axes; distance and place in the image become the target's: the
  global position alignment of PoseDA (Chai et al., ICCV 2023; `placement.place_by_boxes`). A window moves as a whole,
  by the mean of its valid frames' translations. The sample's own camera sees it there: keypoints agree with joints_3d.

  A sample of which some joint would come nearer than `nearest` metres, or without a valid frame, stays as it is.

  Trap: a camera that distorts far off its centre folds the image; draw boxes from cameras of a similar field of view.
  """
  boxes = jnp.asarray(boxes)
  joints = jnp.asarray(batch["joints_3d"])
  valid = jnp.asarray(batch["valid"])
  chosen = jax.vmap(lambda k: jax.random.randint(k, (), 0, len(boxes)))(_keys(batch, key))
  box = jnp.broadcast_to(boxes[chosen][:, None], (*valid.shape, 3))
  known = valid[..., None, None]
  root = joints[..., skeleton.root, :]
  pose = jnp.where(known, joints - root[..., None, :], 0)  # first, so that an invalid frame's NaN goes nowhere
  shift = placement.place_in_box(pose, box) - root
  count = jnp.maximum(valid.sum(-1), 1)[:, None]
  moved = joints + (jnp.where(known[..., 0], shift, 0).sum(-2) / count)[:, None, None]
  near = jnp.where(known[..., 0], moved[..., 2], jnp.inf).min((-1, -2))
  usable = (near >= nearest) & valid.any(-1)
  projected = cameras.project(jnp.where(known, moved, 1), batch["camera"])
  keypoints = jnp.where(known, projected, batch["keypoints_2d"])
  return {
    **batch,
    "joints_3d": _choose(usable, moved, joints),
    "keypoints_2d": _choose(usable, keypoints, jnp.asarray(batch["keypoints_2d"])),
  }


def _keys(batch: Batch, key: jax.Array) -> jax.Array:
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(batch["keypoints_2d"].shape[0]))


def _mirror(camera: Camera, width: jax.Array, sign: np.ndarray) -> Camera:
  center, tangential = jnp.asarray(camera.center), jnp.asarray(camera.tangential)
  rotation, translation = jnp.asarray(camera.rotation), jnp.asarray(camera.translation)
  batch_axes = (1,) * (translation.ndim - 1)
  return camera._replace(
    center=jnp.concatenate([width - center[..., :1], center[..., 1:]], -1),
    tangential=tangential * sign[:2].reshape((*batch_axes, 2)),
    rotation=rotation * np.outer(sign, sign).reshape((*batch_axes, 3, 3)),
    translation=translation * sign.reshape((*batch_axes, 3)),
  )


def _choose(chosen: jax.Array, one, other) -> jax.Array:
  return jnp.where(chosen.reshape(chosen.shape + (1,) * (one.ndim - 1)), one, other)


def _check_probability(what: str, probability: float) -> None:
  if not 0 <= probability <= 1:
    raise ValueError(f"{what}: probability={probability}; a probability is between 0 and 1")
