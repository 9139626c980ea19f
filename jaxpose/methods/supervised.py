"""Fully supervised learning: joints and bone vectors against the truth (Zhang et al. 2020, Eq. 1 and 2)."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose import losses
from jaxpose.adapt import objectives
from jaxpose.codec import Codec
from jaxpose.methods import method, motion_terms
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
  terms: Mapping[str, float] | None = None,
) -> Method:
  """A lifter trained on labels alone; parameters are {"trunk", "head"}. `term` says what the options mean."""
  check(loss)
  motion_terms.check(terms or {})
  options = dict(kind=loss, bone_weight=bone_weight, scale=scale, terms=terms)
  return Method(
    name="supervised",
    codec=codec,
    lifter=lifter,
    init=functools.partial(_init, lifter=lifter, codec=codec),
    loss=functools.partial(_loss, lifter=lifter, codec=codec, **options),
    infer=functools.partial(infer, lifter=lifter),
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
  terms: Mapping[str, float] | None = None,
) -> tuple[Float[Array, ""], Metrics]:
  """scale * (|X - X'|^2 + bone_weight |B - B'|^2 + terms), in the codec's units, and metrics (Eq. 2).

  kind: "l2" as in the formula, "l1" absolute values, "mpjpe" the distance itself. terms: weights of further losses by
  name, see `motion_terms`.

  Errors are summed over coordinates and averaged over joints (bones) and valid frames: the paper's sum over joints is
  this times their number, which `scale` can make up for. `mpjpe_mm` is of the decoded poses, roots aligned.
  """
  seen = batch["keypoints_2d"], batch["camera"], batch["confidence"]
  valid, skeleton = batch["valid"], codec.skeleton
  # Before the errors: masked only after them, an invalid frame's NaN would still reach the gradient.
  truth = jnp.where(valid[..., None, None], batch["joints_3d"], _BEFORE_THE_CAMERA[None, None, None])
  targets = codec.encode_target(truth, *seen)
  error = ERRORS[kind]
  joints = objectives.masked_mean(error(outputs, targets).mean(-1), valid)
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


def infer(variables: Variables, inputs: Float[Array, "B T J C"], key: jax.Array, *, lifter: Lifter):
  """The supervised head on the trunk, without dropout and with the stored statistics: outputs [B, T, J, 3]."""
  del key
  return lifters.predict(lifter, variables, inputs)


def _init(key: jax.Array, batch: Batch, *, lifter: Lifter, codec: Codec) -> Variables:
  return dict(lifter.init(key, method.encode(codec, batch)))


def _loss(
  variables: Variables, batch: Batch, key: jax.Array, *, lifter: Lifter, codec: Codec, **options: Any
) -> tuple[Array, tuple[Metrics, Variables]]:
  changing = [c for c in variables if c != "params"]
  inputs = method.encode(codec, batch)
  outputs, state = lifter.apply(variables, inputs, train=True, rngs={"dropout": key}, mutable=changing)
  loss, metrics = term(outputs, batch, codec, **options)
  return loss, (metrics, dict(state))


def check(kind: str) -> None:
  if kind not in ERRORS:
    raise ValueError(f"loss={kind!r}, expected one of {', '.join(ERRORS)}")
