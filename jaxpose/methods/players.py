"""Two players, one pass: a discriminator's logits, whose gradient for its weights and for its input have two causes."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

LEAST = 1e-20  # of a cotangent that another is divided by; far below anything an optimizer could feel


def apart(judge: Callable[[Any, Array, Any], Array]) -> Callable[[Any, Array, Any], tuple[Array, Array]]:
  """judge(weights, poses [N, T, J, 2], key) -> logits [N, T], twice: the judge's own, and those that score the lifter.

  The first is a function of the weights alone, the second of the poses alone: a player's loss stops the gradient of the
  other player. Both need the same pass back through the network, frame by frame linear in the frame's cotangent; so
  it is made once, with the first's cotangents, and what arrives at the poses is scaled by the ratio of the two. That
  holds while `judge` treats every frame alone, as a discriminator without normalisation over the batch does.

  Trap: where the judge's cotangent is all but zero, `LEAST` stands in, and leaves as much in the weights' gradient.
  """

  @jax.custom_vjp
  def both(weights, poses, key):
    logits = judge(weights, poses, key)
    return logits, logits

  def forward(weights, poses, key):
    logits, pull = jax.vjp(lambda w, p: judge(w, p, key), weights, poses)
    return (logits, logits), pull

  def backward(pull, cotangents):
    generator, other = cotangents
    carried = jnp.where(jnp.abs(generator) < LEAST, LEAST, generator)
    weights, poses = pull(carried)
    return weights, poses * (other / carried)[..., None, None], None

  both.defvjp(forward, backward)
  return both
