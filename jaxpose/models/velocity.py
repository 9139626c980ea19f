"""The velocity field of a flow from noise to poses: any lifter, which sees the pose on its way and the time besides.

Flow matching (Lipman et al. 2023): y_t = (1 - t) x_0 + t x_1, x_0 normal noise; the network regresses x_1 - x_0.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.models.lifter import Lifter

FREQUENCIES = np.pi * 2.0 ** np.arange(4)
CHANNELS = 3 + 2 * len(FREQUENCIES)  # of each joint, beside the codec's


def features(time: Float[Array, "*b"]) -> Float[Array, "*b F"]:
  """sin and cos of 2^k pi t, k = 0 to 3."""
  angles = time[..., None] * jnp.asarray(FREQUENCIES, jnp.float32).reshape((1,) * time.ndim + (-1,))
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


def inputs(
  seen: Float[Array, "B T J C"], pose: Float[Array, "B T J 3"], time: Float[Array, " B"]
) -> Float[Array, "B T J D"]:
  """What the network sees of each joint: the codec's input, the pose on its way, and the time's features."""
  at_time = features(time)[:, None, None]
  return jnp.concatenate([seen, pose, jnp.broadcast_to(at_time, (*pose.shape[:-1], at_time.shape[-1]))], -1)


def velocity(
  lifter: Lifter,
  variables: Any,
  seen: Float[Array, "B T J C"],
  pose: Float[Array, "B T J 3"],
  time: Float[Array, " B"],
  root: int,
  mask: Array | None = None,
  **options: Any,
) -> Any:
  """The field [B, T, J, 3] at (pose, time), 0 for the root; with `mutable` among the options, its new state too."""
  result = lifter.apply(variables, inputs(seen, pose, time), mask=mask, **options)
  field, *state = result if "mutable" in options else (result,)
  field = jnp.asarray(field).at[..., root, :].set(0)
  return (field, *state) if state else field
