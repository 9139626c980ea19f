"""Hypotheses drawn to the keypoints by Gauss-Newton: after sampling, or on a flow's destination at every step.

A pose moves to the most likely one near it that explains the keypoints and the bones (`adapt.fit`), the place of its
root eliminated. Prior art: ZeDO (Jiang et al. 2023) takes gradient steps along rays; FLOWER and others
guide the destination of a flow.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.adapt import fit, person
from jaxpose.adapt.person import Belief
from jaxpose.codec import Codec
from jaxpose.sampling.solvers import Field

WHERE = ("after", "inside")
_END = 1e-3  # before t = 1; from there on the destination is where one is


class Guide(NamedTuple):
  """where: "after" sampling or "inside" the flow. belief: of the person's bones. prior_m: metres by which a coordinate
  of a pose is expected to be wrong; noise: of a keypoint, as a share of the person's rms extent (`fit.observe`)."""

  where: str
  belief: Belief
  prior_m: float = 0.15
  noise: float = 0.14


def offsets(
  lift: Callable[[Array], Float[Array, "T J 3"]], view: Mapping[str, Any], codec: Codec, guide: Guide, std: float
) -> Float[Array, "T J 3"]:
  """What to add to a pose of a window, in the codec's outputs over `std`, for it to explain what was seen.

  lift: such offsets to root-relative metres. view: keypoints_2d, confidence and camera of the window. The codec's
  outputs are metres, in any axes.
  """
  rays, weight, there = fit.observe(view, codec, jnp.full(len(view["confidence"]), guide.noise))
  lengths, covariance, precision = person.moments(guide.belief)
  problem = fit.Problem(
    lift=lift,
    like=jax.ShapeDtypeStruct((*weight.shape, 3), jnp.float32),
    bones=np.array(codec.skeleton.bones),
    rays=rays,
    weight=weight,
    certain=there[:, None] / (fit.BONE_NOISE * lengths)[None],
    mean=lengths,
    covariance=covariance,
    precision=precision,
    tau=guide.prior_m / std,
    prior_m=guide.prior_m,
  )
  return fit.solve(problem).offsets


def toward(field: Field, correction: Callable[[Array], Array]) -> Field:
  """The field that leads to correction(destination), where `field` alone leads to destination = y + (1 - t) f(y, t)."""

  def guided(y: Array, t: Array) -> Array:
    left, speed = 1 - t, field(y, t)
    there = correction(y + left * speed)
    return jnp.where(left > _END, (there - y) / jnp.maximum(left, _END), speed)

  return guided
