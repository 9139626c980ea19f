"""Metrics of many hypotheses of one pose: oracles' choices, proper scores, and whether the spread is true.

hypotheses [H, *b, J, 3] and target [*b, J, 3] are root-relative, in one unit, which is that of the results.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

LEVELS = np.linspace(0, 1, 21)  # at which a distribution's calibration is looked at


@jax.jit
def best_of_n(
  hypotheses: Float[Array | np.ndarray, "H *b J 3"], target: Float[Array | np.ndarray, "*b J 3"]
) -> dict[str, Float[Array, "*b"]]:
  """{"pose", "joint"}: the least MPJPE over the hypotheses, for whole poses or joint by joint.

  An oracle: the truth chooses. It favours wide distributions (arXiv:2210.11179).
  """
  errors = jnp.linalg.norm(jnp.asarray(hypotheses) - jnp.asarray(target)[None], axis=-1)
  return {"pose": errors.mean(-1).min(0), "joint": errors.min(0).mean(-1)}


@jax.jit
def energy_score(
  hypotheses: Float[Array | np.ndarray, "H *b J 3"], target: Float[Array | np.ndarray, "*b J 3"]
) -> Float[Array, "*b"]:
  """mean |X - y| - mean |X - X'| / 2 over different hypotheses, averaged over joints: proper and unbiased.

  The continuous ranked probability score in 3D (Gneiting, Raftery 2007, Eq. 22): least for the true distribution. Needs
  two hypotheses.
  """
  poses = jnp.asarray(hypotheses)
  count = len(poses)
  if count < 2:
    raise ValueError(f"{count} hypothesis; an energy score needs two at least")
  near = jnp.linalg.norm(poses - jnp.asarray(target)[None], axis=-1).mean(0)

  def apart(total, pose):
    return total + jnp.linalg.norm(poses - pose[None], axis=-1).sum(0), None

  pairs, _ = jax.lax.scan(apart, jnp.zeros_like(near), poses)
  return (near - pairs / (2 * count * (count - 1))).mean(-1)


@jax.jit
def ranks(
  hypotheses: Float[Array | np.ndarray, "H *b J 3"], target: Float[Array | np.ndarray, "*b J 3"]
) -> Float[Array, "*b J"]:
  """Which share of the hypotheses are nearer to their median than the truth is: uniform in [0, 1] if calibrated.

  The median is by coordinate, as in cGNF (Pierzchlewicz et al. 2022); equal distances count as half.
  """
  poses = jnp.asarray(hypotheses)
  median = jnp.median(poses, 0)
  of_samples = jnp.linalg.norm(poses - median[None], axis=-1)
  of_truth = jnp.linalg.norm(jnp.asarray(target) - median, axis=-1)[None]
  return (jnp.where(of_samples == of_truth, 0.5, of_samples < of_truth)).mean(0)


def coverage(rank: Float[Array | np.ndarray, "*b J"], level: float) -> np.ndarray:
  """The share of truths, joint by joint [J], among the `level` of hypotheses nearest to their median."""
  rank = np.asarray(rank)
  return (rank <= level).reshape(-1, rank.shape[-1]).mean(0)


def calibration_error(rank: Float[Array | np.ndarray, "*b J"]) -> float:
  """ECE: the mean over levels 0, 0.05, ..., 1 of |coverage - level|, coverage being the median over joints."""
  return float(np.mean([abs(np.median(coverage(rank, level)) - level) for level in LEVELS]))


@jax.jit
def spread(hypotheses: Float[Array | np.ndarray, "H *b J 3"]) -> dict[str, Float[Array, "*b"]]:
  """{"depth", "image"}: the root mean square deviation from the mean, over joints, along z and along x and y."""
  variance = jnp.asarray(hypotheses).var(0)
  return {"depth": jnp.sqrt(variance[..., 2].mean(-1)), "image": jnp.sqrt(variance[..., :2].mean((-1, -2)))}
