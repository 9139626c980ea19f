"""Similarity Procrustes alignment: the scale, proper rotation and translation that bring one pose closest to another.

The rotation is Horn's (Closed-form solution of absolute orientation using unit quaternions, JOSA A 1987): the
eigenvector of the largest eigenvalue of a symmetric 4x4 matrix, which is linear in the covariance of the two poses.
It is the rotation of Kabsch (1976) and Umeyama (1991) by singular values, and it can never be a reflection.
Jacobi's rotations find it: arithmetic on whole arrays, many times faster on a CPU than LAPACK on a batch of tiny
matrices.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from jaxpose.geometry import rotation
from jaxpose.geometry.rotation import einsum

_SWEEPS = 6  # Jacobi converges quadratically: 4 sweeps reach float32, 6 float64.
_POINT = (
  1e-12  # A pose whose squared spread is this fraction of its squared coordinates is a point: rounding shaped it.
)
_TINY = 1e-18  # Squared size, in the poses' unit, below which squares and their inverses leave float32's range.
_GAP = (
  1e-5  # Relative eigenvalue gap below which the rotation is undetermined, and its derivative damped to stay finite.
)


@jax.jit
def similarity(
  predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]
) -> tuple[Float[Array, "*b"], Float[Array, "*b 3 3"], Float[Array, "*b 3"]]:
  """Minimises sum_j |s R p_j + t - q_j|^2 over scales, proper rotations and translations.

  Args: predicted p and target q, [..., J, 3], one unit. Returns: s [...], R [..., 3, 3], t [..., 3].
  Values and gradients are finite for every finite input. Where the minimum is not unique (collinear joints) one
  minimiser is returned; a prediction that is a point gets s = 1 and R = I, a target that is a point s = 0 and R = I.
  """
  scale, matrix, predicted_mean, target_mean, _ = _fit(jnp.asarray(predicted), jnp.asarray(target))
  moved = einsum("...ij,...j->...i", matrix, predicted_mean[..., 0, :])
  return scale, matrix, target_mean[..., 0, :] - scale[..., None] * moved


@jax.jit
def align(predicted: Float[ArrayLike, "*b J 3"], target: Float[ArrayLike, "*b J 3"]) -> Float[Array, "*b J 3"]:
  """The predicted pose under its best similarity transform onto the target, as `similarity` fits it: s R p_j + t."""
  scale, matrix, _, target_mean, centred = _fit(jnp.asarray(predicted), jnp.asarray(target))
  return einsum("...ij,...kj->...ki", scale[..., None, None] * matrix, centred) + target_mean


def _fit(predicted, target):
  predicted_mean, target_mean = predicted.mean(-2, keepdims=True), target.mean(-2, keepdims=True)
  p, q = predicted - predicted_mean, target - target_mean
  p_square, q_square = jnp.sum(p**2, (-2, -1)), jnp.sum(q**2, (-2, -1))
  p_point = is_point(p_square, jnp.sum(predicted**2, (-2, -1)))
  q_point = is_point(q_square, jnp.sum(target**2, (-2, -1)))
  covariance = einsum("...ji,...jk->...ik", q, p)  # q p^T, so that trace(R^T covariance) is what R maximises
  covariance = jnp.where((p_point | q_point)[..., None, None], 0, covariance)
  matrix = nearest_rotation(covariance)
  fitted = jnp.sum(matrix * covariance, (-2, -1)) / jnp.where(p_point, 1, p_square)
  return jnp.where(p_point, 1, fitted), matrix, predicted_mean, target_mean, p


def is_point(spread: Float[Array, "*b"], square: Float[Array, "*b"] | float = 0.0) -> Bool[Array, "*b"]:
  """Whether a pose has no shape to fit, by the sum of its squares about its centre and about the origin."""
  return spread <= _POINT * square + _TINY


def nearest_rotation(matrix: Float[Array, "*b 3 3"]) -> Float[Array, "*b 3 3"]:
  """The proper rotation R that maximises trace(R^T M), hence the closest one to M [..., 3, 3] in the Frobenius norm.

  Never a reflection. Where M leaves R undetermined (rank 1 or 0) one maximiser; the zero matrix gives the identity.
  """
  return rotation.from_quaternion(_top_quaternion(matrix))


def _horn(m) -> list[list[Array]]:
  """Horn's symmetric 4x4 matrix N with q^T N q = trace(R(q)^T M), as nested lists of entries [...]."""
  (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = ([m[..., i, j] for j in range(3)] for i in range(3))
  return [
    [xx + yy + zz, zy - yz, xz - zx, yx - xy],
    [zy - yz, xx - yy - zz, xy + yx, xz + zx],
    [xz - zx, xy + yx, yy - xx - zz, yz + zy],
    [yx - xy, xz + zx, yz + zy, zz - xx - yy],
  ]


def _rotate(a: list[list[Array]], v: list[list[Array]], i: int, j: int):
  """One Jacobi rotation: the plane rotation that zeroes a[i][j], applied to the matrix and its eigenvectors."""
  a, v = [list(row) for row in a], [list(row) for row in v]
  off, difference = a[i][j], a[j][j] - a[i][i]
  magnitude = jnp.abs(difference) + jnp.sqrt(difference**2 + 4 * off**2)
  tangent = jnp.where(difference < 0, -2.0, 2.0) * off / jnp.where(magnitude > 0, magnitude, 1)
  cosine = jax.lax.rsqrt(1 + tangent**2)
  sine = tangent * cosine
  a[i][i], a[j][j] = a[i][i] - tangent * off, a[j][j] + tangent * off
  a[i][j] = a[j][i] = jnp.zeros_like(off)
  for k in range(4):
    if k not in (i, j):
      a[k][i], a[k][j] = cosine * a[k][i] - sine * a[k][j], sine * a[k][i] + cosine * a[k][j]
      a[i][k], a[j][k] = a[k][i], a[k][j]
    v[k][i], v[k][j] = cosine * v[k][i] - sine * v[k][j], sine * v[k][i] + cosine * v[k][j]
  return a, v


def _round(_, carry):
  """Rotates in two disjoint planes, then relabels the axes: three rounds meet all six, and a third is compiled."""
  a, v = carry
  for i, j in ((0, 1), (2, 3)):
    a, v = _rotate(a, v, i, j)
  order = (0, 2, 3, 1)
  return [[a[i][j] for j in order] for i in order], [[row[j] for j in order] for row in v]


def _eigen(matrix):
  """Horn's matrix by Jacobi: eigenvalues relative to its largest entry, eigenvectors (columns), that entry."""
  a = _horn(matrix)
  norm = functools.reduce(jnp.maximum, (jnp.abs(x) for row in a for x in row))  # no squares: they underflow
  norm = jnp.where(norm > 0, norm, 1)
  a = [[x / norm for x in row] for row in a]
  one, zero = jnp.ones_like(norm), jnp.zeros_like(norm)
  v = [[one if i == j else zero for j in range(4)] for i in range(4)]
  a, v = jax.lax.fori_loop(0, 3 * _SWEEPS, _round, (a, v))
  return [a[i][i] for i in range(4)], v, norm


def _top(values, vectors):
  """The largest eigenvalue [...] and its eigenvector [..., 4]; the first one of equals."""
  value, vector = values[0], [row[0] for row in vectors]
  for i in range(1, 4):
    larger = values[i] > value
    vector = [jnp.where(larger, row[i], x) for row, x in zip(vectors, vector)]
    value = jnp.maximum(value, values[i])
  return value, jnp.stack(vector, -1)


@jax.custom_jvp
def _top_quaternion(matrix):
  """The unit quaternion of the rotation that maximises trace(R^T M), [..., 3, 3] -> [..., 4]; its sign is arbitrary."""
  values, vectors, _ = _eigen(matrix)
  return _top(values, vectors)[1]


@_top_quaternion.defjvp
def _top_quaternion_jvp(primals, tangents):
  """dq = sum_k v_k (v_k^T dN q) / (w - w_k), with each 1 / gap damped to gap / (gap^2 + eps^2)."""
  (matrix,), (tangent,) = primals, tangents
  values, vectors, norm = _eigen(matrix)
  value, q = _top(values, vectors)
  change = jnp.stack(
    [sum(x * q[..., i] for i, x in enumerate(row)) for row in _horn(tangent / norm[..., None, None])], -1
  )
  dq = jnp.zeros_like(q)
  for k in range(4):
    vector = jnp.stack([row[k] for row in vectors], -1)
    gap = value - values[k]
    dq = dq + vector * (jnp.sum(vector * change, -1) * gap / (gap**2 + _GAP**2))[..., None]
  return q, dq
