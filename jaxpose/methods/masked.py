"""Pretraining by recovering motion from corrupted 2D: hidden joints and frames, detector-like errors (Zhu et al. 2023).

The training graph corrupts its input, and learns from 3D where there is any and from 2D where there is none; the
inference graph is the lifter on the input as it is. MotionBERT, arXiv:2210.06551, section 3.3.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxpose import losses
from jaxpose.codec import Codec
from jaxpose.codec.image_25d import Image25D
from jaxpose.codec.root_rms import RootRms, unit_rms
from jaxpose.data import detector
from jaxpose.methods import method, motion_terms, objectives, supervised
from jaxpose.methods.method import Batch, Method, Metrics, Variables
from jaxpose.models.lifter import Lifter

FILLS = ("zero", "noise")


def create(
  lifter: Lifter,
  codec: Codec,
  *,
  joints: float = 0.05,
  frames: float = 0.1,
  fill: str = "zero",
  fill_std: float = 1.0,
  noise: bool = False,
  noise_options: Mapping[str, Any] | None = None,
  weight_2d: float = 1.0,
  loss: str = "mpjpe",
  bone_weight: float = 0.0,
  scale: float = 1.0,
  terms: Mapping[str, float] | None = None,
) -> Method:
  """A lifter trained to see through corrupted input; parameters are {"trunk", "head"}, like a supervised one's.

  joints, frames: the share of joints, and of whole frames, that are hidden. fill: what stands in their place, "zero"
  (coordinates and confidence, as MotionBERT does) or "noise", N(0, fill_std^2) in the codec's units. noise: errors like
  a detector's on top, `detector.detector_noise` with `noise_options`.

  Frames with 3D are scored by `supervised.term` (loss, bone_weight, scale, terms); frames of clips without
  ("labelled" is False) by weight_2d times the distance of the pose's projection to the uncorrupted input, each joint
  weighted by its confidence.

  Raises ValueError for an unknown loss, term or fill, shares outside [0, 1), and a codec that has no projection
  when clips without 3D are met.
  """
  supervised.check(loss)
  motion_terms.check(terms or {})
  if fill not in FILLS:
    raise ValueError(f"fill={fill!r}, expected one of {', '.join(FILLS)}")
  for name, share in (("joints", joints), ("frames", frames)):
    if not 0 <= share < 1:
      raise ValueError(f"{name}={share} is the share of {name} to hide, in [0, 1)")
  corrupt = functools.partial(
    hide, codec=codec, joints=joints, frames=frames, fill_std=fill_std if fill == "noise" else None
  )
  disturb = functools.partial(detector.detector_noise, **(noise_options or {})) if noise else None
  fit = functools.partial(supervised.term, codec=codec, kind=loss, bone_weight=bone_weight, scale=scale, terms=terms)
  lifting = supervised.create(lifter, codec)
  return Method(
    name="masked",
    codec=codec,
    lifter=lifter,
    init=lifting.init,
    loss=functools.partial(
      _loss, lifter=lifter, codec=codec, corrupt=corrupt, disturb=disturb, fit=fit, weight_2d=weight_2d
    ),
    graphs=lifting.graphs,
    infer=lifting.infer,
    labels=method.labels,
    objectives=lifting.objectives,
  )


def hide(
  inputs: Float[Array, "B T J C"],
  key: jax.Array,
  *,
  codec: Codec,
  joints: float,
  frames: float,
  fill_std: float | None = None,
) -> Float[Array, "B T J C"]:
  """Network inputs with some joints, and some whole frames, replaced by zeros, or by normal noise of `fill_std`.

  Each clip draws its own (MotionBERT hides the same frames in all clips of a batch). A codec that divides a pose by its
  size divides by that of the joints that are left, as it would at inference if they were missing; its root, which is
  the origin, is hidden with the frame only.
  """
  joint_key, frame_key, fill_key = jax.random.split(key, 3)
  gone = jax.random.bernoulli(joint_key, joints, inputs.shape[:-1])
  if isinstance(codec, RootRms):
    gone = gone.at[..., codec.skeleton.root].set(False)
  whole = jax.random.bernoulli(frame_key, frames, inputs.shape[:2])[..., None]
  left = jnp.where((gone | whole)[..., None], 0, without(inputs, gone, codec))
  if fill_std is None:
    return left
  return jnp.where((gone | whole)[..., None], fill_std * jax.random.normal(fill_key, inputs.shape), left)


def without(inputs: Float[Array, "*b J C"], hidden: Bool[Array, "*b J"], codec: Codec) -> Float[Array, "*b J C"]:
  """The inputs as the codec encodes them when the hidden joints are missing: 0, also in channels after x and y.

  A codec that divides each pose by its rms divides by that of the joints that are left.
  """
  left = jnp.where(hidden[..., None], 0, inputs)
  if not isinstance(codec, RootRms):
    return left
  present = jnp.any(left[..., :2] != 0, -1, keepdims=True)
  # The root is at exactly 0 and looks missing. It counts as a joint in encode's rms, unless the detector missed it.
  present = present.at[..., codec.skeleton.root, :].set(True)
  return jnp.concatenate([unit_rms(left[..., :2], present), left[..., 2:]], -1)


def projection_error(
  outputs: Float[Array, "B T J 3"], inputs: Float[Array, "B T J C"], confidence: Float[Array, "B T J"], codec: Codec
) -> Float[Array, "B T J"]:
  """Distance of the outputs' projection to the inputs, times the confidence, in the units of the inputs."""
  if isinstance(codec, Image25D):  # x and y are the image's own, up to the root
    root = slice(codec.skeleton.root, codec.skeleton.root + 1)
    shown, seen = outputs[..., :2] - outputs[..., root, :2], inputs[..., :2] - inputs[..., root, :2]
  else:
    shown, seen = codec.project(outputs, codec.present(inputs)), inputs[..., :2]
  return losses.weighted_2d(shown, seen, confidence)


def _loss(
  variables: Variables,
  batch: Batch,
  key: jax.Array,
  *,
  lifter: Lifter,
  codec: Codec,
  corrupt: Any,
  disturb: Any,
  fit: Any,
  weight_2d: float,
) -> tuple[Array, tuple[Metrics, Variables]]:
  noise_key, hide_key, dropout_key = jax.random.split(key, 3)
  seen = batch if disturb is None else disturb(batch, noise_key)
  changing = [c for c in variables if c != "params"]
  outputs, state = lifter.apply(
    variables,
    corrupt(method.encode(codec, seen), hide_key),
    train=True,
    mask=batch.get("present"),
    rngs={"dropout": dropout_key},
    mutable=changing,
  )
  valid: Bool[Array, "B T"] = batch["valid"]
  if "labelled" not in batch:
    loss, metrics = fit(outputs, seen)
    return loss, (metrics, dict(state))
  share = jnp.mean(valid & batch["labelled"]) / jnp.maximum(jnp.mean(valid), 1e-6)
  loss, metrics = fit(outputs, {**seen, "valid": valid & batch["labelled"]})
  error = projection_error(outputs, method.encode(codec, batch), batch["confidence"], codec)
  in_2d = objectives.masked_mean(error.mean(-1), valid & ~batch["labelled"])
  # Each frame counts once: a batch of few labelled frames must not be ruled by them.
  total = share * loss + (1 - share) * weight_2d * in_2d
  return total, ({**metrics, "projection_2d": in_2d}, dict(state))
