"""Solvers with fixed steps of dy/dt = field(y, t), from noise at t = 0 to poses at t = 1, by one scan: exportable."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

Field = Callable[[Array, Array], Array]  # (y, t scalar) -> dy/dt
Step = Callable[[Field, Array, Array, float], Array]


def euler(field: Field, y: Array, t: Array, h: float) -> Array:
  """y + h f(y, t): first order, one evaluation."""
  return y + h * field(y, t)


def midpoint(field: Field, y: Array, t: Array, h: float) -> Array:
  """y + h f(y + h/2 f(y, t), t + h/2): second order, two evaluations."""
  return y + h * field(y + h / 2 * field(y, t), t + h / 2)


def heun(field: Field, y: Array, t: Array, h: float) -> Array:
  """y + h/2 (k + f(y + h k, t + h)), k = f(y, t): second order, two evaluations, the last at t = 1."""
  first = field(y, t)
  return y + h / 2 * (first + field(y + h * first, t + h))


SOLVERS: dict[str, Step] = {"euler": euler, "midpoint": midpoint, "heun": heun}


def integrate(field: Field, start: Array, *, steps: int, solver: str = "midpoint") -> Array:
  """y(1) of dy/dt = field(y, t), y(0) = start, in equal steps. Raises ValueError for an unknown solver or no step."""
  check(steps, solver)
  advance, size = SOLVERS[solver], 1 / steps
  body = lambda y, t: (advance(field, y, t, size), None)  # noqa: E731
  return jax.lax.scan(body, start, jnp.arange(steps, dtype=jnp.float32) * size)[0]


def check(steps: int, solver: str) -> None:
  """Raises ValueError for an unknown solver or no step."""
  if solver not in SOLVERS:
    raise ValueError(f"solver={solver!r}, expected one of {', '.join(SOLVERS)}")
  if steps < 1:
    raise ValueError(f"steps={steps}, expected at least 1")
