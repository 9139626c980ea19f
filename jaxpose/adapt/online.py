"""Online adaptation: the weights are carried along a stream, and every k-th instance adapts them (ISO, Algorithm 1)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from jaxpose.adapt.adapt import MODES, Infer, Instance, Split, descend, predict_names, rows_of
from jaxpose.adapt.objectives import Objective


class OnlineState(NamedTuple):
  """What a stream leaves behind, to go on from or to save: parameters, optimizer (where carried), the latest frames."""

  adapted: dict[str, Any]
  opt_state: Any
  recent: dict[str, np.ndarray]  # [memory, T, J, C]


class Groups(NamedTuple):
  """A stream cut into groups: the model adapts on a group's first instance, then predicts all of the group.

  history: the last instances up to each group's first, [G, memory, T, J, C] by name; instances: [G, every, T, J, C];
  ids: [G], the first one's; active: [G], false for padding.
  """

  history: Instance
  instances: Instance
  ids: Any
  active: Any


@functools.partial(
  jax.jit,
  static_argnames=("infer", "objective", "tx", "num_steps", "copies", "flip_rows", "carry_optimizer"),
)
def online_chunk(
  split: Split,
  opt_state: Any,
  groups: Groups,
  base_key: jax.Array,
  *,
  infer: Infer,
  objective: Objective,
  tx: optax.GradientTransformation,
  num_steps: int,
  copies: int,
  flip_rows: bool = False,
  carry_optimizer: bool = False,
) -> tuple[dict[str, Any], Any, dict[str, Array], Array]:
  """A stretch of one stream, in one scan: adapted parameters, optimizer state, outputs [G, every, T, J, 3], losses.

  Pure: vmap over split.adapted, opt_state and groups runs several streams side by side.
  """

  def body(carry, group: Groups):
    adapted, opt_state = carry
    adapt_key, infer_key = jax.random.split(jax.random.fold_in(base_key, group.ids))
    begin = adapted, opt_state if carry_optimizer else tx.init(adapted)
    rows = rows_of(group.history, copies, flip_rows)
    moved, losses = descend(begin, split.frozen, rows, adapt_key, objective=objective, tx=tx, num_steps=num_steps)
    carry = _where(group.active, moved if carry_optimizer else (moved[0], opt_state), carry)
    outputs = predict_names(infer, Split(carry[0], split.frozen), group.instances, infer_key)
    return carry, (outputs, losses)

  (adapted, opt_state), (outputs, losses) = jax.lax.scan(body, (split.adapted, opt_state), groups)
  return adapted, opt_state, outputs, losses


@functools.partial(
  jax.jit, static_argnames=("infer", "objective", "tx", "num_steps", "copies", "flip_rows", "carry_optimizer")
)
def _side_by_side(split: Split, opt_state: Any, groups: Groups, base_key: jax.Array, **options: Any):
  """`online_chunk` for streams on a leading axis of split.adapted, opt_state and groups."""

  def one(adapted, opt_state, groups):
    return online_chunk(Split(adapted, split.frozen), opt_state, groups, base_key, **options)

  if len(groups.ids) > 1:
    return jax.vmap(one)(split.adapted, opt_state, groups)
  # One stream alone goes without the axis, which would make a batched product of every matrix product.
  alone = jax.tree.map(lambda x: x[0], (split.adapted, opt_state, groups))
  return jax.tree.map(lambda x: x[None], one(*alone))


def online(
  split: Split,
  stream: Instance,
  ids: Sequence[int] | np.ndarray,
  base_key: jax.Array,
  *,
  state: OnlineState | None = None,
  **options: Any,
) -> tuple[dict[str, np.ndarray], np.ndarray, OnlineState]:
  """A stream [N, T, J, C] in order, the weights carried along: outputs [N, T, J, 3], losses [G, K], and the end state.

  Instance t is predicted with weights that have seen instances up to t. `state` goes on from where another call ended;
  a call always adapts on its first instance. The options are those of `streams`.
  """
  states = None if state is None else [state]
  outputs, losses, ends = streams(split, [stream], [ids], base_key, states=states, **options)
  return outputs[0], losses[0], ends[0]


def streams(
  split: Split,
  instances: Sequence[Instance],
  ids: Sequence[Sequence[int] | np.ndarray],
  base_key: jax.Array,
  *,
  infer: Infer,
  objective: Objective,
  tx: optax.GradientTransformation,
  num_steps: int = MODES["online"].num_steps,
  copies: int = 16,
  flip_rows: bool = False,
  every: int = 1,
  memory: int = 1,
  carry_optimizer: bool = False,
  chunk: int = 64,
  states: Sequence[OnlineState] | None = None,
  progress: Callable[[int], Any] | None = None,
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray], list[OnlineState]]:
  """`online` for several independent streams, of any lengths, side by side on one device.

  every: adapt on each k-th instance only. memory: the rows of a step are the last `memory` instances of this stream in
  turn, not copies of the last one; ISO's is 1. carry_optimizer: keep the optimizer's moments from instance to instance
  instead of starting them at zero. chunk: groups of `every` instances a dispatch; `progress` is called with the number
  of instances of each.
  """
  if every < 1 or memory < 1 or chunk < 1:
    raise ValueError(f"every={every}, memory={memory} and chunk={chunk} must be at least 1")
  if len(instances) != len(ids) or any(len(s["inputs"]) != len(i) or not len(i) for s, i in zip(instances, ids)):
    raise ValueError("every stream needs instances, and one id for each of them")
  options = dict(
    infer=infer,
    objective=objective,
    tx=tx,
    num_steps=num_steps,
    copies=copies,
    flip_rows=flip_rows,
    carry_optimizer=carry_optimizer,
  )
  prior = [None] * len(instances) if states is None else [s.recent for s in states]
  grouped = [_group(s, np.asarray(i), every, memory, p) for s, i, p in zip(instances, ids, prior)]
  counts = [len(g.ids) for g, _ in grouped]
  chunk = min(chunk, max(counts))
  padded = [_pad(g, -(-max(counts) // chunk) * chunk) for g, _ in grouped]
  if states is None:
    fresh = split.adapted, tx.init(split.adapted) if carry_optimizer else ()
    started = [fresh] * len(instances)
  else:
    started = [(s.adapted, s.opt_state) for s in states]
  groups = jax.tree.map(lambda *x: np.stack(x), *padded)
  adapted, opt_state = jax.tree.map(lambda *x: jnp.stack(x), *started)
  results = []
  for start in range(0, groups.ids.shape[1], chunk):
    block = jax.tree.map(lambda x, start=start: x[:, start : start + chunk], groups)
    adapted, opt_state, *result = _side_by_side(Split(adapted, split.frozen), opt_state, block, base_key, **options)
    results.append(jax.tree.map(np.asarray, result))
    if progress is not None:
      progress(sum(max(0, min(len(i) - start * every, chunk * every)) for i in ids))
  outputs, losses = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *results)
  return (
    [{k: v[s].reshape(-1, *v.shape[3:])[: len(i)] for k, v in outputs.items()} for s, i in enumerate(ids)],
    [losses[s, :count] for s, count in enumerate(counts)],
    [
      OnlineState(jax.tree.map(lambda x, s=s: x[s], adapted), jax.tree.map(lambda x, s=s: x[s], opt_state), recent)
      for s, (_, recent) in enumerate(grouped)
    ],
  )


def _group(stream: Instance, ids: np.ndarray, every: int, memory: int, prior: Instance | None):
  """The groups of a stream, and its last `memory` instances. Before a stream begins, its first instance stands in."""
  count = len(ids)
  first = np.arange(0, count, every)
  own = np.minimum(first[:, None] + np.arange(every), count - 1)
  past = first[:, None] + 1 + np.arange(memory)
  history, recent = {}, {}
  for name, values in stream.items():
    values = np.asarray(values)
    before = np.repeat(values[:1], memory, 0) if prior is None else np.asarray(prior[name])
    if before.shape != (memory, *values.shape[1:]):
      raise ValueError(f"state holds {before.shape} recent {name!r}, expected {(memory, *values.shape[1:])}")
    everything = np.concatenate([before, values])
    history[name], recent[name] = everything[past], everything[-memory:]
  instances = {name: np.asarray(values)[own] for name, values in stream.items()}
  return Groups(history, instances, ids[first], np.ones(len(first), bool)), recent


def _pad(groups: Groups, count: int) -> Groups:
  """Repeats the last group up to `count` groups; the padding is not active."""
  rows = np.minimum(np.arange(count), len(groups.ids) - 1)
  padded = jax.tree.map(lambda x: x[rows], groups)
  return padded._replace(active=np.arange(count) < len(groups.ids))


def _where(condition, chosen, otherwise):
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), chosen, otherwise)
