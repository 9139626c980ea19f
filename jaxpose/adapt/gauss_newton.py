"""Gauss-Newton adaptation: the smallest change of the weights that explains an instance, in a few steps.

With residuals r(W) of the predicted pose, a step solves the damped normal equations in the residuals' space,

  dW = -J^T (J J^T + damping mean(diag J J^T) I)^-1 r(W),

which is Levenberg-Marquardt in its dual form (Nocedal and Wright, Numerical Optimization, 2nd ed., section 10.3). There
are a hundred residuals for millions of weights, so J J^T is small; and as each layer's part of J is an outer product of
its input and the derivative by its output, neither J nor dW is ever written out (low_rank.py).

First-order steps from zero moments, as ISO takes them, move every weight by the learning rate whatever its gradient.
This moves the weights no further than the residuals ask for.

That is for lifters of single frames. Of a lifter of clips, whose layers run in one loop, a solver with `iterations`
solves the same equations by conjugate gradients (matrix_free.py).
"""

import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxpose.adapt import low_rank, matrix_free
from jaxpose.adapt.low_rank import Change, Path
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter

# residuals(outputs [N, T, J, 3], inputs [N, T, J, C]) -> [N, M], weighted: the loss is their sum of squares.
Residuals = Callable[[Array, Array], Array]


class Solver(NamedTuple):
  """What is solved, and how.

  damping: of the normal equations, relative to their mean diagonal. parts: whose linear layers change. carry: online,
  the share of an instance's first step that stays in the stream's weights; the rest of its change is its own.
  iterations: of conjugate gradients a step, by which any lifter can be solved; 0 solves exactly and keeps changes as
  factors, which takes linear layers that stand by themselves.
  """

  lifter: Lifter
  residuals: Residuals
  num_steps: int = 5
  damping: float = 0.1
  parts: tuple[str, ...] = ("trunk",)
  carry: float = 0.5
  iterations: int = 0


class Solution(NamedTuple):
  """One instance's outputs by name [T, J, 3], the loss before each step, and by layer how the weights changed.

  changes: in all steps together; first: in the first. As factors, or written out by a solver with `iterations`.
  """

  outputs: dict[str, Array]
  changes: Mapping[Path, Change | Array]
  first: Mapping[Path, Change | Array]
  losses: Float[Array, " K"]


def adapt_one(solver: Solver, variables: Mapping[str, Any], instance: Mapping[str, Any]) -> Solution:
  """Adapts to ONE instance {"inputs": [T, J, C], "flipped": [T, J, C]} and predicts it; its mirror image counts too.

  vmap adds instances. The variables stay shared and are never copied, unless the solver has `iterations`: then an
  instance costs some copies of the weights that change.
  """
  rows = jnp.stack([jnp.asarray(x) for x in instance.values()])
  if solver.iterations:
    changes, first, losses = _solve_free(solver, variables, rows)
    outputs = lifters.predict(solver.lifter, {**variables, "params": apply(variables["params"], changes)}, rows)
  else:
    changes, losses = solve(solver, variables, rows)
    outputs, first = predict(solver, variables, changes, rows), first_step(solver, changes)
  return Solution(dict(zip(instance, outputs)), changes, first, losses)


def loops(params: Mapping[str, Any]) -> bool:
  """Whether a lifter's layers run in one loop, so that only a solver with `iterations` can change them."""
  return any(kernel.ndim > 2 for kernel in kernels(params, ("trunk", "head")).values())


def kernels(params: Mapping[str, Any], parts: tuple[str, ...]) -> dict[Path, Any]:
  """The weights that Gauss-Newton changes, by layer: the kernels below `parts`, also those of layers in a loop.

  Raises ValueError if no part is named, or has a kernel.
  """
  if not parts:
    raise ValueError(low_rank.NO_PARTS)
  leaves = jax.tree_util.tree_leaves_with_path({part: params[part] for part in parts if part in params})
  named = {tuple(entry.key for entry in path): leaf for path, leaf in leaves}
  found = {path[:-1]: leaf for path, leaf in named.items() if path[-1] == "kernel"}
  if not found:
    raise ValueError(low_rank.NO_LAYERS.format(", ".join(parts)))
  return found


def _solve_free(solver: Solver, variables: Mapping[str, Any], rows: Float[Array, "N T J C"]):
  params = variables["params"]

  def residuals(change: Mapping[Path, Array]) -> Array:
    moved = {**variables, "params": apply(params, change)}
    return solver.residuals(lifters.predict(solver.lifter, moved, rows), rows)

  none = jax.tree.map(jnp.zeros_like, kernels(params, solver.parts))
  options = dict(num_steps=solver.num_steps, damping=solver.damping, iterations=solver.iterations)
  return matrix_free.solve(residuals, none, **options)


def solve(
  solver: Solver, variables: Mapping[str, Any], rows: Float[Array, "N T J C"]
) -> tuple[dict[Path, Change], Float[Array, " K"]]:
  """The change of the weights that explains ONE instance, seen in N rows, by layer; every step adds to its rank.

  Also the mean over rows of the squared residuals before each step.
  """
  lifted = functools.partial(lifters.predict, solver.lifter, variables, rows)
  shapes = low_rank.layers(lifted, solver.parts)
  taps = {path: jnp.zeros(s.shape, s.dtype) for path, s in shapes.items()}
  size = {path: math.prod(s.shape[:-1]) for path, s in shapes.items()}
  changes = {
    path: Change(*(jnp.zeros((solver.num_steps * size[path], n)) for n in _kernel(variables["params"], path).shape))
    for path in shapes
  }

  def step(changes: dict[Path, Change], number: Array):
    def outcome(taps):
      outputs, inputs = low_rank.run(lifted, changes, taps)
      return solver.residuals(outputs, rows), inputs

    error, pull, inputs = jax.vjp(outcome, taps, has_aux=True)
    # Rows do not mix, so one pass back carries the m-th residual of every row.
    back = jax.vmap(lambda unit: pull(jnp.broadcast_to(unit, error.shape))[0])(jnp.eye(error.shape[1]))
    dual = _solve(_gram(inputs, back, len(rows)), error, solver.damping)
    moved = {}
    for path, change in changes.items():
      right = -jnp.einsum("nm,mn...->n...", dual, back[path], precision=_EXACT)
      own = inputs[path].reshape(size[path], -1), right.reshape(size[path], -1)
      place = (number * size[path], 0)
      moved[path] = Change(*(jax.lax.dynamic_update_slice(old, new, place) for old, new in zip(change, own)))
    return moved, jnp.mean(jnp.sum(error**2, -1))

  return jax.lax.scan(step, changes, jnp.arange(solver.num_steps))


def predict(
  solver: Solver, variables: Mapping[str, Any], changes: Mapping[Path, Change], inputs: Float[Array, "N T J C"]
) -> Float[Array, "N T J 3"]:
  """The lifter's poses under a change of its weights."""
  lifted = functools.partial(lifters.predict, solver.lifter, variables, inputs)
  taps = {path: jnp.zeros(s.shape, s.dtype) for path, s in low_rank.layers(lifted, solver.parts).items()}
  return low_rank.run(lifted, changes, taps)[0]


def first_step(solver: Solver, changes: Mapping[Path, Change]) -> dict[Path, Change]:
  """What the first of the solver's steps changed."""
  return {p: Change(*(x[: len(x) // solver.num_steps] for x in change)) for p, change in changes.items()}


def apply(
  params: Mapping[str, Any], changes: Mapping[Path, Change | Array], share: float | Float[Array, ""] = 1.0
) -> dict[str, Any]:
  """The parameters, with `share` of the changes, factors or not, written into their kernels."""
  moved = jax.tree.map(lambda x: x, dict(params))
  for path, change in changes.items():
    if isinstance(change, Change):
      change = jnp.einsum("ri,ro->io", change.left, change.right, precision=_EXACT)
    layer = functools.reduce(operator.getitem, path, moved)
    layer["kernel"] += share * change
  return moved


_EXACT = jax.lax.Precision.HIGHEST


def _gram(inputs: Mapping[Path, Array], back: Mapping[Path, Array], count: int) -> Float[Array, "N M N M"]:
  """J J^T: over layers, (input_i . input_j) (derivative_im . derivative_jl), summed over the frames of both rows."""
  total = jnp.zeros(())
  for path, x in inputs.items():
    x, d = x.reshape(count, -1, x.shape[-1]), back[path]
    d = d.reshape(len(d), count, -1, d.shape[-1])
    seen = jnp.einsum("nti,kui->ntku", x, x, precision=_EXACT)
    total = total + jnp.einsum("ntku,mntw,lkuw->nmkl", seen, d, d, precision=_EXACT, optimize="optimal")
  return total


def _solve(gram: Float[Array, "N M N M"], error: Float[Array, "N M"], damping: float) -> Float[Array, "N M"]:
  matrix = gram.reshape(error.size, error.size)
  # The least constant keeps a model whose residuals do not depend on its weights from a division by zero.
  diagonal = damping * jnp.trace(matrix) / error.size + 1e-12
  factor = jax.scipy.linalg.cho_factor(matrix + diagonal * jnp.eye(error.size), lower=True)
  return jax.scipy.linalg.cho_solve(factor, error.reshape(error.size)).reshape(error.shape)


def _kernel(params: Mapping[str, Any], path: Path) -> Array:
  kernel = functools.reduce(operator.getitem, path, params)["kernel"]
  if kernel.ndim != 2:
    raise ValueError(
      f"layer {'/'.join(path)} has weights {kernel.shape}, those of several layers in one loop, which have no factors; "
      "give the solver iterations"
    )
  return kernel
