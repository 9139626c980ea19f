"""Small dense algebra against NumPy's."""

import jax
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose.geometry import dense

inverse, orthonormal, solve_upper = jax.jit(dense.inverse), jax.jit(dense.orthonormal), jax.jit(dense.solve_upper)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 3, 16, 53]), st.floats(0, 3))
def test_inverse_and_determinant(seed, size, spread):
  rng = np.random.default_rng(seed)
  basis, _ = np.linalg.qr(rng.normal(size=(size, size)))
  matrix = (basis * 10 ** rng.uniform(0, spread, size)) @ basis.T
  found, logarithm = inverse(np.float32(matrix))
  np.testing.assert_allclose(found @ matrix, np.eye(size), atol=5e-6 * np.linalg.cond(matrix))
  np.testing.assert_allclose(logarithm, np.linalg.slogdet(matrix)[1], rtol=1e-3, atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3))
def test_a_basis_and_what_it_is_solved_for(seed, scale):
  rng = np.random.default_rng(seed)
  columns = np.float32(rng.normal(size=(20, 3)) * [1, 10**scale, 1])
  columns[:, 2] += 5 * columns[:, 0]  # all but parallel
  basis, upper = orthonormal(columns)
  np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-5)
  np.testing.assert_allclose(basis @ upper, columns, rtol=1e-4, atol=1e-4 * np.abs(columns).max())
  assert not np.tril(upper, -1).any()
  wanted = np.float32(rng.normal(size=3))
  np.testing.assert_allclose(upper @ solve_upper(upper, wanted), wanted, rtol=1e-3, atol=1e-3)
