"""Self-supervised losses: what an unlabelled 2D pose can teach. Training and adaptation share them.

An objective is objective(variables, inputs [N, T, J, C], key, copies=1) -> (scalar, metrics): pure, deterministic given
the key, and in evaluation mode (no dropout, normalisation frozen), as ISO adapts. `copies` is how many times it draws
anew for every row: the loss is that of N * copies rows, but whatever does not depend on the draw (lifting a row,
judging it) is computed once a row. One that draws nothing ignores it.

A missing joint enters a network as exactly 0 (codec); it takes no part in any comparison with the input.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxpose import losses
from jaxpose.adapt import players
from jaxpose.codec import Codec
from jaxpose.geometry import projection
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter

Variables = Mapping[str, Any]
Metrics = dict[str, Array]
Objective = Callable[..., tuple[Array, Metrics]]
Lifting = Callable[[Array, Array], Array]
# The two players' losses before they are added up, and metrics: `terms` with its modules bound.
Terms = Callable[..., tuple[Array, Array, Metrics]]


def adversary(lifter: Lifter, codec: Codec, discriminator: nn.Module, **options: Any) -> Objective:
  """Random projection adversary: a lifted pose, seen from anywhere, should look like a 2D pose (Drover et al. 2018).

  options: azimuth, elevation, lift, size, as in `random_projection`.
  """
  return both_players(random_projection(lifter, codec, discriminator, **options))


def cycle(
  lifter: Lifter,
  codec: Codec,
  discriminator: nn.Module,
  *,
  weight_2d: float = 10.0,
  weight_3d: float = 0.1,
  **options: Any,
) -> Objective:
  """Geometric cycle consistency: `adversary`, and the projection, lifted and turned back, is the pose again (Eq. 4)."""
  own = random_projection(lifter, codec, discriminator, weight_2d=weight_2d, weight_3d=weight_3d, **options)
  return both_players(own)


def both_players(own: Terms) -> Objective:
  """The min-max problem of Eq. 6 as one scalar: each player's term stops the gradient of the other player."""

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    generator, discriminator, metrics = own(variables, inputs, key, copies=copies)
    return generator + discriminator, metrics

  return objective


def random_projection(
  lifter: Lifter,
  codec: Codec,
  discriminator: nn.Module,
  *,
  weight_2d: float = 0.0,
  weight_3d: float = 0.0,
  azimuth: float = math.pi,
  elevation: float = math.pi / 9,
  lift: str = "free",
  size: float | None = None,
) -> Terms:
  """`terms` with its modules bound. Angles in radians; lift and size as in `lifting`."""
  return functools.partial(
    terms,
    lifter=lifter,
    codec=codec,
    discriminator=discriminator,
    weight_2d=weight_2d,
    weight_3d=weight_3d,
    azimuth=azimuth,
    elevation=elevation,
    to_pose=lifting(codec, lift, size),
  )


def terms(
  variables: Variables,
  inputs: Float[Array, "N T J C"],
  key: jax.Array,
  *,
  lifter: Lifter,
  codec: Codec,
  discriminator: nn.Module,
  weight_2d: float,
  weight_3d: float,
  azimuth: float,
  elevation: float,
  to_pose: Lifting,
  outputs: Float[Array, "N T J 3"] | None = None,
  valid: Bool[Array, "N T"] | None = None,
  train: bool = False,
  copies: int = 1,
) -> tuple[Float[Array, ""], Float[Array, ""], Metrics]:
  """The losses of the generator (the lifter) and of the discriminator, on a random projection y of the lifted pose X.

  generator = -log D(y) + weight_2d |x - x~|^2 + weight_3d |X - X~|^2, non-saturating, where X~ is the lift of y turned
  back and x~ its projection; discriminator = -log D(x) - log(1 - D(y)). Squares are summed over joints and
  coordinates, everything is averaged over (valid) frames. One rotation a row: a window's frames turn together.

  outputs: the self-supervised head's outputs for the inputs, where the caller has them already. train: with dropout
  and batch statistics; running statistics never change here. copies: random projections of every row; the row itself is
  lifted and judged once.
  """
  lift_key, relift_key, rotation_key, judge_key = jax.random.split(key, 4)
  flat, root, rows = inputs[..., :2], codec.skeleton.root, len(inputs)

  def copied(x):  # the row of copy i is i % rows
    return jnp.tile(x, (copies,) + (1,) * (x.ndim - 1))

  present = jnp.any(flat != 0, -1, keepdims=True)
  if valid is None:
    valid = jnp.ones(inputs.shape[:2], bool)

  def lift(rows, key):
    trunk_key, head_key = jax.random.split(key)
    features, _ = lifters.apply(lifter.trunk, variables, "trunk", rows, train, trunk_key)
    return lifters.apply(lifter.head, variables, "self_supervised_head", features, train, head_key)[0]

  mean = functools.partial(masked_mean, valid=copied(valid))
  pose = copied(to_pose(lift(inputs, lift_key) if outputs is None else outputs, inputs))
  rotation = projection.sample_rotation(rotation_key, (rows * copies,), azimuth, elevation)
  rotation = jnp.broadcast_to(rotation[:, None], (*pose.shape[:2], 3, 3))
  projected = jnp.where(copied(present), codec.project(projection.rotate(pose, rotation, root)), 0)

  def judge(weights, poses, key) -> Array:
    return jnp.asarray(discriminator.apply(weights, poses, train=train, rngs={"dropout": key} if train else None))

  weights = lifters.part(variables, "discriminator")
  of_judge, of_lifter = players.apart(judge)(weights, jnp.concatenate([flat, projected]), judge_key)
  real, fake = of_judge[:rows], of_judge[rows:]
  discriminator_loss = masked_mean(jax.nn.softplus(-real), valid) + mean(jax.nn.softplus(fake))
  generator_loss = mean(jax.nn.softplus(-of_lifter[rows:]))
  accuracy = masked_mean((real > 0).astype(jnp.float32), valid) + mean((fake < 0).astype(jnp.float32))
  metrics = {
    "generator": generator_loss,
    "discriminator": discriminator_loss,
    "discriminator_accuracy": accuracy / 2,
  }
  if weight_2d or weight_3d:
    again = jnp.concatenate([projected, copied(inputs[..., 2:])], -1)
    returned = projection.rotate(to_pose(lift(again, relift_key), again), jnp.swapaxes(rotation, -1, -2), root)
    reprojected = jnp.where(copied(present), codec.project(returned), 0)
    metrics["cycle_2d"] = mean(losses.squared_error(reprojected, copied(flat)).sum(-1))
    metrics["cycle_3d"] = mean(losses.squared_error(returned, pose).sum(-1))
    generator_loss += weight_2d * metrics["cycle_2d"] + weight_3d * metrics["cycle_3d"]
  return generator_loss, discriminator_loss, metrics


def lifting(codec: Codec, lift: str = "free", size: float | None = None) -> Lifting:
  """to_pose(outputs, inputs) -> root-relative poses [..., J, 3]: how the self-supervised head's three numbers are read.

  "free": as x, y, z (ISO). "depth": z alone is used, as the joint's depth offset along its input ray, so that no
  rotation gives back the input exactly (Drover et al. 2018). A codec that divides each pose by its own rms keeps no
  size: then `size`, the rms of a body's x and y in output units, is needed.
  """
  root, constants = codec.skeleton.root, codec.constants
  if lift == "free":
    if size is not None:
      raise ValueError(f"size={size} is for lift='depth'; a free lift has its own size")
    return lambda outputs, inputs: outputs - outputs[..., root : root + 1, :]
  if lift != "depth":
    raise ValueError(f"lift={lift!r}, expected 'free' or 'depth'")
  if "depth_m" in constants and size:  # rays of unit rms
    depth, ray = constants["depth_m"], size / constants["depth_m"]
  elif "depth" in constants and size is None:  # rays at the scale of the projection
    depth, ray = constants["depth"], 1.0
  else:
    raise ValueError(
      f"lift='depth' with codec {codec.name!r} and size={size}: it needs a size for 'root_rms' and 'canonical', none "
      "for 'root_scaled', and no other codec has a canonical projection"
    )
  return lambda outputs, inputs: projection.backproject(ray * inputs[..., :2], outputs[..., 2], depth, root)


def reprojection(lifter: Lifter, codec: Codec, weight: float = 10.0) -> Objective:
  """weight |project(F(x)) - x|^2, summed over joints and coordinates, averaged over rows; F is the supervised lifter.

  It moves the trunk under the frozen supervised head, whose prediction is what counts. Trap: alone it leaves depth free
  and makes poses worse; bone lengths hold the depth.
  """

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    del key, copies
    flat = inputs[..., :2]
    error = losses.squared_error(codec.project(_predict(lifter, variables, inputs)), flat)
    present = jnp.any(flat != 0, -1)
    value = jnp.where(present, error, 0).sum(-1).mean()
    return weight * value, {"reprojection": value}

  return objective


def masked_mean(values: Float[Array, "*b"], valid: Bool[Array, "*b"]) -> Float[Array, ""]:
  """The mean of the valid frames' values; 0 when no frame is valid. An invalid frame's NaN does not pass."""
  return jnp.sum(jnp.where(valid, values, 0)) / jnp.maximum(jnp.sum(valid), 1)


def _predict(lifter: Lifter, variables: Variables, inputs: Array) -> Array:
  return lifters.predict(lifter, variables, inputs)
