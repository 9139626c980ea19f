"""Linear layers with a low-rank change of their weights, which is never written out: x W + (x A) B.

A step that a few rows ask for changes a layer's weights by a product of their inputs and what their residuals send
back, so its rank is the number of those rows. Kept as factors, thousands of instances share one set of weights: every
product with W is one matrix product for all of them, and an instance costs rank (in + out) numbers, not in * out.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

Path = tuple[str, ...]  # of a linear layer in its model

NO_PARTS = "no part of the lifter is to change: name trunk, head or both among the groups"
NO_LAYERS = "the model has no linear layers in {} that can be changed"


class Change(NamedTuple):
  """What is added to a layer's weights: left.T @ right, [R, in] and [R, out]."""

  left: Array
  right: Array


def run(
  function: Callable[[], Array], changes: Mapping[Path, Change], taps: Mapping[Path, Array]
) -> tuple[Array, dict[Path, Array]]:
  """function(), in which the linear layers named in `taps` are changed: its value, and each layer's input.

  function applies a flax model. taps: added to the layers' outputs [..., out]; zeros, but for what differentiates by
  them. changes: by layer; those without one stay as they are.
  """
  inputs: dict[Path, Array] = {}

  def intercept(next_function, args, kwargs, context: nn.module.InterceptorContext) -> Any:
    if not isinstance(context.module, nn.Dense) or context.method_name != "__call__":
      return next_function(*args, **kwargs)
    path = context.module.path
    if path not in taps:
      return next_function(*args, **kwargs)
    (x,) = args
    inputs[path] = x
    y = next_function(x) + taps[path]
    if path in changes:
      y += jnp.einsum("...r,ro->...o", jnp.einsum("...i,ri->...r", x, changes[path].left), changes[path].right)
    return y

  with nn.intercept_methods(intercept):
    value = function()
  return value, inputs


def layers(function: Callable[[], Array], parts: tuple[str, ...]) -> dict[Path, jax.ShapeDtypeStruct]:
  """The linear layers that `function` passes below one of the `parts`, and the shape of their outputs.

  Raises ValueError if there is none or no part is named, and for layers under a flax transformation (scan, remat),
  which share one name.
  """
  if not parts:
    raise ValueError(NO_PARTS)
  found: dict[Path, jax.ShapeDtypeStruct] = {}

  def intercept(next_function, args, kwargs, context: nn.module.InterceptorContext) -> Any:
    y = next_function(*args, **kwargs)
    if isinstance(context.module, nn.Dense) and context.method_name == "__call__":
      path = context.module.path
      if path in found:
        raise ValueError(
          f"layer {'/'.join(path)} is passed more than once, or stands for several layers in one loop, so that its "
          "change has no single input; a Gauss-Newton solver with iterations needs none"
        )
      if path[0] in parts:
        found[path] = jax.ShapeDtypeStruct(y.shape, y.dtype)
    return y

  with nn.intercept_methods(intercept):
    jax.eval_shape(function)
  if not found:
    raise ValueError(NO_LAYERS.format(", ".join(parts)))
  return found
