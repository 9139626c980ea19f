"""How each primitive of JAX is written as ONNX, operator set 18: an explicit table, PRIMITIVES."""

import string
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from jaxpose.graphs.onnx.nodes import Nodes, Value

TYPES = {"float32": 1, "int32": 6, "int64": 7, "bool": 9, "uint32": 12}  # TensorProto.DataType


def _same(operator: str, nodes: Nodes, equation: Any, *inputs: Value) -> str:
  return nodes.add(operator, *inputs)


def _identity(nodes: Nodes, equation: Any, x: Value) -> list[Value]:
  return [x]


def _not_equal(nodes: Nodes, equation: Any, x: Value, y: Value) -> str:
  return nodes.add("Not", nodes.add("Equal", x, y))


def _square(nodes: Nodes, equation: Any, x: Value) -> str:
  return nodes.add("Mul", x, x)


def _integer_pow(nodes: Nodes, equation: Any, x: Value) -> str:
  power, result = equation.params["y"], x
  if power < 1:
    raise ValueError(f"the power {power} is not written as ONNX; divide by a positive one")
  for _ in range(power - 1):
    result = nodes.add("Mul", result, x)
  return nodes.tensor(result)


def _rsqrt(nodes: Nodes, equation: Any, x: Value) -> str:
  return nodes.add("Reciprocal", nodes.add("Sqrt", x))


def _select(nodes: Nodes, equation: Any, which: Value, no: Value, yes: Value) -> str:
  return nodes.add("Where", which, yes, no)


def _cast(nodes: Nodes, equation: Any, x: Value) -> str:
  return nodes.add("Cast", x, to=TYPES[equation.params["new_dtype"].name])


def _reduce(operator: str, nodes: Nodes, equation: Any, x: Value) -> str:
  return nodes.add(operator, x, np.array(equation.params["axes"], np.int64), keepdims=0)


def _reduce_or(nodes: Nodes, equation: Any, x: Value) -> str:
  number = nodes.add("Cast", x, to=TYPES["int32"])
  return nodes.add("Cast", _reduce("ReduceMax", nodes, equation, number), to=TYPES["bool"])


def _argmin(nodes: Nodes, equation: Any, x: Value) -> str:
  (axis,) = equation.params["axes"]
  least = nodes.add("ArgMin", x, axis=axis, keepdims=0)
  return nodes.add("Cast", least, to=TYPES[np.dtype(equation.params["index_dtype"]).name])


def _sort(nodes: Nodes, equation: Any, x: Value) -> str:
  axis = equation.params["dimension"]
  size = nodes.shape(equation.invars[0].aval.shape[axis : axis + 1])
  name = nodes.add("TopK", x, size, axis=axis, largest=0, sorted=1)
  nodes.nodes[-1][2].append(f"{name}_places")
  return name


def _reshape(nodes: Nodes, equation: Any, x: Value) -> str:
  return nodes.reshape(x, equation.outvars[0].aval.shape)


def _transpose(nodes: Nodes, equation: Any, x: Value) -> str:
  return nodes.add("Transpose", x, perm=list(equation.params["permutation"]))


def _broadcast(nodes: Nodes, equation: Any, x: Value) -> str:
  shape, places = equation.params["shape"], equation.params["broadcast_dimensions"]
  before: list[Any] = [1] * len(shape)
  for place, size in zip(places, equation.invars[0].aval.shape):
    before[place] = size
  if len(before) != len(places):
    x = nodes.reshape(x, before)
  if all(a is b or a == b for a, b in zip(before, shape)):
    return nodes.tensor(x)
  return nodes.add("Expand", x, nodes.shape([1 if a == b else b for a, b in zip(before, shape)]))


def _concatenate(nodes: Nodes, equation: Any, *inputs: Value) -> str:
  return nodes.add("Concat", *inputs, axis=equation.params["dimension"])


def _stack(nodes: Nodes, equation: Any, *inputs: Value) -> str:
  axis = equation.params["axis"]
  return nodes.add("Concat", *(nodes.add("Unsqueeze", x, np.array([axis])) for x in inputs), axis=axis)


def _slice(nodes: Nodes, equation: Any, x: Value) -> str:
  starts, stops = equation.params["start_indices"], equation.params["limit_indices"]
  steps = equation.params["strides"] or [1] * len(starts)
  return nodes.add("Slice", x, nodes.shape(starts), nodes.shape(stops), np.arange(len(starts)), np.array(steps))


def _dot_general(nodes: Nodes, equation: Any, x: Value, y: Value) -> str:
  (sum_x, sum_y), (batch_x, batch_y) = equation.params["dimension_numbers"]
  rank_x, rank_y = (len(v.aval.shape) for v in equation.invars)
  if rank_y == 2 and not batch_x and tuple(sum_x) == (rank_x - 1,) and tuple(sum_y) == (0,):
    return nodes.add("MatMul", x, y)
  letters = iter(string.ascii_lowercase)
  left = [next(letters) for _ in range(rank_x)]
  shared = {**dict(zip(sum_y, (left[i] for i in sum_x))), **dict(zip(batch_y, (left[i] for i in batch_x)))}
  right = [shared[i] if i in shared else next(letters) for i in range(rank_y)]
  free_x = [a for i, a in enumerate(left) if i not in (*sum_x, *batch_x)]
  out = [*(left[i] for i in batch_x), *free_x, *(a for i, a in enumerate(right) if i not in shared)]
  return nodes.add("Einsum", x, y, equation=f"{''.join(left)},{''.join(right)}->{''.join(out)}")


def _gather(nodes: Nodes, equation: Any, x: Value, indices: Value) -> str:
  """Slices along one axis, at places that are known or given: x[..., places, :]."""
  numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
  shape = equation.invars[0].aval.shape
  axes = numbers.start_index_map
  if numbers.operand_batching_dims:
    return _gather_along(nodes, equation, x, indices)
  whole = all(a == b for i, (a, b) in enumerate(zip(sizes, shape)) if i not in axes)
  if len(axes) != 1 or not whole or (isinstance(indices, str) and sizes[axes[0]] != 1):
    raise ValueError(f"a gather of {numbers} is not written as ONNX; index one axis at a time")
  axis, size, dropped = axes[0], sizes[axes[0]], axes[0] in numbers.collapsed_slice_dims
  if isinstance(indices, str):
    places = nodes.reshape(indices, equation.invars[1].aval.shape[:-1])
    rank = len(equation.invars[1].aval.shape) - 1
    places = places if dropped else nodes.add("Unsqueeze", places, np.array([rank]))
  else:
    first = np.asarray(indices)[..., 0]
    if first.min() < 0 or not first.max() + size <= shape[axis]:
      raise ValueError(f"a gather at {first.min()} to {first.max() + size - 1} leaves an axis of {shape[axis]}")
    if first.ndim == 0 and not dropped:
      start = int(first)
      return nodes.add("Slice", x, np.array([start]), nodes.shape((start + size,)), np.array([axis]))
    rank, places = first.ndim, first if dropped else first[..., None] + np.arange(size)
    places = places.astype(np.int64)
  taken = nodes.add("Gather", x, places, axis=axis)
  # The new axes stand together where the indexed one was; JAX wants those of a slice at offset_dims.
  new = list(range(axis, axis + rank))
  others = [i for i in range(len(equation.outvars[0].aval.shape)) if i not in new]
  order: list[int] = []
  for i in range(len(equation.outvars[0].aval.shape)):
    order.append(others.pop(0) if i in numbers.offset_dims else new.pop(0))
  return taken if order == sorted(order) else nodes.add("Transpose", taken, perm=order)


def _gather_along(nodes: Nodes, equation: Any, x: Value, indices: Value) -> str:
  """jnp.take_along_axis over the first axes of x, which the indices have, too."""
  numbers, shape = equation.params["dimension_numbers"], equation.outvars[0].aval.shape
  given, axes = equation.invars[1].aval.shape[:-1], numbers.start_index_map
  first = set(range(len(given)))
  batching = set(numbers.operand_batching_dims)
  lined_up = tuple(numbers.operand_batching_dims) == tuple(numbers.start_indices_batching_dims)
  if len(axes) != 1 or batching | set(axes) != first or not lined_up or numbers.collapsed_slice_dims != axes:
    raise ValueError(f"a gather of {numbers} is not written as ONNX; take along one axis, the others in its order")
  places = nodes.reshape(indices, [*given, *[1] * (len(shape) - len(given))])
  return nodes.add("GatherElements", x, nodes.add("Expand", places, nodes.shape(shape)), axis=axes[0])


def _scatter(nodes: Nodes, equation: Any, x: Value, indices: Value, updates: Value) -> str:
  """x.at[..., place, :].set(updates), at one place that is known."""
  numbers, shape = equation.params["dimension_numbers"], equation.invars[0].aval.shape
  axes = numbers.scatter_dims_to_operand_dims
  one = len(axes) == 1 and tuple(numbers.inserted_window_dims) == tuple(axes) and not isinstance(indices, str)
  if not one or np.size(indices) != 1 or len(equation.invars[2].aval.shape) != len(shape) - 1:
    raise ValueError(f"a scatter of {numbers} is not written as ONNX; set one known place of one axis")
  (axis,) = axes
  here = np.arange(shape[axis]) == int(np.reshape(indices, ()))
  new = nodes.add("Unsqueeze", updates, np.array([axis]))
  return nodes.add("Where", here.reshape([-1 if i == axis else 1 for i in range(len(shape))]), new, x)


_ELEMENTWISE = {
  "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "neg": "Neg", "exp": "Exp",
  "sqrt": "Sqrt", "erf": "Erf", "tanh": "Tanh", "sin": "Sin", "cos": "Cos", "lt": "Less",
  "gt": "Greater", "le": "LessOrEqual", "ge": "GreaterOrEqual", "or": "Or", "not": "Not",
}  # fmt: skip
_REDUCTIONS = {"reduce_sum": "ReduceSum", "reduce_max": "ReduceMax"}

PRIMITIVES: dict[str, Callable[..., Any]] = {
  **{name: partial(_same, operator) for name, operator in _ELEMENTWISE.items()},
  **{name: partial(_reduce, operator) for name, operator in _REDUCTIONS.items()},
  "argmin": _argmin,
  "broadcast_in_dim": _broadcast,
  "concatenate": _concatenate,
  "convert_element_type": _cast,
  "dot_general": _dot_general,
  "gather": _gather,
  "integer_pow": _integer_pow,
  "ne": _not_equal,
  "reduce_or": _reduce_or,
  "reshape": _reshape,
  "rsqrt": _rsqrt,
  "scatter": _scatter,
  "select_n": _select,
  "slice": _slice,
  "sort": _sort,
  "square": _square,
  "squeeze": _reshape,
  "stack": _stack,
  "stop_gradient": _identity,
  "transpose": _transpose,
}
