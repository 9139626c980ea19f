"""What adapts a model, as one noun of three functions; run alone for every instance, or along streams.

An adapter knows nothing of batches and streams: `alone` maps it over instances that each begin at the source, `online`
scans it along streams, `vmap` and `lax.map` put either side by side. An instance is a window {"inputs": [T, J, C],
"flipped": [T, J, C], ...}; its key is fold_in(base_key, id).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

Instance = Mapping[str, Any]


class Adapter(NamedTuple):
  """How a model of `variables` is adapted.

  init(variables, known=None) -> state: before a first instance, a pytree; `known` is what an adapter may be told.
  adapt(variables, state, instance, key) -> state: after one more.
  predict(variables, state, instances [K, T, ...], key) -> outputs [K, T, J, 3] of each of "inputs" and "flipped".
  """

  init: Callable[..., Any]
  adapt: Callable[[Any, Any, Instance, jax.Array], Any]
  predict: Callable[[Any, Any, Instance, jax.Array], dict[str, jax.Array]]


def nothing(value: Any) -> tuple:
  """What is kept of a state nobody asks for."""
  del value
  return ()


class Group(NamedTuple):
  """Instances [K, T, ...] of a stream that share a state: the first adapts it, where `active`; id is the first's."""

  instances: Instance
  id: Any
  active: Any


def alone(
  adapter: Adapter,
  variables: Any,
  instances: Instance,
  ids: np.ndarray,
  base_key: jax.Array,
  *,
  chunk: int,
  together: int,
  starts: Any = None,
  keep: Callable[[Any], Any] = nothing,
  whole: int = 0,
  sharding: NamedSharding | None = None,
  progress: Callable[[int], Any] = nothing,
) -> tuple[dict[str, np.ndarray], Any]:
  """Every instance by itself: outputs [N, T, J, 3] of each name, and what `keep` takes of the states.

  starts: what `init` is told for each instance; nothing when None. chunk: instances a dispatch; together: how many of
  these in one program of batched products, the others one after another, which keeps a CPU in its caches. `sharding`
  spreads a chunk over this process's devices. None of these moves a number but by rounding. whole: of how many
  instances these are a part; the program is then the one for all of them.
  """
  count = len(ids)
  devices = 1 if sharding is None else sharding.num_devices
  chunk = min(chunk, -(-max(count, whole) // devices) * devices)
  results, pending = [], []
  for first in range(0, count, chunk):
    rows = np.minimum(np.arange(first, first + chunk), count - 1)  # the last chunk repeats its last instance
    block = jax.tree.map(lambda x, rows=rows: x[rows], (dict(instances), ids, starts))
    running = _alone(
      adapter, variables, jax.device_put(block, sharding), base_key, keep=keep, together=together, sharding=sharding
    )
    # Fetched only now: the device is already busy with the next chunk.
    results += [_fetch(result, size, progress) for result, size in pending]
    pending = [(running, min(chunk, count - first))]
  results += [_fetch(result, size, progress) for result, size in pending]
  return jax.tree.map(lambda *x: np.concatenate(x), *results)


@functools.partial(jax.jit, static_argnames=("adapter", "keep", "together", "sharding"))
def _alone(adapter: Adapter, variables, block, base_key, *, keep, together: int, sharding):
  def one(variables, base_key, row):
    instance, id, known = row
    adapt_key, predict_key = jax.random.split(jax.random.fold_in(base_key, id))
    state = adapter.adapt(variables, adapter.init(variables, known), instance, adapt_key)
    outputs = adapter.predict(variables, state, jax.tree.map(lambda x: x[None], instance), predict_key)
    return {name: y[0] for name, y in outputs.items()}, keep(state)

  def several(variables, base_key, rows):
    run = functools.partial(one, variables, base_key)
    if together >= len(rows[1]):
      return jax.vmap(run)(rows)
    # A remainder would compile everything once more.
    size = max(n for n in range(1, together + 1) if len(rows[1]) % n == 0)
    return jax.lax.map(run, rows, batch_size=size if size > 1 else None)

  return _spread(several, sharding)(variables, base_key, block)


def online(
  adapter: Adapter,
  variables: Any,
  streams: Sequence[Instance],
  ids: Sequence[np.ndarray],
  base_key: jax.Array,
  *,
  every: int = 1,
  starts: Sequence[tuple[Any, int] | None] = (),
  side_by_side: bool = True,
  length: int = 64,
  sharding: NamedSharding | None = None,
  progress: Callable[[int], Any] = nothing,
) -> tuple[list[dict[str, np.ndarray]], list[Any]]:
  """Streams [N, T, ...], in order, each with a state of its own: outputs of each name by stream, and the last states.

  Every `every`-th instance adapts; it is predicted, as those up to the next one, with what was learnt from it. starts:
  (state, instances seen so far) of streams that go on, wherever they were cut; None for one that begins. length: groups
  a dispatch. side_by_side: streams in one program of batched products, or one after another.
  """
  begins = [(adapter.init(variables), 0) if s is None else s for s in (list(starts) or [None] * len(ids))]
  cut = [_groups(dict(s), np.asarray(i), every, seen) for s, i, (_, seen) in zip(streams, ids, begins)]
  counts = [len(groups.id) for groups, _ in cut]
  length = min(length, 1 << max(max(counts) - 1, 0).bit_length())  # a few lengths: few programs
  devices = 1 if sharding is None else sharding.num_devices
  rows = np.minimum(np.arange(-(-len(ids) // devices) * devices), len(ids) - 1)  # idle devices repeat the last stream
  padded = [_pad(cut[r][0], -(-max(counts) // length) * length) for r in rows]
  groups = jax.tree.map(lambda *x: np.stack(x), *padded)
  states = jax.tree.map(lambda *x: jnp.stack(x), *(begins[r][0] for r in rows))
  results = []
  for first in range(0, groups.id.shape[1], length):
    block = jax.device_put(jax.tree.map(lambda x, at=first: x[:, at : at + length], groups), sharding)
    options = dict(side_by_side=side_by_side, sharding=sharding)
    states, outputs = _online(adapter, variables, (states, block), base_key, **options)
    results.append(jax.tree.map(np.asarray, outputs))
    progress(sum(int(sizes[first : first + length].sum()) for _, sizes in cut))
  joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *results)
  outputs = [
    {name: y[s, : len(sizes)][np.arange(every) < sizes[:, None]] for name, y in joined.items()}
    for s, (_, sizes) in enumerate(cut)
  ]
  return outputs, [jax.tree.map(lambda x, s=s: x[s], states) for s in range(len(ids))]


@functools.partial(jax.jit, static_argnames=("adapter", "side_by_side", "sharding"))
def _online(adapter: Adapter, variables, carried, base_key, *, side_by_side: bool, sharding):
  def body(variables, base_key, state, group: Group):
    adapt_key, predict_key = jax.random.split(jax.random.fold_in(base_key, group.id))
    moved = adapter.adapt(variables, state, jax.tree.map(lambda x: x[0], group.instances), adapt_key)
    state = jax.tree.map(lambda a, b: jnp.where(group.active, a, b), moved, state)
    return state, adapter.predict(variables, state, group.instances, predict_key)

  def several(variables, base_key, carried):
    def run(row):
      return jax.lax.scan(functools.partial(body, variables, base_key), *row)

    if len(carried[1].id) == 1:  # without the axis, which would make a batched product of every matrix product
      return jax.tree.map(lambda x: x[None], run(jax.tree.map(lambda x: x[0], carried)))
    return jax.vmap(run)(carried) if side_by_side else jax.lax.map(run, carried)

  return _spread(several, sharding)(variables, base_key, carried)


def _spread(function, sharding: NamedSharding | None):
  """function(variables, base_key, rows) on every device of `sharding` for its own rows; nothing is exchanged."""
  if sharding is None:
    return function
  whole, split = PartitionSpec(), PartitionSpec(sharding.spec[0])
  specs = dict(mesh=sharding.mesh, in_specs=(whole, whole, split), out_specs=split, check_vma=False)
  return jax.shard_map(function, **specs)


def _fetch(result, count: int, progress: Callable[[int], Any]):
  fetched = jax.tree.map(lambda x: np.asarray(x)[:count], result)
  progress(count)
  return fetched


def _groups(stream: dict[str, Any], ids: np.ndarray, every: int, seen: int) -> tuple[Group, np.ndarray]:
  """A stream's groups of `every`, and how many instances each holds; the last instance fills up what is short.

  A stream that goes on first ends the group where it was cut, which adapts no more.
  """
  count = len(ids)
  rest = min(-seen % every, count)
  first = np.concatenate([np.arange(min(rest, 1)), np.arange(rest, count, every)])
  sizes = np.diff(np.append(first, count))
  members = np.minimum(first[:, None] + np.arange(every), (first + sizes - 1)[:, None])
  active = np.arange(len(first)) >= min(rest, 1)
  return Group(jax.tree.map(lambda x: np.asarray(x)[members], stream), ids[first], active), sizes


def _pad(groups: Group, count: int) -> Group:
  """Repeats the last group up to `count` groups; the padding is not active."""
  last = len(groups.id) - 1
  padded = jax.tree.map(lambda x: x[np.minimum(np.arange(count), last)], groups)
  return padded._replace(active=padded.active & (np.arange(count) <= last))
