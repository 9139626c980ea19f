"""Where a root-relative pose stands, from its 2D keypoints: two closed forms, batched and differentiable.

`rays` are undistorted normalised image coordinates (x/z, y/z), as `camera.unproject` gives them. Poses are in metres,
camera axes. `present` [*b, J] marks the joints that count; without it all do.
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float


def place_by_boxes(
  pose: Float[ArrayLike, "*b J 3"],
  rays: Float[ArrayLike, "*b J 2"],
  present: Bool[Any, "*b J"] | None = None,
  focal: Float[ArrayLike, "*b 2"] | None = None,
) -> Float[Array, "*b 3"]:
  """The translation that gives the pose's box the size and the centre of the keypoints' box (`box_depth`).

  A body parallel to the image d_x metres wide and d_y high, at depth z, is f_x d_x / z pixels wide and f_y d_y / z
  high; the sum of the two over the keypoints' gives

    z = (f_x d_x + f_y d_y) / (w + h) = (f_x d_x + f_y d_y) / (2 s),   s the mean side of the 2D box, pixels,

  the global position alignment of PoseDA (Chai et al., Global Adaptation meets Local Generalization, ICCV 2023). It is
  exact for a body parallel to the image plane at any distance, and for any body in the limit of a distant camera, with
  a relative error of about body depth over distance. `place_by_rays` is exact where 2D and 3D agree; this form needs
  no match of the joints, so it also gives a pose the size of another person's box.

  focal: (f_x, f_y) in pixels; only their ratio matters, and without it they count as equal.
  """
  rays = jnp.asarray(rays)
  low, high = _box(rays, present)
  depth = box_depth(pose, _sides(high - low, focal), present, focal)[..., None]
  pose_low, pose_high = _box(jnp.asarray(pose)[..., :2], present)
  return jnp.concatenate([(low + high) / 2 * depth - (pose_low + pose_high) / 2, depth], -1)


def box_depth(
  pose: Float[ArrayLike, "*b J 3"],
  side: Float[ArrayLike, "*b"],
  present: Bool[Any, "*b J"] | None = None,
  focal: Float[ArrayLike, "*b 2"] | None = None,
) -> Float[Array, "*b"]:
  """(f_x d_x + f_y d_y) / (2 side): the depth at which the pose's box has this mean side.

  side: in the unit of `focal`, pixels, or of rays where focal is not given (`mean_side`).
  """
  low, high = _box(jnp.asarray(pose)[..., :2], present)
  return _sides(high - low, focal) / jnp.maximum(jnp.asarray(side), _TINY)


def mean_side(
  rays: Float[ArrayLike, "*b J 2"],
  present: Bool[Any, "*b J"] | None = None,
  focal: Float[ArrayLike, "*b 2"] | None = None,
) -> Float[Array, "*b"]:
  """s = (w + h) / 2 of the keypoints' box: in rays, or in pixels with `focal`."""
  low, high = _box(jnp.asarray(rays), present)
  return _sides(high - low, focal)


def boxes(rays: Float[ArrayLike, "*b J 2"], present: Bool[Any, "*b J"] | None = None) -> Float[Array, "*b 3"]:
  """(x, y, s): the centre and the mean side of each frame's box, in rays: what a data set's 2D poses say of distances.

  Two joints at least must be present.
  """
  rays = jnp.asarray(rays)
  low, high = _box(rays, present)
  return jnp.concatenate([(low + high) / 2, mean_side(rays, present)[..., None]], -1)


def place_in_box(
  pose: Float[ArrayLike, "*b J 3"], box: Float[ArrayLike, "*b 3"], present: Bool[Any, "*b J"] | None = None
) -> Float[Array, "*b 3"]:
  """The translation that gives the pose's projection this box (x, y, s), in rays, of any body: see `place_by_boxes`."""
  pose, box = jnp.asarray(pose), jnp.asarray(box)
  depth = box_depth(pose, box[..., 2], present)[..., None]
  low, high = _box(pose[..., :2], present)
  return jnp.concatenate([box[..., :2] * depth - (low + high) / 2, depth], -1)


def place_by_rays(
  pose: Float[ArrayLike, "*b J 3"],
  rays: Float[ArrayLike, "*b J 2"],
  present: Bool[Any, "*b J"] | None = None,
) -> Float[Array, "*b 3"]:
  """The translation t that minimises sum_j |ray_j (Z_j + t_z) - (X_j + t_x, Y_j + t_y)|^2: linear least squares.

  With b_j = ray_j Z_j - (X_j, Y_j), and ' for the deviation from the mean over joints: t_z = - sum ray'_j . b'_j /
  sum |ray'_j|^2, (t_x, t_y) = mean ray t_z + mean b. Exact where the rays are those of the pose; otherwise errors count
  in metres at the joint's depth. Mehta et al., Monocular 3D Human Pose Estimation In The Wild, 3DV 2017, section 5.3,
  solve it under weak perspective.

  Needs two joints on different rays at least; a pose whose rays all agree is put at t = its mean b, depth 0.
  """
  pose, rays = jnp.asarray(pose), jnp.asarray(rays)
  weight = jnp.ones(rays.shape[:-1]) if present is None else jnp.asarray(present, rays.dtype)
  weight = (weight / jnp.maximum(weight.sum(-1, keepdims=True), 1))[..., None]
  ray, away = _centred(rays, weight), _centred(rays * pose[..., 2:] - pose[..., :2], weight)
  square = (weight * ray[0] ** 2).sum((-1, -2))
  depth = -(weight * ray[0] * away[0]).sum((-1, -2)) / jnp.maximum(square, _TINY)
  centre = ray[1] * depth[..., None] + away[1]
  return jnp.concatenate([centre, depth[..., None]], -1)


_TINY = 1e-12  # below any side or squared ray that a body can have; keeps gradients finite


def _sides(size: Array, focal: Any) -> Array:
  """(f_x w + f_y h) / 2."""
  return (size if focal is None else size * jnp.asarray(focal)).sum(-1) / 2


def _box(points: Array, present: Any) -> tuple[Array, Array]:
  """The least and the greatest x and y of the joints present."""
  if present is None:
    return points.min(-2), points.max(-2)
  seen = jnp.asarray(present)[..., None]
  return jnp.where(seen, points, jnp.inf).min(-2), jnp.where(seen, points, -jnp.inf).max(-2)


def _centred(values: Array, weight: Array) -> tuple[Array, Array]:
  mean = (weight * values).sum(-2)
  return values - mean[..., None, :], mean
