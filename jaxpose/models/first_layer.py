"""Offsets of a flax model's first linear layer: a change of its bias, token by token, that every later layer sees."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

Path = tuple[str, ...]  # of a layer in its model


def find(function: Callable[[], Array]) -> tuple[Path, jax.ShapeDtypeStruct]:
  """The first linear layer that `function` passes, which applies a flax model, and the shape of its output."""
  layers: list[tuple[Path, jax.ShapeDtypeStruct]] = []

  def intercept(following, args, kwargs, context: nn.module.InterceptorContext) -> Any:
    value = following(*args, **kwargs)
    if isinstance(context.module, nn.Dense) and context.method_name == "__call__":
      layers.append((context.module.path, jax.ShapeDtypeStruct(value.shape, jnp.float32)))
    return value

  with nn.intercept_methods(intercept):
    jax.eval_shape(function)
  if not layers:
    raise ValueError("the lifter has no linear layer (flax nn.Dense) whose output could be moved")
  return layers[0]


def shifted(function: Callable[[], Array], path: Path, offsets: Array) -> Array:
  """function() with `offsets` added to the output of the linear layer at `path`."""

  def intercept(following, args, kwargs, context: nn.module.InterceptorContext) -> Any:
    value = following(*args, **kwargs)
    if isinstance(context.module, nn.Dense) and context.method_name == "__call__" and context.module.path == path:
      return value + offsets.astype(value.dtype)
    return value

  with nn.intercept_methods(intercept):
    return function()
