"""A graph as one ONNX file, for onnxruntime and others; ports, joints and codec stand in its metadata."""

import json
import os
from typing import Any

import jax
import numpy as np

from jaxpose import weights, whole_file
from jaxpose.experiment import Trained
from jaxpose.graphs import bundle, hypotheses
from jaxpose.graphs.bundle import Recipe
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.graphs.onnx import program
from jaxpose.graphs.onnx.nodes import Nodes, key
from jaxpose.graphs.onnx.primitives import TYPES
from jaxpose.models import lifter as lifters

OPERATORS, FORMAT = 18, 8  # operator set and IR version: onnxruntime from 1.14


def library() -> Any:
  """The package onnx; a ValueError says how to install it."""
  try:
    import onnx
  except ImportError as error:
    raise ValueError("ONNX files need the extra `onnx`: pip install 'jaxpose[onnx]'") from error
  return onnx


def write(path: str | os.PathLike, trained: Trained, chosen: Recipe) -> int:
  """Writes the graph that a recipe names, for any number of rows and frames, and returns the file's bytes.

  Raises ValueError for graphs that adapt, for a primitive that is not written, and without the package onnx.
  """
  onnx = library()
  if chosen.adapt is not None:
    raise ValueError(
      f"graph {chosen.graph!r} solves for every person it sees, which is not written as ONNX; export it to a folder, "
      "--output=NAME.jaxpose, or take --graph=lift"
    )
  content = model(onnx, build(trained, chosen), trained.variables).SerializeToString()
  whole_file.write(path, content)
  return len(content)


def build(trained: Trained, chosen: Recipe) -> InferenceGraph:
  """The graph of a recipe as it is written: random numbers come in as such, not as a seed."""
  return hypotheses.told_noise(bundle.build(trained, chosen))


def model(onnx: Any, graph: InferenceGraph, variables: Any) -> Any:
  """The ModelProto of a graph, whose inputs and outputs are its ports."""
  named = weights.named(lifters.parts(variables, *graph.parts))
  arrays = bundle.symbolic(graph)
  traced = jax.make_jaxpr(lambda named, arrays: graph.run(weights.nested(named), arrays), return_shape=True)
  closed, shapes = traced({n: jax.ShapeDtypeStruct(x.shape, x.dtype) for n, x in named.items()}, arrays)
  nodes = Nodes(_sources(graph), {key(x): name for name, x in named.items()})
  known = [named[name] for name in sorted(named)]
  outputs = program.write(nodes, closed.jaxpr, closed.consts, [*known, *sorted(arrays)])
  for name, value in zip(sorted(shapes), outputs, strict=True):
    nodes.nodes.append(("Identity", [nodes.tensor(value)], [name], {}))
  return _proto(onnx, graph, nodes)


def _sources(graph: InferenceGraph) -> dict[str, tuple[str, int]]:
  """Where each named axis is read."""
  places = [
    (axis, (port.name, i)) for port in graph.inputs for i, axis in enumerate(port.axes) if isinstance(axis, str)
  ]
  return dict(reversed(places))


def _proto(onnx: Any, graph: InferenceGraph, nodes: Nodes) -> Any:
  helper = onnx.helper

  def described(port):
    dims = [graph.sizes.get(a, a) for a in port.axes]
    return helper.make_tensor_value_info(port.name, TYPES[port.dtype], dims, f"{port.meaning} [{port.unit}]")

  needed, kept = {port.name for port in graph.outputs}, []
  for operator, inputs, outputs, attributes in reversed(nodes.nodes):
    if needed & set(outputs):
      kept.append(helper.make_node(operator, inputs, outputs, name=outputs[0], **attributes))
      needed |= set(inputs)
  constants = [onnx.numpy_helper.from_array(np.asarray(x), n) for n, x in nodes.constants.items() if n in needed]
  inputs, outputs = ([described(p) for p in ports] for ports in (graph.inputs, graph.outputs))
  made = helper.make_graph(kept[::-1], graph.name, inputs, outputs, constants)
  operators = [helper.make_opsetid("", OPERATORS)]
  proto = helper.make_model(made, opset_imports=operators, ir_version=FORMAT, producer_name="jaxpose")
  notes = {name: json.dumps(value) for name, value in bundle.describe(graph).items()}
  helper.set_model_props(proto, notes)
  onnx.checker.check_model(proto)
  return proto
