"""How many instances to adapt at once: as many as a device's memory holds."""

import os
from typing import Any

import jax
import optax

SHARE = 0.6  # of the free memory; the rest is for what passes and for the next chunk's inputs
MOST = 1024  # more instances at once gain nothing
ONE_BY_ONE = 64  # instances a dispatch where they are adapted one after another: memory does not grow with it


def automatic(
  adapted: Any, tx: optax.GradientTransformation, side_by_side: bool, devices: int = 1, stored: int = 0
) -> int:
  """Instances a dispatch, a power of two times `devices`.

  Side by side, each needs its own copy of the `adapted` parameters, their gradients, the state of `tx`, and the
  `stored` bytes of its pass back.
  """
  if not side_by_side:
    return ONE_BY_ONE * devices
  each = 2 * nbytes(adapted) + nbytes(jax.eval_shape(tx.init, adapted)) + stored
  return fitting(free_bytes(), each) * devices


def fitting(available: int, each: int) -> int:
  """The largest power of two, from 1 to `MOST`, that takes at most `SHARE` of the available bytes."""
  count = int(min(max(SHARE * available / each, 1), MOST))
  return 1 << (count.bit_length() - 1)


def nbytes(tree: Any) -> int:
  """The bytes of a tree of arrays or of their shapes."""
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def free_bytes() -> int:
  """What a device may still hold by its own account, or else what the host has free."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if "bytes_limit" in stats:
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
  return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
