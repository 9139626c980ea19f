"""Fully supervised learning: joints and bone vectors against the truth (Zhang et al. 2020, Eq. 1 and 2)."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxpose import losses
from jaxpose.codec import Codec
from jaxpose.graphs.lift import lift
from jaxpose.methods import method, motion_terms, objectives
from jaxpose.methods.method import Batch, Method, Metrics, Variables
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter

ERRORS = {"l2": losses.squared_error, "l1": losses.absolute_error, "mpjpe": losses.mpjpe}
_BEFORE_THE_CAMERA = np.array([0, 0, 1], np.float32)  # metres: what every codec has finite targets for


def create(
  lifter: Lifter,
  codec: Codec,
  *,
  loss: str = "l2",
  bone_weight: float = 1.0,
  scale: float = 1.0,
  focal: float = 0.0,
  terms: Mapping[str, float] | None = None,
) -> Method:
  """A lifter trained on labels alone; parameters are {"trunk", "head"}. `term` says what the options mean."""
  check(loss, focal)
  motion_terms.check(terms or {})
  options = dict(kind=loss, bone_weight=bone_weight, scale=scale, focal=focal, terms=terms)
  network = functools.partial(infer, lifter=lifter)
  return Method(
    name="supervised",
    codec=codec,
    lifter=lifter,
    init=functools.partial(_init, lifter=lifter, codec=codec),
    loss=functools.partial(_loss, lifter=lifter, codec=codec, **options),
    graphs={"lift": lift(codec, network, longest=lifter.longest)},
    infer=network,
    labels=method.labels,
    objectives={"reprojection": objectives.reprojection(lifter, codec)},
  )


def term(
  outputs: Float[Array, "B T J 3"],
  batch: Batch,
  codec: Codec,
  *,
  kind: str = "l2",
  bone_weight: float = 1.0,
  scale: float = 1.0,
  focal: float = 0.0,
  terms: Mapping[str, float] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
  """scale * (|X - X'|^2 + bone_weight |B - B'|^2 + terms), in the codec's units, and metrics (Eq. 2).

  kind: "l2" as in the formula, "l1" absolute values, "mpjpe" the distance itself. terms: weights of further losses by
  name, see `motion_terms`. focal: the exponent gamma of `focal_weight` on each joint's error (not on bones or terms), 0
  for none.

  Errors are summed over coordinates and averaged over joints (bones) and valid frames: the paper's sum over joints is
  this times their number, which `scale` can make up for. `mpjpe_mm` is of the decoded poses, roots aligned.
  """
  seen = batch["keypoints_2d"], batch["camera"], batch["confidence"]
  valid, skeleton = batch["valid"], codec.skeleton
  # Before the errors: masked only after them, an invalid frame's NaN would still reach the gradient.
  truth = jnp.where(valid[..., None, None], batch["joints_3d"], _BEFORE_THE_CAMERA[None, None, None])
  targets = codec.encode_target(truth, *seen)
  error = ERRORS[kind]
  errors = error(outputs, targets)
  if focal:
    errors = errors * focal_weight(errors, valid, focal)
  joints = objectives.masked_mean(errors.mean(-1), valid)
  vectors = losses.bone_vectors(outputs, skeleton), losses.bone_vectors(targets, skeleton)
  bones = objectives.masked_mean(error(*vectors).mean(-1), valid)
  root = slice(skeleton.root, skeleton.root + 1)
  predicted = jax.lax.stop_gradient(codec.decode(outputs, *seen))
  distance = losses.mpjpe(predicted - predicted[..., root, :], truth - truth[..., root, :])
  further, shown = motion_terms.weighted(outputs, targets, valid, skeleton, terms or {})
  metrics = {
    "mpjpe_mm": 1000 * objectives.masked_mean(distance.mean(-1), valid),
    "supervised_joints": joints,
    "supervised_bones": bones,
    **shown,
  }
  return scale * (joints + bone_weight * bones + further), metrics


def focal_weight(errors: Float[Array, "B T J"], valid: Bool[Array, "B T"], gamma: float) -> Float[Array, "B T J"]:
  """(2 sigmoid(e / m) - 1)^gamma in [0, 1]: what is nearly right already counts less; m is the mean of valid errors e.

  Focal-R (Yang et al. 2021, arXiv:2102.09554), in the form of its published code; the text has sigmoid(beta e)^gamma.
  Two things differ. There beta is a constant in the labels' units; here it is 1 / m, so that the weight is free of
  units and does not fade while errors shrink. There e is the absolute error of each number; here it is a joint's error
  as the loss measures it (for "l2" squared). The gradient flows through the weight, as there, but not through m.
  """
  mean = jax.lax.stop_gradient(objectives.masked_mean(errors.mean(-1), valid))
  base = 2 * jax.nn.sigmoid(errors / jnp.where(mean > 0, mean, 1)) - 1
  positive = base > 0  # where it is 0, so is the error, and a power below 1 would have an infinite gradient
  return jnp.where(positive, jnp.where(positive, base, 1) ** gamma, 0)


def infer(
  variables: Variables, inputs: Float[Array, "B T J C"], key: jax.Array, mask: Array | None = None, *, lifter: Lifter
) -> Array:
  """The supervised head on the trunk, without dropout and with the stored statistics: outputs [B, T, J, 3]."""
  del key
  return lifters.predict(lifter, variables, inputs, mask)


def _init(key: jax.Array, batch: Batch, *, lifter: Lifter, codec: Codec) -> Variables:
  return dict(lifter.init(key, method.encode(codec, batch)))


def _loss(
  variables: Variables, batch: Batch, key: jax.Array, *, lifter: Lifter, codec: Codec, **options: Any
) -> tuple[Array, tuple[Metrics, Variables]]:
  changing = [c for c in variables if c != "params"]
  inputs = method.encode(codec, batch)
  mask = batch.get("present")
  outputs, state = lifter.apply(variables, inputs, train=True, mask=mask, rngs={"dropout": key}, mutable=changing)
  loss, metrics = term(outputs, batch, codec, **options)
  return loss, (metrics, dict(state))


def check(kind: str, focal: float = 0.0) -> None:
  """Raises a ValueError for a loss that there is none of, and for a negative exponent."""
  if kind not in ERRORS:
    raise ValueError(f"loss={kind!r}, expected one of {', '.join(ERRORS)}")
  if focal < 0:
    raise ValueError(f"focal={focal}, expected an exponent of at least 0")
