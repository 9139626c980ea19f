"""Self-supervised losses: what an unlabelled 2D pose can teach. Training and adaptation share them.

An objective is objective(variables, inputs [N, T, J, C], key, copies=1) -> (scalar, metrics): pure, deterministic given
the key, and in evaluation mode (no dropout, normalisation frozen), as ISO adapts. `copies` is how many times it draws
anew for every row: the loss is that of N * copies rows, but whatever does not depend on the draw (lifting a row,
judging it) is computed once a row. One that draws nothing ignores it.

A missing joint enters a network as exactly 0 (codec); it takes no part in any comparison with the input, and a
projection is normalised by the joints that the input was normalised by. A frame without any joint takes no part: an
invalid frame, encoded with confidence 0, leaves no trace.
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
from jaxpose import metrics as measures
from jaxpose.codec import Codec
from jaxpose.geometry import projection
from jaxpose.methods import players
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter
from jaxpose.skeleton import Skeleton

Variables = Mapping[str, Any]
Metrics = dict[str, Array]
Objective = Callable[..., tuple[Array, Metrics]]
Lifting = Callable[[Array, Array], Array]
# The two players' losses before they are added up, and metrics: `terms` with its modules bound.
Terms = Callable[..., tuple[Array, Array, Metrics]]


def adversary(lifter: Lifter, codec: Codec, discriminator: nn.Module, **options: Any) -> Objective:
  """Random projection adversary: a lifted pose, seen from anywhere, should look like a 2D pose (Drover et al. 2018).

  options: as in `random_projection`.
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
  projected = random_projection(lifter, codec, discriminator, weight_2d=weight_2d, weight_3d=weight_3d, **options)
  return both_players(projected)


def both_players(unsplit: Terms) -> Objective:
  """The min-max problem of Eq. 6 as one scalar: each player's term stops the gradient of the other player."""

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    generator, discriminator, metrics = unsplit(variables, inputs, key, copies=copies)
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
  vertical: str = "camera",
  lift: str = "free",
  size: float | None = None,
  noise: float = 0.0,
) -> Terms:
  """`terms` with its modules bound. Angles in radians; lift and size as in `lifting`; noise as in `terms`.

  vertical: the axis of the azimuth, "camera" for the camera's own (published) or "scene" (`terms`' argument up).
  ElePose (Wandt et al. 2022) predicts the camera's elevation to the same end.
  """
  if vertical not in ("camera", "scene"):
    raise ValueError(f"vertical={vertical!r}, expected 'camera' or 'scene'")
  return functools.partial(
    terms,
    lifter=lifter,
    codec=codec,
    discriminator=discriminator,
    weight_2d=weight_2d,
    weight_3d=weight_3d,
    azimuth=azimuth,
    elevation=elevation,
    vertical=vertical,
    to_pose=lifting(codec, lift, size),
    noise=noise,
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
  vertical: str = "camera",
  noise: float = 0.0,
  outputs: Float[Array, "N T J 3"] | None = None,
  valid: Bool[Array, "N T"] | None = None,
  up: Float[Array, "N T 3"] | None = None,
  train: bool = False,
  copies: int = 1,
) -> tuple[Float[Array, ""], Float[Array, ""], Metrics]:
  """The losses of the generator (the lifter) and of the discriminator, on a random projection y of the lifted pose X.

  generator = -log D(y) + weight_2d |x - x~|^2 + weight_3d |X - X~|^2, non-saturating, where X~ is the lift of y turned
  back and x~ its projection; discriminator = -log D(x) - log(1 - D(y)). Squares are summed over joints and
  coordinates, everything is averaged over (valid) frames. One rotation a row: a window's frames turn together.

  noise: standard deviation of normal noise on what the discriminator sees, in input units.

  up: the scene's vertical in output axes where it is known, for vertical="scene"; otherwise it is that of the lifted
  poses themselves (`upright`). The camera's own serves vertical="camera", whatever is given.

  outputs: the self-supervised head's outputs for the inputs, where the caller has them already. train: with dropout
  and batch statistics; running statistics never change here. copies: random projections of every row; the row itself is
  lifted and judged once.
  """
  lift_key, relift_key, rotation_key, judge_key = jax.random.split(key, 4)
  noise_key = jax.random.fold_in(key, 4)
  flat, root, rows = inputs[..., :2], codec.skeleton.root, len(inputs)

  def copied(x):  # the row of copy i is i % rows
    return jnp.tile(x, (copies,) + (1,) * (x.ndim - 1))

  seen = codec.present(inputs)
  present = seen[..., None]
  valid = seen.any(-1) if valid is None else valid & seen.any(-1)

  def lift(rows, key):
    trunk_key, head_key = jax.random.split(key)
    features, _ = lifters.apply(lifter.trunk, variables, "trunk", rows, train, trunk_key)
    return lifters.apply(lifter.head, variables, "self_supervised_head", features, train, head_key)[0]

  mean = functools.partial(masked_mean, valid=copied(valid))
  lifted = to_pose(lift(inputs, lift_key) if outputs is None else outputs, inputs)
  if vertical == "camera":
    up = None
  elif up is None:
    up = upright(jax.lax.stop_gradient(lifted), codec.skeleton, valid)
  pose = copied(lifted)
  rotation = projection.sample_rotation(
    rotation_key, (rows * copies, 1), azimuth, elevation, None if up is None else copied(up)
  )
  rotation = jnp.broadcast_to(rotation, (*pose.shape[:2], 3, 3))

  def look(poses):
    return jnp.where(copied(present), codec.project(poses, copied(seen)), 0)

  projected = look(projection.rotate(pose, rotation, root))

  judged = jnp.concatenate([flat, projected])
  if noise:
    there = jnp.concatenate([present, copied(present)])
    judged += noise * jnp.where(there, jax.random.normal(noise_key, judged.shape), 0)
  apply = functools.partial(discriminator.apply, train=train, rngs={"dropout": judge_key} if train else None)
  weights = lifters.part(variables, "discriminator")
  generator_loss, discriminator_loss, metrics = _game(apply, weights, judged, rows, valid, copied(valid))
  if weight_2d or weight_3d:
    again = jnp.concatenate([projected, copied(inputs[..., 2:])], -1)
    returned = projection.rotate(to_pose(lift(again, relift_key), again), jnp.swapaxes(rotation, -1, -2), root)
    metrics["cycle_2d"] = mean(losses.squared_error(look(returned), copied(flat)).sum(-1))
    metrics["cycle_3d"] = mean(losses.squared_error(returned, pose).sum(-1))
    generator_loss += weight_2d * metrics["cycle_2d"] + weight_3d * metrics["cycle_3d"]
  return generator_loss, discriminator_loss, metrics


def _game(
  apply: Callable[..., Any], weights: Any, poses: Array, rows: int, valid: Array, valid_copies: Array
) -> tuple[Array, Array, Metrics]:
  """Both players' losses, and metrics, on the first `rows` poses, real ones, and the others, projected ones."""

  def judge(weights, poses, key=None) -> Array:
    del key
    return jnp.asarray(apply(weights, poses))

  of_judge, of_lifter = players.apart(judge)(weights, poses, None)
  real, fake = of_judge[:rows], of_judge[rows:]
  generator = masked_mean(jax.nn.softplus(-of_lifter[rows:]), valid_copies)
  judging = masked_mean(jax.nn.softplus(-real), valid) + masked_mean(jax.nn.softplus(fake), valid_copies)
  right = masked_mean((real > 0).astype(jnp.float32), valid)
  caught = masked_mean((fake < 0).astype(jnp.float32), valid_copies)
  metrics = {"generator": generator, "discriminator": judging, "discriminator_accuracy": (right + caught) / 2}
  return generator, judging, {**metrics, "real_judged_real": right}


def lifting(codec: Codec, lift: str = "free", size: float | None = None) -> Lifting:
  """to_pose(outputs, inputs) -> root-relative poses [..., J, 3]: how the self-supervised head's three numbers are read.

  "free": as x, y, z (ISO). "depth": z alone is used, as the joint's depth offset along its input ray, so that no
  rotation gives back the input exactly (Drover et al. 2018). A codec that divides each pose by its own rms keeps no
  size: then `size`, the rms of a body's x and y in output units, is needed.

  "bones": as "depth", z in units of the rms of the pose's x and y, which is then such that all bones together are
  `size` long (up to perspective within the body). No pose's size depends on how much of it lies along the view.
  """
  root, constants = codec.skeleton.root, codec.constants
  if lift not in ("free", "depth", "bones"):
    raise ValueError(f"lift={lift!r}, expected 'free', 'depth' or 'bones'")
  if lift == "free":
    if size is not None:
      raise ValueError(f"size={size} is for lift='depth'; a free lift has its own size")
    return lambda outputs, inputs: outputs - outputs[..., root : root + 1, :]
  if lift == "bones" and "depth_m" in constants and size:
    return functools.partial(_whole_body, codec=codec, length=size)
  if lift == "depth" and "depth_m" in constants and size:  # rays of unit rms
    depth, ray = constants["depth_m"], size / constants["depth_m"]
  elif lift == "depth" and "depth" in constants and size is None:  # rays at the scale of the projection
    depth, ray = constants["depth"], 1.0
  else:
    raise ValueError(
      f"lift={lift!r} with codec {codec.name!r} and size={size}: it needs a size for 'root_rms' and 'canonical'; "
      "'depth' needs none for 'root_scaled'; no other codec has a canonical projection"
    )
  return lambda outputs, inputs: projection.backproject(ray * inputs[..., :2], outputs[..., 2], depth, root)


def _whole_body(outputs: Array, inputs: Array, *, codec: Codec, length: float) -> Array:
  depth, root, flat = codec.constants["depth_m"], codec.skeleton.root, inputs[..., :2]
  relative = outputs[..., 2:] - outputs[..., root : root + 1, 2:]
  bones = measures.safe_norm(losses.bone_vectors(jnp.concatenate([flat, relative], -1), codec.skeleton)).sum(-1)
  rms = (length / jnp.maximum(bones, 1e-3))[..., None]
  return projection.backproject(rms[..., None] / depth * flat, rms * relative[..., 0], depth, root)


def upright(
  poses: Float[Array, "N T J 3"], skeleton: Skeleton, valid: Bool[Array, "N T"] | None = None
) -> Float[Array, "N T 3"]:
  """Unit vectors from the middle of the ankles to the thorax, the mean over each row's (valid) frames.

  Raises ValueError for a skeleton without these joints.
  """
  ankles = (poses[..., skeleton.index("left_ankle"), :] + poses[..., skeleton.index("right_ankle"), :]) / 2
  body = poses[..., skeleton.index("thorax"), :] - ankles
  mean = (body if valid is None else jnp.where(valid[..., None], body, 0)).mean(-2, keepdims=True)
  return jnp.broadcast_to(mean / jnp.maximum(measures.safe_norm(mean)[..., None], 1e-6), (*poses.shape[:2], 3))


def reprojection(lifter: Lifter, codec: Codec, weight: float = 10.0) -> Objective:
  """weight |project(F(x)) - x|^2, summed over joints and coordinates, averaged over rows; F is the supervised lifter.

  It moves the trunk under the frozen supervised head, whose prediction is what counts. Trap: alone it leaves depth free
  and makes poses worse; bone lengths hold the depth.
  """

  def objective(variables: Variables, inputs: Array, key: jax.Array, copies: int = 1) -> tuple[Array, Metrics]:
    del key, copies
    present = codec.present(inputs)
    error = losses.squared_error(codec.project(_predict(lifter, variables, inputs), present), inputs[..., :2])
    value = masked_mean(jnp.where(present, error, 0).sum(-1), present.any(-1))
    return weight * value, {"reprojection": value}

  return objective


def masked_mean(values: Float[Array, "*b"], valid: Bool[Array, "*b"]) -> Float[Array, ""]:
  """The mean of the valid frames' values; 0 when no frame is valid. An invalid frame's NaN does not pass."""
  return jnp.sum(jnp.where(valid, values, 0)) / jnp.maximum(jnp.sum(valid), 1)


def _predict(lifter: Lifter, variables: Variables, inputs: Array) -> Array:
  return lifters.predict(lifter, variables, inputs)
