"""The highest cell of a heatmap: its centre, or a quarter of a cell off it, to the side that is higher."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxpose.heatmaps import gaussian

AnyArray = Array | np.ndarray
Decoded = tuple[Array, Array]  # keypoints [B, J, 2] in pixels, confidence [B, J]


def peak(maps: Float[AnyArray, "B H W J"]) -> tuple[Int[Array, "B J 2"], Float[Array, "B J"]]:
  """Column and row of each map's highest cell, and its value."""
  maps = jnp.asarray(maps)
  flat = maps.reshape(maps.shape[0], -1, maps.shape[-1])
  row, column = jnp.divmod(jnp.argmax(flat, 1), maps.shape[2])
  return jnp.stack([column, row], -1), jnp.max(flat, 1)


def value(maps: Float[AnyArray, "B H W J"], cell: Int[Array, "B J 2"], dx: int = 0, dy: int = 0) -> Float[Array, "B J"]:
  """Each map's value `dx` columns and `dy` rows from its cell; the nearest cell's outside."""
  maps = jnp.asarray(maps)
  height, width = maps.shape[1:3]
  at = jnp.clip(cell[..., 1] + dy, 0, height - 1) * width + jnp.clip(cell[..., 0] + dx, 0, width - 1)
  return jnp.take_along_axis(maps.reshape(maps.shape[0], -1, maps.shape[-1]), at[:, None], 1)[:, 0]


def decode(maps: Float[AnyArray, "B H W J"], size: gaussian.Size) -> Decoded:
  """The centre of the highest cell: 0.38 cells off in the mean. Confidence is the peak, clipped to 0 to 1."""
  cell, high = peak(maps)
  return (cell + 0.5) * gaussian.strides(maps, size), jnp.clip(high, 0, 1)


def quarter(maps: Float[AnyArray, "B H W J"], size: gaussian.Size) -> Decoded:
  """A quarter of a cell from there, in x and in y, to the higher neighbour (Newell et al. 2016; Xiao et al. 2018).

  As published, cells within two of the left or upper side, or on the right or lower one, are not moved.
  """
  cell, high = peak(maps)
  side = np.array([[[maps.shape[2] - 1, maps.shape[1] - 1]]])
  inside = jnp.all((cell > 1) & (cell < side), -1, keepdims=True)
  slope = jnp.stack(
    [value(maps, cell, 1, 0) - value(maps, cell, -1, 0), value(maps, cell, 0, 1) - value(maps, cell, 0, -1)], -1
  )
  place = cell + 0.5 + jnp.where(inside, 0.25 * jnp.sign(slope), 0)
  return place * gaussian.strides(maps, size), jnp.clip(high, 0, 1)
