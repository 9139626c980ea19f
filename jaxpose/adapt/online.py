"""Online adaptation: the weights are carried along a stream, and every k-th instance adapts them (ISO, Algorithm 1)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from jaxpose.adapt import gauss_newton
from jaxpose.adapt import teacher as teachers
from jaxpose.adapt.adapt import MODES, Infer, Instance, Split, descend, drawn_from, merge, predict_names
from jaxpose.adapt.gauss_newton import Solver
from jaxpose.adapt.objectives import Objective
from jaxpose.adapt.teacher import Teacher


class OnlineState(NamedTuple):
  """What a stream leaves behind, to go on from or to save: a pytree of arrays.

  opt_state: where the optimizer is carried, else (). teacher: its weights, where there is one, else (). seen: instances
  so far, which says when the next one adapts.
  """

  adapted: dict[str, Any]
  opt_state: Any
  recent: dict[str, Any]  # [memory, T, J, C]
  teacher: Any = ()
  seen: Any = 0


class Groups(NamedTuple):
  """A stream cut into groups: the model adapts on a group's first instance, then predicts all of the group.

  history: the last instances up to each group's first, [G, memory, T, J, C] by name; instances: [G, every, T, J, C];
  ids: [G], the first one's; active: [G], false where the model goes on as it is: padding, what a gate lets pass, and
  the rest of a group that an earlier call began.
  """

  history: Instance
  instances: Instance
  ids: Any
  active: Any


class Carry(NamedTuple):
  """What goes from group to group; opt_state and teacher are () where there is none."""

  adapted: dict[str, Any]
  opt_state: Any
  teacher: Any


_STATIC = (
  "infer",
  "objective",
  "tx",
  "num_steps",
  "copies",
  "flip_rows",
  "carry_optimizer",
  "teacher",
  "solver",
  "sparse",
)


@functools.partial(jax.jit, static_argnames=_STATIC)
def online_chunk(
  source: Split,
  carry: Carry,
  groups: Groups,
  base_key: jax.Array,
  *,
  infer: Infer,
  objective: Objective | None,
  tx: optax.GradientTransformation,
  num_steps: int,
  copies: int,
  flip_rows: bool = False,
  carry_optimizer: bool = False,
  teacher: Teacher | None = None,
  solver: Solver | None = None,
  sparse: bool = False,
) -> tuple[Carry, tuple[dict[str, Array], Array]]:
  """A stretch of one stream, in one scan: what it carries on, and (outputs [G, every, T, J, 3], losses [G, K]).

  source: the model as trained, whose frozen part all streams share. sparse: many groups are not active, so that a
  branch which leaves out their steps pays. solver: every instance is explained by Gauss-Newton steps from the carried
  weights, of which the first stays in part. Pure: vmap over carry and groups runs several streams side by side.
  """

  def adapt(carry: Carry, group: Groups):
    key, _ = jax.random.split(jax.random.fold_in(base_key, group.ids))
    begin = carry.adapted, carry.opt_state if carry_optimizer else tx.init(carry.adapted)
    rows, own = drawn_from(group.history, copies, flip_rows)
    frozen = source.frozen if teacher is None else teachers.attach(source.frozen, carry.teacher)
    (adapted, opt_state), losses = descend(
      begin, frozen, rows, key, objective=cast(Objective, objective), tx=tx, num_steps=num_steps, copies=own
    )
    taught = carry.teacher
    if teacher is not None:
      taught = teachers.follow(taught, adapted, teacher.decay)
      anchor = source.adapted if teacher.anchor == "source" else taught
      adapted = teachers.soft_reset(adapted, anchor, teacher.reset) if teacher.reset else adapted
    return Carry(adapted, opt_state if carry_optimizer else carry.opt_state, taught), losses

  def pass_by(carry: Carry, group: Groups):
    del group
    return carry, jnp.zeros((num_steps,))

  def body(carry: Carry, group: Groups):
    if sparse:
      carry, losses = jax.lax.cond(group.active, adapt, pass_by, carry, group)
    else:
      moved, losses = adapt(carry, group)
      carry = jax.tree.map(lambda a, b: jnp.where(group.active, a, b), moved, carry)
    _, key = jax.random.split(jax.random.fold_in(base_key, group.ids))
    outputs = predict_names(infer, Split(carry.adapted, source.frozen), group.instances, key)
    return carry, (outputs, losses)

  def explain(carry: Carry, group: Groups, solver: Solver):
    variables = merge(Split(carry.adapted, source.frozen))
    solved = gauss_newton.adapt_one(solver, variables, {n: x[0] for n, x in group.instances.items()})
    alone = predict_names(infer, Split(carry.adapted, source.frozen), group.instances, base_key)
    outputs = {n: jnp.where(group.active, solved.outputs[n][None], alone[n]) for n in alone}
    kept = gauss_newton.apply(carry.adapted, solved.first, jnp.where(group.active, solver.carry, 0.0))
    return carry._replace(adapted=kept), (outputs, solved.losses)

  return jax.lax.scan(body if solver is None else functools.partial(explain, solver=solver), carry, groups)


@functools.partial(jax.jit, static_argnames=(*_STATIC, "side_by_side", "sharding"))
def _advance(source: Split, carry: Carry, groups: Groups, base_key, *, side_by_side: bool, sharding, **options: Any):
  """`online_chunk` for streams on a leading axis of carry and groups, spread over the devices of `sharding`."""

  def all_of(source, carry, groups, base_key):
    def one(carry, groups):
      return online_chunk(source, carry, groups, base_key, **options)

    if len(groups.ids) > 1:
      return jax.vmap(one)(carry, groups) if side_by_side else jax.lax.map(lambda x: one(*x), (carry, groups))
    # One stream alone goes without the axis, which would make a batched product of every matrix product.
    alone = jax.tree.map(lambda x: x[0], (carry, groups))
    return jax.tree.map(lambda x: x[None], one(*alone))

  if sharding is None:
    return all_of(source, carry, groups, base_key)
  whole, own = PartitionSpec(), PartitionSpec(sharding.spec[0])
  # Each device runs its own streams; nothing is exchanged.
  specs = dict(mesh=sharding.mesh, in_specs=(whole, own, own, whole), out_specs=own, check_vma=False)
  return jax.shard_map(all_of, **specs)(source, carry, groups, base_key)


def online(
  split: Split,
  stream: Instance,
  ids: Sequence[int] | np.ndarray,
  base_key: jax.Array,
  *,
  state: OnlineState | None = None,
  adapt_to: np.ndarray | None = None,
  **options: Any,
) -> tuple[dict[str, np.ndarray], np.ndarray, OnlineState]:
  """A stream [N, T, J, C] in order, the weights carried along: outputs [N, T, J, 3], losses [G, K], and the end state.

  Instance t is predicted with weights that have seen instances up to t. `state` goes on from where another call ended,
  wherever that was: a stream in pieces is the stream in one. adapt_to and the options are those of `streams`.
  """
  states, chosen = None if state is None else [state], None if adapt_to is None else [adapt_to]
  outputs, losses, ends = streams(split, [stream], [ids], base_key, states=states, adapt_to=chosen, **options)
  return outputs[0], losses[0], ends[0]


def streams(
  split: Split,
  instances: Sequence[Instance],
  ids: Sequence[Sequence[int] | np.ndarray],
  base_key: jax.Array,
  *,
  infer: Infer,
  objective: Objective | None,
  tx: optax.GradientTransformation,
  num_steps: int = MODES["online"].num_steps,
  copies: int = 16,
  flip_rows: bool = False,
  every: int = 1,
  memory: int = 1,
  carry_optimizer: bool = False,
  teacher: Teacher | None = None,
  solver: Solver | None = None,
  adapt_to: Sequence[np.ndarray] | None = None,
  chunk: int = 64,
  states: Sequence[OnlineState | None] | None = None,
  sharding: NamedSharding | None = None,
  side_by_side: bool | None = None,
  progress: Callable[[int], Any] | None = None,
) -> tuple[list[dict[str, np.ndarray]], list[np.ndarray], list[OnlineState]]:
  """`online` for several independent streams, of any lengths; losses have a row for each instance adapted to.

  split: the source model, from which streams without a state begin. every: adapt on each k-th instance only. memory:
  the rows of a step are the last `memory` instances of this stream, `copies` rows in all; ISO's is 1. carry_optimizer:
  keep the optimizer's moments from instance to instance instead of starting them at zero. teacher: weights that follow
  the stream (teacher.py). solver: explains each instance, in place of objective and tx (gauss_newton.py); `every` and
  memory are 1 then. adapt_to: bool [N] a stream, the instances that may be adapted to (gate.py); all by default.

  chunk: groups of `every` instances a dispatch; `progress` is called with the number of instances of each. `sharding`
  spreads the streams over this process's devices. side_by_side: the streams of a device run in one program of batched
  products (the default but on CPUs, where one after the other is faster). None of these moves a number but by rounding.
  """
  if every < 1 or memory < 1 or chunk < 1:
    raise ValueError(f"every={every}, memory={memory} and chunk={chunk} must be at least 1")
  if solver is not None and (every > 1 or memory > 1 or teacher is not None):
    raise ValueError(f"a solver explains each instance by itself: every={every}, memory={memory} must be 1, no teacher")
  if len(instances) != len(ids) or any(len(s["inputs"]) != len(i) or not len(i) for s, i in zip(instances, ids)):
    raise ValueError("every stream needs instances, and one id for each of them")
  allowed = [np.ones(len(i), bool) for i in ids] if adapt_to is None else [np.asarray(a, bool) for a in adapt_to]
  for wrong in (s for s, (a, i) in enumerate(zip(allowed, ids)) if len(a) != len(i)):
    raise ValueError(f"adapt_to has {len(allowed[wrong])} values for the {len(ids[wrong])} instances of stream {wrong}")
  begun = [None] * len(ids) if states is None else list(states)
  blank = fresh_state(split, tx, carry_optimizer=carry_optimizer, teacher=teacher)
  begins = [blank if s is None else s for s in begun]
  cut = [_group(s, np.asarray(i), every, memory, p, a) for s, i, p, a in zip(instances, ids, begun, allowed)]
  counts = [len(g.ids) for g, *_ in cut]
  chunk = stretch(max(counts), chunk)
  devices = 1 if sharding is None else sharding.num_devices
  rows = np.minimum(np.arange(-(-len(ids) // devices) * devices), len(ids) - 1)  # idle devices repeat the last stream
  padded = [_pad(cut[s][0], -(-max(counts) // chunk) * chunk) for s in rows]
  groups = jax.tree.map(lambda *x: np.stack(x), *padded)
  carried = [Carry(s.adapted, s.opt_state, s.teacher) for s in begins]
  carry = jax.tree.map(lambda *x: jnp.stack(x), *(carried[s] for s in rows))
  source = split
  if sharding is not None:
    source, base_key = jax.device_put((split, base_key), NamedSharding(sharding.mesh, PartitionSpec()))
    carry = jax.device_put(carry, sharding)
  options: dict[str, Any] = dict(infer=infer, objective=objective, tx=tx, num_steps=num_steps, copies=copies)
  options.update(flip_rows=flip_rows, carry_optimizer=carry_optimizer, teacher=teacher, sharding=sharding)
  options["solver"] = solver
  options["sparse"] = adapt_to is not None
  options["side_by_side"] = jax.default_backend() != "cpu" if side_by_side is None else side_by_side
  results = []
  for start in range(0, groups.ids.shape[1], chunk):
    block = jax.device_put(jax.tree.map(lambda x, start=start: x[:, start : start + chunk], groups), sharding)
    carry, result = _advance(source, carry, block, base_key, **options)
    results.append(jax.tree.map(np.asarray, result))
    if progress is not None:
      progress(sum(int(held[start : start + chunk].sum()) for _, held, _ in cut))
  outputs, losses = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *results)
  ends = [
    OnlineState(own.adapted, own.opt_state, recent, own.teacher, int(begin.seen) + len(i))
    for own, begin, (*_, recent), i in zip(_unstack(carry, len(ids)), begins, cut, ids)
  ]
  return (
    [{k: v[s, : len(held)][_places(held, every)] for k, v in outputs.items()} for s, (_, held, _) in enumerate(cut)],
    [losses[s, :count][cut[s][0].active] for s, count in enumerate(counts)],
    ends,
  )


def stretch(count: int, limit: int) -> int:
  """Groups of a dispatch for streams of up to `count` groups: a power of two, or `limit`.

  The last dispatch is filled up with groups that change nothing. Streams of all lengths share a few compiled programs,
  where one for each length would take longer to compile than to run.
  """
  return min(limit, 1 << max(count - 1, 0).bit_length())


def fresh_state(split: Split, tx, *, carry_optimizer: bool = False, teacher: Teacher | None = None) -> OnlineState:
  """The state of a stream before its first instance: the source's weights, which are the teacher's too."""
  opt_state = tx.init(split.adapted) if carry_optimizer else ()
  return OnlineState(split.adapted, opt_state, {}, () if teacher is None else split.adapted)


def _group(stream: Instance, ids: np.ndarray, every: int, memory: int, state: OnlineState | None, allowed: np.ndarray):
  """The groups of a stream, how many instances each holds, and the stream's last `memory` instances.

  Before a stream begins, its first instance stands in for those before. A stream that goes on first ends the group
  where it was cut.
  """
  count = len(ids)
  rest = min(-(0 if state is None else int(state.seen)) % every, count)
  first = np.concatenate([np.arange(min(rest, 1)), np.arange(rest, count, every)])
  held = np.diff(np.append(first, count))
  own = np.minimum(first[:, None] + np.arange(every), (first + held - 1)[:, None])
  past = first[:, None] + 1 + np.arange(memory)
  history, recent = {}, {}
  for name, values in stream.items():
    values = np.asarray(values)
    before = np.repeat(values[:1], memory, 0) if state is None else np.asarray(state.recent[name])
    if before.shape != (memory, *values.shape[1:]):
      raise ValueError(f"state holds {before.shape} recent {name!r}, expected {(memory, *values.shape[1:])}")
    everything = np.concatenate([before, values])
    history[name], recent[name] = everything[past], everything[-memory:]
  instances = {name: np.asarray(values)[own] for name, values in stream.items()}
  active = allowed[first]
  active[: min(rest, 1)] = False
  return Groups(history, instances, ids[first], active), held, recent


def _places(held: np.ndarray, every: int) -> np.ndarray:
  """Which of the [G, every] places of a stream's groups hold an instance of its own."""
  return np.arange(every) < held[:, None]


def _unstack(carry: Carry, count: int) -> list[Carry]:
  return [jax.tree.map(lambda x, s=s: x[s], carry) for s in range(count)]


def _pad(groups: Groups, count: int) -> Groups:
  """Repeats the last group up to `count` groups; the padding is not active."""
  last = len(groups.ids) - 1
  padded = jax.tree.map(lambda x: x[np.minimum(np.arange(count), last)], groups)
  return padded._replace(active=padded.active & (np.arange(count) <= last))
