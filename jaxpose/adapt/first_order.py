"""Inference stage optimization by gradient steps: a few of them on an unlabelled instance, then predict it.

Zhang et al. 2020, Algorithm 1: theta_e, theta_s and theta_d, the trunk, the self-supervised head and the discriminator,
descend on the self-supervised loss of one instance, from fresh moments of the optimizer.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxpose.adapt.adapter import Adapter, Instance
from jaxpose.methods.objectives import Objective, Variables

Infer = Callable[[Variables, jax.Array, jax.Array], jax.Array]
PAPER_GROUPS = ("trunk", "self_supervised_head", "discriminator")


class State(NamedTuple):
  """Parameters by part, and the optimizer's moments where a stream keeps them, else ()."""

  params: dict[str, Any]
  moments: Any


def adapter(
  infer: Infer,
  objective: Objective,
  tx: optax.GradientTransformation,
  *,
  num_steps: int,
  copies: int = 16,
  groups: Sequence[str] = PAPER_GROUPS,
  keep_moments: bool = False,
  carried: bool = False,
) -> Adapter:
  """`num_steps` steps of `tx` on objective(variables, inputs [1, T, J, C], key, copies), by the parts in `groups`.

  copies: random draws of the instance in one step; where the objective draws nothing, 1 gives the same in less time.
  keep_moments: from instance to instance of a stream, instead of fresh ones. carried: along streams, so that what the
  last step leaves is needed in full.
  """
  descend = functools.partial(_descend, objective=objective, tx=tx, num_steps=num_steps, copies=copies, carried=carried)

  def init(variables, known=None) -> State:
    del known
    params = select(variables, groups)
    return State(params, tx.init(params) if keep_moments else ())

  def adapt(variables, state: State, instance: Instance, key) -> State:
    moments = state.moments if keep_moments else tx.init(state.params)
    rows = jnp.asarray(instance["inputs"])
    if "valid" in instance:  # a frame without any joint takes no part in a loss
      rows = jnp.where(instance["valid"][:, None, None], rows, 0)
    params, moments = descend(variables, state.params, moments, rows[None], key)
    return State(params, moments if keep_moments else ())

  def predict(variables, state: State, instances: Instance, key) -> dict[str, jax.Array]:
    both = [instances["inputs"], instances["flipped"]]
    outputs = infer(merge(variables, state.params), jnp.concatenate(both), key)
    return dict(zip(("inputs", "flipped"), jnp.split(outputs, 2)))

  return Adapter(init, adapt, predict)


def select(variables: Variables, groups: Sequence[str]) -> dict[str, Any]:
  """The parameters to adapt, by part; a ValueError names the parts there are when a group is unknown or none is chosen.

  The default is the paper's theta_e, theta_s and theta_d; a model without the latter two is adapted in its trunk.
  """
  params = variables["params"]
  unknown = [g for g in groups if g not in params and g not in PAPER_GROUPS]
  chosen = {name: params[name] for name in params if name in groups}
  if unknown or not chosen:
    wrong = f"no parameters named {unknown[0]!r}" if unknown else f"groups={tuple(groups)} selects no parameters"
    raise ValueError(f"{wrong}; this model's are {', '.join(sorted(params))}")
  return chosen


def merge(variables: Variables, params: dict[str, Any]) -> dict[str, Any]:
  """The variables with these parts' parameters in place of the source's."""
  return {**variables, "params": {**variables["params"], **params}}


def _descend(
  variables, params, moments, rows, key, *, objective: Objective, tx, num_steps: int, copies: int, carried: bool
):
  """(params, moments) after `num_steps` steps.

  The first and the last step stand outside the loop. Before the first, the moments are zero and are not read. After the
  last, what nobody asks for (moments, parts that no prediction uses) is neither computed nor written.
  """

  def step(carry, key, last: bool):
    params, moments = carry
    grads = jax.grad(lambda p: objective(merge(variables, p), rows, key, copies=copies)[0])(params)
    updates, moments = tx.update(grads if last else _complete(grads), moments, params)
    return optax.apply_updates(params, updates), moments

  keys, carry = jax.random.split(key, num_steps), (params, moments)
  if num_steps > 1:
    carry = step(carry, keys[0], last=False)
  if num_steps > 2:
    carry, _ = jax.lax.scan(lambda c, k: (step(c, k, last=False), None), carry, keys[1:-1])
  return step(carry, keys[-1], last=not carried)


def _complete(grads):
  """The gradients, none of which is there before all are.

  A layer's update waits for its own gradient, but not for the pass back through that layer, which reads the weights
  too: unless something says which comes first, XLA keeps a copy of all weights in every step. After the last step
  nothing is carried on, and this would force gradients that no prediction reads.
  """
  after = 0 * sum(g[(0,) * g.ndim] for g in jax.tree.leaves(grads))
  return jax.tree.map(lambda g: g + after, grads)
