"""Which parameter learns at which rate: patterns on paths, layer-wise decay, and what does not learn at all.

A path is "trunk/layers/st_spatial/norm1/scale". The optimizer computes every update at `learning_rate` and multiplies
it by the parameter's factor: updates of Adam and AdamW, weight decay included, are proportional to the rate, so that
is exact, and schedule, warm-up and clipping are those of all parameters together.
"""

import dataclasses
import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from jaxpose.config import OptimConfig
from jaxpose.methods.method import Batch, Method, Metrics, Variables

Factor = float | np.ndarray


def path_name(path: tuple[Any, ...]) -> str:
  """A pytree path as text: "trunk/stem/kernel"."""
  return "/".join(str(getattr(key, "key", key)) for key in path)


def peak(path: str, rates: Mapping[str, float], otherwise: float) -> float:
  """The rate of the pattern that matches `path`; of several, of the one with the most letters that are no wildcards.

  Not of the first: a ConfigDict sorts its keys, so that a config file cannot say which one is first. `*` stands for
  any letters, "/" among them. Raises ValueError where two patterns that match have equally many.
  """
  matching = sorted((-_literal(p), p) for p in rates if fnmatch.fnmatchcase(path, p))
  if not matching:
    return otherwise
  if len(matching) > 1 and matching[0][0] == matching[1][0] and rates[matching[0][1]] != rates[matching[1][1]]:
    raise ValueError(
      f"optim.rates: {matching[0][1]!r} and {matching[1][1]!r} both match {path!r}, and neither is longer; lengthen one"
    )
  return rates[matching[0][1]]


def factors(params: Any, config: OptimConfig, labels: Callable[[Any], Any]) -> dict[str, Factor]:
  """{path: rate / learning_rate} of the lifter's parameters, with 0 where one is frozen.

  With `layer_decay` d, in a model of L stacked layers counted from 1, layer l has the further factor d^(L + 1 - l),
  what stands before the layers d^(L + 1), what comes after them 1 (as in BEiT, Bao et al. 2022; ELECTRA, Clark et al.
  2020, has one power more everywhere before its head). Stacked parameters have the layers on axis 0, and so has their
  factor, [depth, 1, ...]. A head that owns layers (`head_depth`) goes on counting where the trunk ends.

  Raises ValueError for a pattern that matches nothing, for rates that freeze all, and for a decay without layers.
  """
  groups = dict(_named(labels(params)))
  shapes = {path: np.shape(leaf) for path, leaf in _named(params) if groups[path] == "lifter"}
  for pattern in config.rates:
    if not any(fnmatch.fnmatchcase(path, pattern) for path in shapes):
      raise ValueError(f"optim.rates: {pattern!r} matches no parameter of the lifter; it has {_some(list(shapes))}")
  peaks = {path: peak(path, config.rates, config.learning_rate) for path in shapes}
  if not any(peaks.values()):
    raise ValueError(f"optim.rates={config.rates} freeze every parameter of the lifter; leave some a rate above 0")
  decayed = _by_layer(shapes, config.layer_decay) if config.layer_decay != 1 else dict.fromkeys(shapes, 1.0)
  return {path: rate / config.learning_rate * decayed[path] if rate else 0.0 for path, rate in peaks.items()}


def frozen(factors: Mapping[str, Factor]) -> set[str]:
  """The paths whose factor is 0."""
  return {path for path, factor in factors.items() if isinstance(factor, float) and factor == 0}


def _by_layer(shapes: Mapping[str, tuple[int, ...]], decay: float) -> dict[str, Factor]:
  owner = {path: path.split("/")[:2] for path in shapes}  # part, and the name in it
  depth = {part: shapes[path][0] for path, (part, name) in owner.items() if name == "layers"}
  if not depth:
    raise ValueError(
      f"optim.layer_decay={decay} needs a model whose layers are stacked under 'layers', as the DSTformer's are; this "
      f"one has {_some(list(shapes))}. Leave it at 1, or give rates by optim.rates"
    )
  first = depth.get("trunk", 0)
  total = first + max((count for part, count in depth.items() if part != "trunk"), default=0)
  by_path: dict[str, Factor] = {}
  for path, (part, name) in owner.items():
    if name == "layers":
      number = np.arange(1, shapes[path][0] + 1) + (0 if part == "trunk" else first)
      by_path[path] = (decay ** (total + 1.0 - number)).astype(np.float32).reshape(-1, *(1,) * (len(shapes[path]) - 1))
    else:  # the trunk's last norm stands after its layers, all else in it before them
      by_path[path] = decay ** (total + 1) if part == "trunk" and name != "norm" else 1.0
  return by_path


def freeze(method: Method, config: OptimConfig) -> Method:
  """The method with no gradient to the parameters whose rate is 0, so that XLA does not compute any.

  The running statistics of a part that is frozen altogether stay what they were. The trap: its training graph is
  unchanged otherwise, so its batch normalisation sees the batch and its dropout drops, in the parts that have such.
  """
  if 0 not in config.rates.values():
    return method

  def loss(variables: Variables, batch: Batch, key: jax.Array) -> tuple[jax.Array, tuple[Metrics, Variables]]:
    params = variables["params"]
    still = frozen(factors(params, config, method.labels))
    stopped = jax.tree_util.tree_map_with_path(
      lambda path, leaf: jax.lax.stop_gradient(leaf) if path_name(path) in still else leaf, params
    )
    value, (metrics, state) = method.loss({**variables, "params": stopped}, batch, key)
    whole = [part for part in params if all(f"{part}/{path}" in still for path, _ in _named(params[part]))]
    kept = {c: {**tree, **{p: variables[c][p] for p in whole if p in tree}} for c, tree in state.items()}
    return value, (metrics, kept)

  return dataclasses.replace(method, loss=loss)


def _named(tree: Any) -> list[tuple[str, Any]]:
  return [(path_name(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _literal(pattern: str) -> int:
  return len(re.sub(r"\[[^]]*\]|[*?]", "", pattern))


def _some(names: list[str], count: int = 6) -> str:
  """A few of the names, spread over all of them."""
  chosen = names[:: max(1, len(names) // count)][:count]
  return ", ".join(chosen) + (f", ... ({len(names)} in all)" if len(names) > len(chosen) else "")
