"""A jaxpr as ONNX nodes: what is known beforehand is computed at once, calls are inlined, loops are unrolled."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxpose.graphs.onnx import primitives
from jaxpose.graphs.onnx.nodes import Nodes, Value

_INNER = {"jit": "jaxpr", "pjit": "jaxpr", "remat2": "jaxpr", "checkpoint": "jaxpr", "custom_jvp_call": "call_jaxpr"}


def write(nodes: Nodes, jaxpr: Any, constants: Sequence[Value], inputs: Sequence[Value]) -> list[Value]:
  """Adds what a jaxpr computes, and returns its outputs.

  Raises ValueError, naming it, for a primitive that cannot be written.
  """
  values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*constants, *inputs]))

  def read(variable: Any) -> Value:
    return variable.val if hasattr(variable, "val") else values[variable]

  for equation in _needed(jaxpr):
    outputs = _equation(nodes, equation, [read(v) for v in equation.invars])
    values.update(zip(equation.outvars, outputs))
  return [read(v) for v in jaxpr.outvars]


def _needed(jaxpr: Any) -> list[Any]:
  """The equations that an output depends on."""
  wanted, kept = set(map(id, jaxpr.outvars)), []
  for equation in reversed(jaxpr.eqns):
    if wanted & set(map(id, equation.outvars)):
      kept.append(equation)
      wanted |= set(map(id, equation.invars))
  return kept[::-1]


def _equation(nodes: Nodes, equation: Any, inputs: list[Value]) -> list[Value]:
  name = equation.primitive.name
  if name in _INNER:
    inner = equation.params[_INNER[name]]
    return write(nodes, getattr(inner, "jaxpr", inner), getattr(inner, "consts", ()), inputs)
  if name == "scan":
    return _unrolled(nodes, equation.params, inputs)
  if _known(equation, inputs):
    results = equation.primitive.bind(*inputs, **equation.params)
    return list(results) if equation.primitive.multiple_results else [results]
  if name not in primitives.PRIMITIVES:
    raise ValueError(
      f"the graph computes {name!r}, which is not written as ONNX (jaxpose/graphs/onnx/primitives.py has "
      f"{', '.join(sorted(primitives.PRIMITIVES))}); export it to a folder instead, --output=NAME.jaxpose"
    )
  results = primitives.PRIMITIVES[name](nodes, equation, *inputs)
  return [results] if isinstance(results, str) else list(results)


def _known(equation: Any, inputs: list[Value]) -> bool:
  static = all(isinstance(d, int) for v in equation.outvars for d in v.aval.shape)
  return static and not any(isinstance(x, str) for x in inputs) and equation.primitive.name != "dim_as_value"


def _unrolled(nodes: Nodes, params: dict[str, Any], inputs: list[Value]) -> list[Value]:
  """A scan, step after step."""
  length, constants, carried = params["length"], params["num_consts"], params["num_carry"]
  if not isinstance(length, int):
    raise ValueError(f"a loop of {length} steps cannot be written as ONNX; fix how many there are")
  fixed, carry, rows = inputs[:constants], inputs[constants : constants + carried], inputs[constants + carried :]
  body, stacked = params["jaxpr"], []
  for i in range(length)[:: -1 if params["reverse"] else 1]:
    now = [nodes.add("Gather", x, np.int64(i), axis=0) if isinstance(x, str) else x[i] for x in rows]
    outputs = write(nodes, body.jaxpr, body.consts, [*fixed, *carry, *now])
    carry = outputs[:carried]
    stacked.append(outputs[carried:])
  stacked = stacked[:: -1 if params["reverse"] else 1]
  return [*carry, *(_stack(nodes, column) for column in zip(*stacked))]


def _stack(nodes: Nodes, rows: Sequence[Value]) -> Value:
  if not any(isinstance(x, str) for x in rows):
    return jax.numpy.stack(rows)
  return nodes.add("Concat", *(nodes.add("Unsqueeze", x, np.array([0])) for x in rows), axis=0)
