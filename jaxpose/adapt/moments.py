"""Adam for adaptation, whose cost is the update: fewer operations a weight, and moments in half the bytes."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class Moments(NamedTuple):
  """Steps taken, and the running means of the gradient and of its square."""

  count: jax.Array
  mean: Any
  square: Any


def adam(
  learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, dtype: str = "float32"
) -> optax.GradientTransformation:
  """`optax.adam` with the moments kept in `dtype`, "float32" or "bfloat16"; arithmetic is float32 either way.

  -learning_rate * m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps), written as a * m / (sqrt(v) + b) with two scalars a
  and b a step: one division and one square root a weight instead of three and one. Kingma, Ba, Adam, 2015, section 2.

  Trap: bfloat16 holds 8 bits, so that b2 = 0.999 no longer forgets (0.999 v rounds to v). That is harmless over the
  tens of steps of an adaptation, and wrong for training.
  """
  if dtype not in ("float32", "bfloat16"):
    raise ValueError(f"dtype={dtype!r}, expected 'float32' or 'bfloat16'")
  if learning_rate <= 0 or not 0 <= b1 < 1 or not 0 <= b2 < 1 or eps <= 0:
    raise ValueError(f"expected learning_rate={learning_rate} > 0, b1={b1} and b2={b2} in [0, 1), eps={eps} > 0")

  def init(params) -> Moments:
    zeros = jax.tree.map(lambda w: jnp.zeros_like(w, dtype), params)
    return Moments(jnp.zeros((), jnp.int32), zeros, zeros)

  def update(updates, state, params=None):
    del params
    count = jnp.asarray(optax.safe_increment(state.count))
    root = jnp.sqrt(1 - b2**count)
    factor, floor = -learning_rate * root / (1 - b1**count), eps * root

    def average(decay, old, new):
      return decay * old.astype(new.dtype) + (1 - decay) * new

    mean = jax.tree.map(lambda m, g: average(b1, m, g), state.mean, updates)
    square = jax.tree.map(lambda v, g: average(b2, v, g * g), state.square, updates)
    updates = jax.tree.map(lambda m, v: factor * m / (jnp.sqrt(v) + floor), mean, square)
    mean, square = jax.tree.map(lambda x: x.astype(dtype), (mean, square))
    return updates, Moments(count, mean, square)

  return optax.GradientTransformation(init, update)
