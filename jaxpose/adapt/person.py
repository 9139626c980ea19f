"""What is believed of a person: the lengths of the bones, a normal distribution that every frame adds to.

It is kept as information: adding what another frame says is adding two arrays, whatever the order. This is all that a
stream remembers, sixteen lengths and how well they are known; no weight of the model is carried, so none can drift.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose.geometry import dense
from jaxpose.skeleton import Skeleton

# How much people, and data sets' landmarks, differ from the source's mean, as a share of a bone's length. The bones of
# the trunk end at landmarks that each data set puts elsewhere; the limbs' end at joints.
LIMB_SPREAD, TRUNK_SPREAD = 0.1, 0.3
LIMBS = ("knee", "ankle", "elbow", "wrist")  # a bone that ends there is a limb's
KNOWN_SPREAD = 0.01  # of a length that the user gives, and of any length from one moment to the next
STATURE = 0.96  # of a person's height is from the ankle to the top of the head (Drillis, Contini 1966: ankle at 0.039)
STATURE_SPREAD = 0.03


class Belief(NamedTuple):
  """N(m, P) over K lengths in metres, as information [K, K] = P^-1 and vector [K] = P^-1 m."""

  information: Array
  vector: Array


def prior(skeleton: Skeleton, lengths: Float[np.ndarray, " K"]) -> Belief:
  """The belief about a stranger: the source's mean `lengths` [K], in metres, in the order of skeleton.bones."""
  limb = [any(word in skeleton.names[child] for word in LIMBS) for child, _ in skeleton.bones]
  spread = np.where(limb, LIMB_SPREAD, TRUNK_SPREAD) * lengths
  return _belief(np.diag(spread**-2), lengths / spread**2)


def _belief(information: np.ndarray, vector: np.ndarray) -> Belief:
  return Belief(jnp.asarray(information, jnp.float32), jnp.asarray(vector, jnp.float32))


def moments(belief: Belief) -> tuple[Float[Array, " K"], Float[Array, "K K"], Float[Array, "K K"]]:
  """(mean, covariance, its inverse) of the lengths, with `KNOWN_SPREAD` added: no length is known better than that."""
  covariance, _ = dense.inverse(belief.information)
  mean = covariance @ belief.vector
  covariance = (covariance + covariance.T) / 2 + jnp.diag((KNOWN_SPREAD * mean) ** 2)
  return mean, covariance, dense.inverse(covariance)[0]


def add(belief: Belief, information: Array, vector: Array) -> Belief:
  """The belief after another frame; one that is not finite is left out."""
  usable = jnp.isfinite(information).all() & jnp.isfinite(vector).all()
  said = Belief(jnp.where(usable, information, 0.0), jnp.where(usable, vector, 0.0))
  return Belief(belief.information + said.information, belief.vector + said.vector)


def log_evidence(belief: Belief, information: Array, vector: Array) -> Float[Array, ""]:
  """log of the mean likelihood of a frame under the belief, up to what depends on the frame alone."""
  after = Belief(belief.information + information, belief.vector + vector)

  def size(b: Belief):
    covariance, logarithm = dense.inverse(b.information)
    return (logarithm - b.vector @ covariance @ b.vector) / 2

  return size(belief) - size(after)


def know(belief: Belief, skeleton: Skeleton, lengths: Mapping[str, float], height: float | None = None) -> Belief:
  """The belief of someone who has measured: lengths in metres of the bones that end at these joints, or a stature.

  Raises ValueError for a joint that ends no bone and for a length that no person has.
  """
  ends = [skeleton.names[child] for child, _ in skeleton.bones]
  information, vector = np.array(belief.information), np.array(belief.vector)
  for name, length in lengths.items():
    if name not in ends:
      raise ValueError(f"no bone ends at {name!r}; a bone is named by its far joint: {', '.join(ends)}")
    if not 0.02 < length < 1.5:
      raise ValueError(f"bone {name!r} is said to be {length} long; give metres, between 0.02 and 1.5")
    place, precision = ends.index(name), 1 / (KNOWN_SPREAD * length) ** 2
    information[place, place] += precision
    vector[place] += precision * length
  if height is not None:
    if not 0.4 < height < 2.8:
      raise ValueError(f"height={height} is no person's; give metres, between 0.4 and 2.8")
    chain, precision = _upright(skeleton), 1 / (STATURE_SPREAD * height) ** 2
    information += precision * np.outer(chain, chain)
    vector += precision * STATURE * height * chain
  return _belief(information, vector)


def _upright(skeleton: Skeleton) -> Float[np.ndarray, " K"]:
  """1 for the bones between an ankle and the top of the head, where left and right share: 0.5 each."""
  names, parents = skeleton.names, skeleton.parents
  chain = np.zeros(len(skeleton.bones))
  place = {child: i for i, (child, _) in enumerate(skeleton.bones)}
  for end, share in (("left_ankle", 0.5), ("right_ankle", 0.5), ("head_top", 1.0)):
    if end not in names:
      raise ValueError(f"a height needs joint {end!r}, which skeleton {skeleton.name!r} does not have")
    joint = names.index(end)
    while (joint != skeleton.root) and not (end != "head_top" and "hip" in names[joint]):
      chain[place[joint]] += share
      joint = parents[joint]
  return chain
