"""Pixels, the one convention of this library.

Coordinates are continuous: x runs from 0 at an image's left edge to its width at the right one, y from 0 at the top to
its height at the bottom. The pixel in column i covers i to i + 1, and its centre is i + 0.5. So an image that is
mirrored as an array is x -> width - x (`data.transforms.flip`), one that is resized by s is x -> s x, and the cell i of
a map of stride s has its centre at s (i + 0.5). A file that counts pixels from 0 gives coordinates by + 0.5, one that
counts them from 1, as MATLAB does, by - 0.5.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def centers(count: int, extent: float | int | None = None) -> Float[Array, " N"]:
  """Centres of `count` cells that share out the `extent` from 0 on, by default a pixel each: (i + 0.5) extent/count."""
  return (jnp.arange(count) + 0.5) * ((count if extent is None else extent) / count)


def grid(height: int, width: int) -> Float[Array, "H W 2"]:
  """The centre x, y of every pixel of an image."""
  x, y = jnp.meshgrid(centers(width), centers(height))
  return jnp.stack([x, y], -1)
