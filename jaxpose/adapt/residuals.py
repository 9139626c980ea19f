"""What a predicted pose should explain, as residuals: their sum of squares is the objective of the same name.

Each is residual(outputs [N, T, J, 3], inputs [N, T, J, C]) -> [N, M], a pure function of the supervised lifter's
outputs. A joint missing from the input (exactly 0 in every channel of the image) has no residual but 0.
"""

import functools
import math
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from jaxpose import losses
from jaxpose import metrics as measures
from jaxpose.adapt import structure
from jaxpose.codec import Codec
from jaxpose.skeleton import Skeleton

Residual = Callable[[Array, Array], Array]


def reprojection(
  outputs: Float[Array, "N T J 3"], inputs: Float[Array, "N T J C"], *, codec: Codec
) -> Float[Array, "N M"]:
  """project(pose) - input, in the codec's input units: two for each joint and frame."""
  flat = inputs[..., :2]
  present = jnp.any(flat != 0, -1, keepdims=True)
  return _rows(jnp.where(present, codec.project(outputs) - flat, 0))


def bone_lengths(
  outputs: Float[Array, "N T J 3"],
  inputs: Float[Array, "N T J C"],
  *,
  lengths: Float[ArrayLike, " K"],
  skeleton: Skeleton,
) -> Float[Array, "N M"]:
  """|bone| - the source's mean length, in the codec's output units: one for each bone and frame."""
  del inputs
  own = measures.safe_norm(losses.bone_vectors(outputs, skeleton))
  mean = np.asarray(lengths, np.float32)
  return _rows((own - mean.reshape((1,) * (own.ndim - 1) + mean.shape))[..., None])


def symmetry(
  outputs: Float[Array, "N T J 3"], inputs: Float[Array, "N T J C"], *, skeleton: Skeleton
) -> Float[Array, "N M"]:
  """|left bone| - |right bone|: one for each pair and frame."""
  del inputs
  left, right = structure.bone_pairs(skeleton)
  own = measures.safe_norm(losses.bone_vectors(outputs, skeleton))
  return _rows((own[..., np.asarray(left)] - own[..., np.asarray(right)])[..., None])


def available(codec: Codec, lengths: Float[ArrayLike, " K"] | None = None) -> dict[str, Residual]:
  """The residuals by the names of their objectives; bone lengths only where the source's are known."""
  known: dict[str, Residual] = {"reprojection": functools.partial(reprojection, codec=codec)}
  if lengths is not None:
    known["bone_lengths"] = functools.partial(bone_lengths, lengths=lengths, skeleton=codec.skeleton)
  if structure.bone_pairs(codec.skeleton)[0]:
    known["symmetry"] = functools.partial(symmetry, skeleton=codec.skeleton)
  return known


def weigh(factors: Mapping[str, float], known: Mapping[str, Residual]) -> Residual:
  """All residuals of the names together, the squares of each weighted by its factor.

  Raises ValueError for a name without residuals: Gauss-Newton cannot minimise what is no sum of squares.
  """
  for name in factors:
    if name not in known:
      raise ValueError(
        f"objective {name!r} is no sum of squares of the predicted pose, so Gauss-Newton cannot minimise it; "
        f"it can {', '.join(known)}. Use optimizer adam or sgd"
      )
  chosen = [(math.sqrt(factor), known[name]) for name, factor in factors.items()]

  def residual(outputs: Array, inputs: Array) -> Array:
    return jnp.concatenate([root * own(outputs, inputs) for root, own in chosen], -1)

  return residual


def _rows(values: Float[Array, "N T K C"]) -> Float[Array, "N M"]:
  """Flat rows whose sum of squares is summed over joints and coordinates and averaged over frames."""
  return values.reshape(len(values), -1) / math.sqrt(values.shape[1])
