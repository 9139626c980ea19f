"""Small dense linear algebra in plain JAX, to be batched: no call into LAPACK.

On a CPU, jaxlib's LAPACK kernels split a batch over the thread pool that they are called from and wait for it; two at
once on a pool of two threads wait for ever (jaxlib 0.10.2). Batches of matrices this small gain nothing from it either.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def inverse(matrix: Float[Array, "n n"]) -> tuple[Float[Array, "n n"], Float[Array, ""]]:
  """(inverse, log of the determinant) of a symmetric positive definite matrix, by Gauss-Jordan sweeps."""
  places = jnp.arange(len(matrix))

  def sweep(k, carry):
    rest, logarithm = carry
    row, column, pivot = rest[k][None], rest[:, k][:, None], rest[k, k]
    here, there = (places == k)[None], (places == k)[:, None]
    inside = jnp.where(here, -column / pivot, rest - column * row / pivot)
    swept = jnp.where(there, jnp.where(here, 1, row) / pivot, inside)
    return swept, logarithm + jnp.log(pivot)

  return jax.lax.fori_loop(0, len(matrix), sweep, (matrix, jnp.zeros((), matrix.dtype)))


def orthonormal(columns: Float[Array, "n k"]) -> tuple[Float[Array, "n k"], Float[Array, "k k"]]:
  """(basis, upper) with columns = basis @ upper, by Gram-Schmidt, each column cleaned twice; for a few columns."""
  basis: list[Array] = []
  for column in columns.T:
    for _ in range(2):
      for vector in basis:
        column = column - vector * (vector @ column)
    basis.append(column / jnp.sqrt(jnp.maximum(column @ column, 1e-30)))
  orthogonal = jnp.stack(basis, 1)
  return orthogonal, jnp.triu(orthogonal.T @ columns)


def solve_upper(upper: Float[Array, "k k"], right: Float[Array, " k"]) -> Float[Array, " k"]:
  """x with upper @ x = right, for a few unknowns."""
  solved: list[Array] = []
  for i in reversed(range(len(right))):
    known = sum((upper[i, i + 1 + j] * x for j, x in enumerate(solved)), jnp.zeros(()))
    solved.insert(0, (right[i] - known) / upper[i, i])
  return jnp.stack(solved)
