"""Gauss-Newton steps without a Jacobian: products with J and J^T, and conjugate gradients in the residuals' space.

For models whose layers run in one loop, and for clips: a window of 27 frames has a thousand residuals and each of its
joints in each frame is an input of every layer, so neither the rows of J nor a change of the weights as factors would
be small. Here a step costs as many passes forward and back as conjugate gradients take, and what a gradient stores.

Solving for the update inexactly, by conjugate gradients: Dembo, Eisenstat, Steihaug, Inexact Newton Methods, 1982;
Martens, Deep learning via Hessian-free optimization, ICML 2010.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Change = Mapping[Any, Array]  # of the weights

PROBES = 8
_LEAST = 1e-30  # divides a 0: nothing is left to explain


def solve(
  residuals: Callable[[Change], Array], none: Change, *, num_steps: int, damping: float, iterations: int
) -> tuple[Change, Change, Float[Array, " K"]]:
  """The change of the weights that explains residuals(change) [N, M], what the first step changed, and the losses.

  none: the change that steps begin from, zeros. Each step adds -J^T (J J^T + damping d I)^-1 r, with d the mean
  diagonal of J J^T as `mean_diagonal` estimates it, by `iterations` of conjugate gradients. The losses are the means
  over rows of the squared residuals before each step.

  Trap: products with J are derivatives in forward mode, which a function with a custom_vjp of its own (cuDNN's
  attention) does not have.
  """

  def step(carry, number):
    change, first = carry
    error, push = jax.linearize(residuals, change)
    transposed = jax.linear_transpose(push, change)

    def back(dual: Array) -> Change:
      return transposed(dual)[0]

    level = damping * mean_diagonal(back, error)
    moved = least(push, back, error, none, level, iterations)
    first = jax.tree.map(lambda old, new: jnp.where(number == 0, new, old), first, moved)
    return (jax.tree.map(jnp.add, change, moved), first), jnp.mean(jnp.sum(error**2, -1))

  with jax.default_matmul_precision("highest"):  # J^T is J's transpose only to the precision of their products
    (change, first), losses = jax.lax.scan(step, (none, none), jnp.arange(num_steps))
  return change, first, losses


def least(
  push: Callable[[Change], Array],
  back: Callable[[Array], Change],
  error: Float[Array, "N M"],
  none: Change,
  level: Float[Array, ""],
  iterations: int,
) -> Change:
  """-J^T (J J^T + level I)^-1 error, with push and back the products with J and J^T; none: zeros of a change.

  Conjugate gradients in the residuals' space. The solution there is never asked for: J^T times each direction is at
  hand, and is added up. The number of iterations is fixed: rounding would decide when a tolerance is met, and with it
  the last digits that count.
  """

  def iterate(_, state):
    moved, left, direction = state
    own, size = back(direction), jnp.sum(left**2)
    length = size / jnp.maximum(square(own) + level * jnp.sum(direction**2), _LEAST)
    moved = jax.tree.map(lambda x, y: x - length * y, moved, own)
    left = left - length * (push(own) + level * direction)
    return moved, left, left + jnp.sum(left**2) / jnp.maximum(size, _LEAST) * direction

  return jax.lax.fori_loop(0, iterations, iterate, (none, error, error))[0]


def mean_diagonal(back: Callable[[Array], Change], like: Float[Array, "N M"]) -> Float[Array, ""]:
  """The mean diagonal of J J^T, as the mean of |J^T z|^2 / size over `PROBES` vectors z of random signs.

  Hutchinson, A stochastic estimator of the trace, 1989. The signs are the same for every step and instance, so nothing
  is random. back(z) is J^T z, for z of the residuals' shape.
  """
  signs = jax.random.rademacher(jax.random.key(0), (PROBES, *like.shape), like.dtype)
  squares = jax.lax.map(lambda z: square(back(z)), signs)
  return jnp.mean(squares) / like.size


def square(change: Change) -> Float[Array, ""]:
  """The sum of the squares of all its numbers."""
  return sum((jnp.sum(x**2) for x in jax.tree.leaves(change)), jnp.zeros(()))
