"""Adam for adaptation, whose cost is the update: fewer operations a weight."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Moments(NamedTuple):
  """Steps taken, and the running means of the gradient and of its square."""

  count: jax.Array
  mean: Any
  square: Any


def adam(learning_rate: float) -> optax.GradientTransformation:
  """`optax.adam` with two scalars a step: one division and one square root a weight instead of three and one.

  -learning_rate * m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), written as a * m / (sqrt(v) + b). Kingma, Ba, Adam,
  2015, section 2.
  """
  b1, b2, eps = 0.9, 0.999, 1e-8

  def init(params) -> Moments:
    zeros = jax.tree.map(jnp.zeros_like, params)
    return Moments(jnp.zeros((), jnp.int32), zeros, zeros)

  def update(updates, state, params=None):
    del params
    count = jnp.asarray(optax.safe_increment(state.count))
    root = jnp.sqrt(1 - b2**count)
    factor, floor = -learning_rate * root / (1 - b1**count), eps * root
    mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, updates)
    square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.square, updates)
    updates = jax.tree.map(lambda m, v: factor * m / (jnp.sqrt(v) + floor), mean, square)
    return updates, Moments(count, mean, square)

  return optax.GradientTransformation(init, update)
