"""Losses of whole poses and clips beside that of each joint: size, speed, bones, angles (Zhu et al. 2023, MotionBERT).

MotionBERT trains on mpjpe + 0.5 n_mpjpe + 20 velocity; its published configs give the other terms weight 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxpose import losses
from jaxpose.methods import objectives
from jaxpose.skeleton import Skeleton

Loss = Callable[[Any, Any, Skeleton], Array]

# (predicted, target, skeleton) -> an error of each frame, of each pair of neighbouring frames, of a whole clip.
_OF_FRAMES: dict[str, Loss] = {
  "n_mpjpe": lambda p, t, s: losses.n_mpjpe(p, t),
  "limb_length": losses.limb_length,
  "angle": losses.angle,
}
_OF_CHANGES: dict[str, Loss] = {
  "velocity": lambda p, t, s: losses.velocity(p, t),
  "angle_velocity": losses.angle_velocity,
}
_OF_CLIPS: dict[str, Loss] = {"limb_variance": lambda p, t, s: losses.limb_variance(p, s)}
TERMS = _OF_FRAMES | _OF_CHANGES | _OF_CLIPS


def check(weights: Mapping[str, float]) -> None:
  """Raises a ValueError for a term that there is none of."""
  unknown = [name for name in weights if name not in TERMS]
  if unknown:
    raise ValueError(f"terms has {unknown[0]!r}, expected some of {', '.join(TERMS)}")


def weighted(
  outputs: Float[Array, "B T J 3"],
  targets: Float[Array, "B T J 3"],
  valid: Bool[Array, "B T"],
  skeleton: Skeleton,
  weights: Mapping[str, float],
) -> tuple[Float[Array, ""], dict[str, Array]]:
  """The sum of `weights` times the terms of those names, and each term as a metric, in the units of the outputs.

  Each is a mean over joints (bones, angles) and over what is valid: frames; pairs of neighbouring frames that both are;
  clips of which every frame is. Targets must be finite in invalid frames too.
  """
  # A single frame has no neighbour, and the losses of changes give it a zero.
  pairs = valid[:, 1:] & valid[:, :-1] if valid.shape[1] > 1 else valid
  total, metrics = jnp.zeros(()), {}
  for name, weight in weights.items():
    of = valid if name in _OF_FRAMES else pairs if name in _OF_CHANGES else valid.all(-1)
    value = objectives.masked_mean(TERMS[name](outputs, targets, skeleton).mean(-1), of)
    total, metrics[f"supervised_{name}"] = total + weight * value, value
  return total, metrics
