"""The nodes and constants of an ONNX model while it is written, and sizes that are known only when it runs."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Value = Any  # the name of a tensor, or an array that is known beforehand


class Nodes:
  """What is written so far.

  sizes: where a named size is read, (name of an input, axis). names: of constants by content, as `key` gives it.
  """

  def __init__(self, sizes: Mapping[str, tuple[str, int]], names: Mapping[Any, str]):
    self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []  # (operator, inputs, outputs, attributes)
    self.constants: dict[str, np.ndarray] = {}
    self._sizes, self._names = sizes, names
    self._known: dict[Any, str] = {}
    self._dimensions: dict[str, str] = {}

  def add(self, operator: str, *inputs: Value, **attributes: Any) -> str:
    """A node of one output, whose name it returns."""
    name = f"{operator.lower()}_{len(self.nodes)}"
    self.nodes.append((operator, [self.tensor(x) for x in inputs], [name], attributes))
    return name

  def tensor(self, value: Value) -> str:
    """The name of a tensor; an array becomes a constant, once."""
    if isinstance(value, str):
      return value
    array = np.asarray(value)
    content = key(array)
    if content not in self._known:
      name = self._names.get(content, f"constant_{len(self.constants)}")
      self._known[content] = name
      self.constants[name] = array
    return self._known[content]

  def shape(self, dimensions: Sequence[Any]) -> Value:
    """A shape as a tensor of int64, sizes that are not known yet among them."""
    if all(isinstance(d, int) for d in dimensions):
      return np.array(dimensions, np.int64)
    return self.add("Concat", *(self._dimension(d) for d in dimensions), axis=0)

  def reshape(self, x: Value, shape: Sequence[Any]) -> str:
    unknown = [i for i, d in enumerate(shape) if not isinstance(d, int)]
    if len(unknown) == 1:  # the runtime sees what is left
      shape = [-1 if i in unknown else d for i, d in enumerate(shape)]
    return self.add("Reshape", x, self.shape(shape))

  def _dimension(self, size: Any) -> Value:
    """int64 [1]: a size, or what the text of a symbolic one says, as "2*batch*frames + 1"."""
    if isinstance(size, int):
      return np.array([size], np.int64)
    text = str(size)
    if text not in self._dimensions:
      self._dimensions[text] = self.tensor(self._arithmetic(ast.parse(text, mode="eval").body, text))
    return self._dimensions[text]

  def _arithmetic(self, node: ast.expr, text: str) -> Value:
    operators: dict[type[ast.operator], str] = {ast.Mult: "Mul", ast.Add: "Add", ast.Sub: "Sub"}
    if isinstance(node, ast.Constant):
      return np.array([node.value], np.int64)
    if isinstance(node, ast.Name) and node.id in self._sizes:
      source, axis = self._sizes[node.id]
      return self.add("Shape", source, start=axis, end=axis + 1)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
      return self.add("Neg", self._arithmetic(node.operand, text))
    if isinstance(node, ast.BinOp) and type(node.op) in operators:
      sides = (self._arithmetic(side, text) for side in (node.left, node.right))
      return self.add(operators[type(node.op)], *sides)
    raise ValueError(f"a size of {text} cannot be written as ONNX; fix the axis, or write such sums and products alone")


def key(array: np.ndarray) -> Any:
  """What equal arrays share."""
  return array.shape, array.dtype.str, array.tobytes()
