"""Adapt only to what looks unlike the source: an instance's self-supervised loss against the source's own losses.

A model that explains an instance as well as it explains its source has little to gain from adapting to it and something
to lose. The paper of ESCAPE (arXiv 2407.14605) gates test-time adaptation of poses by free energy; here the score is
the very loss that adaptation would lower, so no other model is needed.
"""

import functools

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from jaxpose.adapt.objectives import Objective, Variables


@functools.partial(jax.jit, static_argnames=("objective", "copies"))
def scores(
  variables: Variables,
  inputs: Float[Array | np.ndarray, "N T J C"],
  ids: Int[Array | np.ndarray, " N"],
  base_key: jax.Array,
  *,
  objective: Objective,
  copies: int = 1,
) -> Float[Array, " N"]:
  """The objective of each instance alone, with these weights; random ones draw from fold_in(base_key, id)."""

  def one(instance, id):
    return objective(variables, instance[None], jax.random.fold_in(base_key, id), copies=copies)[0]

  return jax.vmap(one)(inputs, ids)


def threshold(source: Float[ArrayLike, " N"], quantile: float) -> float:
  """The score that a share `quantile` of the source's instances does not exceed.

  Raises ValueError for a quantile outside (0, 1], no scores, or scores that are not finite.
  """
  source = np.asarray(source, np.float64)
  if not 0 < quantile <= 1:
    raise ValueError(f"gate={quantile} is a quantile of the source's scores, in (0, 1]")
  if not len(source) or not np.isfinite(source).all():
    raise ValueError(
      f"the gate needs finite scores of source instances; {np.isfinite(source).sum()} of {len(source)} are"
    )
  return float(np.quantile(source, quantile))


def judging(factors: dict[str, float], window: int) -> dict[str, float]:
  """The terms of a weighted sum that can judge an instance alone, before anything was adapted.

  Not "teacher", which is 0 at the source, nor "smoothness" for windows of fewer than three frames. Raises ValueError if
  no term remains.
  """
  kept = {n: f for n, f in factors.items() if n != "teacher" and not (n == "smoothness" and window < 3)}
  if not kept:
    raise ValueError(
      f"a gate on {'+'.join(factors)} has nothing to judge one instance by; add reprojection or bone_lengths"
    )
  return kept
