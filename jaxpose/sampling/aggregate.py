"""One pose of many hypotheses: mean, medoid, or joint by joint by how well each projects onto the keypoints."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from jaxpose.geometry import placement

TOP, TEMPERATURE = 8, 0.005  # FMPose3D's; the error's unit is half the width of the image
NEAREST = 0.1  # metres before the camera; a joint is not projected from nearer


def mean(hypotheses: Float[Array, "H *b J 3"]) -> Float[Array, "*b J 3"]:
  """The mean: of all rules the least squared error, if the hypotheses are calibrated."""
  return hypotheses.mean(0)


def medoid(hypotheses: Float[Array, "H *b J 3"]) -> Float[Array, "*b J 3"]:
  """For each frame the hypothesis whose mean distance to all others, over the joints, is least."""

  def total(one):
    return jnp.linalg.norm(hypotheses - one[None], axis=-1).mean(-1).sum(0)

  best = jnp.argmin(jax.lax.map(total, hypotheses), 0)
  return jnp.take_along_axis(hypotheses, best[None, ..., None, None], 0)[0]


def rpea(
  hypotheses: Float[Array, "H *b J 3"],
  rays: Float[Array, "*b J 2"],
  scale: Float[Array, "*b 1"],
  present: Bool[Any, "*b J"],
  *,
  root: Float[Array, "*b 3"] | None = None,
  top: int = TOP,
  temperature: float = TEMPERATURE,
) -> Float[Array, "*b J 3"]:
  """Joint by joint sum_h w_h X_h, w = softmax(-e_h / temperature) over the `top` least reprojection errors e_h.

  rays: undistorted keypoints; scale: half image widths a unit of ray, focal / (width / 2), the unit of e. A joint that
  is not present has the plain mean. Each hypothesis is projected from where it fits its keypoints best, in closed form
  (`placement.place_by_rays`). FMPose3D (arXiv:2602.05755) and D3DP's J-Agg project from the true place of the root;
  with `root`, so does this: an oracle, which a fingerprint must name.
  """
  if not top >= 1 or not temperature > 0:
    raise ValueError(f"top={top} and temperature={temperature} must be positive")
  place = jax.vmap(placement.place_by_rays, (0, None, None))(hypotheses, rays, present)
  place = place if root is None else jnp.broadcast_to(root[None], place.shape)
  seen = hypotheses + place[..., None, :]
  away = seen[..., :2] / jnp.maximum(seen[..., 2:], NEAREST) - rays[None]
  error = jnp.where(present[None], jnp.linalg.norm(away, axis=-1) * scale[None], 0)
  kept = error <= jnp.sort(error, 0)[min(top, len(hypotheses)) - 1][None]
  weights = jax.nn.softmax(jnp.where(kept | ~present[None], -error / temperature, -jnp.inf), 0)
  return (weights[..., None] * hypotheses).sum(0)


RULES = ("mean", "medoid", "rpea", "rpea_oracle_root")
