"""The shape every lifter has: a trunk of features and a head of poses, so that a trunk can carry a second head."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

AnyArray = Array | np.ndarray
Variables = Mapping[str, Any]  # {"params": {part: ...}, "batch_stats": {part: ...}}


class Lifter(nn.Module):
  """head(trunk(x)): inputs [B, T, J, C] to poses [B, T, J, 3], root-relative, in the codec's units.

  Both parts take `train`. Parameters are {"trunk": ..., "head": ...}: any architecture built this way can be adapted.

  mask: True for the frames of a padded clip that are there. A lifter of single frames has no use for it; one whose
  frames see each other overrides this.
  """

  trunk: nn.Module
  head: nn.Module

  @property
  def longest(self) -> int | None:
    """Frames of the longest clip that it takes; None for any."""
    return None

  def __call__(
    self, x: Float[AnyArray, "B T J C"], train: bool = False, mask: Bool[AnyArray, "B T"] | None = None
  ) -> Float[Array, "B T J 3"]:
    del mask
    return self.head(self.trunk(jnp.asarray(x), train=train), train=train)


def part(variables: Variables, name: str) -> dict:
  """One part's variables, in every collection that has it; a ValueError lists the parts if there is no such part."""
  if name not in variables["params"]:
    raise ValueError(f"no parameters named {name!r}; these variables have {', '.join(sorted(variables['params']))}")
  return {collection: parts[name] for collection, parts in variables.items() if name in parts}


def parts(variables: Variables, *names: str) -> dict:
  """The variables of a module made of these parts, as Lifter of trunk and head."""
  chosen = {name: part(variables, name) for name in names}
  return {c: {n: p[c] for n, p in chosen.items() if c in p} for c in variables}


def apply(
  module: nn.Module, variables: Variables, name: str, x: Shaped[Array, "..."], train: bool = False, key: Any = None
) -> tuple[Array, dict]:
  """Applies `module` with the variables of part `name`: its output and its new running statistics by collection.

  In training, `key` feeds dropout, and normalisation uses the batch; the caller decides whether to keep the statistics.
  """
  weights = part(variables, name)
  if not train:
    return jnp.asarray(module.apply(weights, x, train=False)), {c: v for c, v in weights.items() if c != "params"}
  changing = [c for c in weights if c != "params"]
  output, state = module.apply(weights, x, train=True, rngs={"dropout": key}, mutable=changing)
  return output, dict(state)


def predict(
  lifter: Lifter,
  variables: Variables,
  inputs: Float[AnyArray, "B T J C"],
  mask: Bool[AnyArray, "B T"] | None = None,
) -> Array:
  """The lifter's poses [B, T, J, 3] in evaluation mode, from variables that may hold more parts than its own.

  mask: True for the frames of a padded clip that are there.
  """
  return jnp.asarray(lifter.apply(parts(variables, "trunk", "head"), inputs, train=False, mask=mask))


def num_parameters(params: Any) -> int:
  """How many numbers a parameter tree holds."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
