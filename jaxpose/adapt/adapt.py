"""Inference stage optimization: adapt to an unlabelled instance, then predict it (Zhang et al. 2020, Algorithm 1).

Everything is written for ONE instance {"inputs": [T, J, C], "flipped": [T, J, C]} without a batch axis; vmap adds that.
`vanilla` starts every instance from the source weights; online.py carries the weights along a stream.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxpose.adapt import chunk as chunks
from jaxpose.adapt import gauss_newton
from jaxpose.adapt import teacher as teachers
from jaxpose.adapt.gauss_newton import Solver
from jaxpose.adapt.objectives import Objective, Variables
from jaxpose.models import lifter as lifters

Instance = Mapping[str, Any]  # "inputs" [T, J, C]; "flipped", its mirror image, where predictions average the two
Infer = Callable[[Variables, Array, jax.Array], Array]
PAPER_GROUPS = ("trunk", "self_supervised_head", "discriminator")


@dataclasses.dataclass(frozen=True)
class Mode:
  """A way to adapt. num_steps and learning_rate are the paper's T and alpha; online ones adapt every k-th instance."""

  online: bool
  num_steps: int
  learning_rate: float
  every: int = 1


MODES = {
  "none": Mode(online=False, num_steps=0, learning_rate=0.0),
  "vanilla": Mode(online=False, num_steps=10, learning_rate=2e-5),
  "vanilla_lr": Mode(online=False, num_steps=1, learning_rate=2e-4),
  "online": Mode(online=True, num_steps=1, learning_rate=2e-5),
  "online_skip": Mode(online=True, num_steps=1, learning_rate=2e-5, every=10),
}


class Split(NamedTuple):
  """Variables in two: parameters that adaptation moves, by part, and everything else (all of batch_stats)."""

  adapted: dict[str, Any]
  frozen: dict[str, Any]


def split_variables(variables: Variables, groups: Sequence[str] = PAPER_GROUPS) -> Split:
  """Splits variables by parts; a ValueError names the parts there are when a group is unknown or none is selected.

  The default is the paper's theta_e, theta_s and theta_d; a model without the latter two is adapted in its trunk.
  """
  params = variables["params"]
  unknown = [g for g in groups if g not in params and g not in PAPER_GROUPS]
  adapted = {name: params[name] for name in params if name in groups}
  if unknown or not adapted:
    wrong = f"no parameters named {unknown[0]!r}" if unknown else f"groups={tuple(groups)} selects no parameters"
    raise ValueError(f"{wrong}; this model's are {', '.join(sorted(params))}")
  rest = {name: params[name] for name in params if name not in groups}
  return Split(adapted, {**variables, "params": rest})


def merge(split: Split) -> dict[str, Any]:
  """The variables that `split_variables` took apart."""
  return {**split.frozen, "params": {**split.frozen["params"], **split.adapted}}


def drawn_from(recent: Instance, copies: int, flip_rows: bool = False) -> tuple[Float[Array, "N T J C"], int]:
  """What one step of adaptation sees of the recent instances [M, T, J, C]: the different rows, and copies of each.

  With `flip_rows`, their mirror images are rows too. A ValueError unless `copies` rows hold all of them equally often.
  """
  if flip_rows and "flipped" not in recent:
    raise ValueError(f"flip_rows needs 'flipped' beside 'inputs'; the instance has {', '.join(recent)}")
  rows = jnp.concatenate([jnp.asarray(recent[name]) for name in (["inputs", "flipped"] if flip_rows else ["inputs"])])
  if copies < 1 or copies % len(rows):
    raise ValueError(f"copies={copies} must be a positive multiple of the {len(rows)} different rows of a step")
  return rows, copies // len(rows)


def adapt_one(
  split: Split,
  instance: Instance,
  key: jax.Array,
  *,
  objective: Objective,
  tx: optax.GradientTransformation,
  num_steps: int,
  copies: int = 16,
  flip_rows: bool = False,
) -> tuple[dict[str, Any], Float[Array, " K"]]:
  """Adapts to ONE instance by `num_steps` steps from fresh optimizer moments: adapted parameters and the losses.

  One step sees `copies` copies of it, so many random projections. `objective` is in evaluation mode.
  """
  rows, copies = drawn_from({k: jnp.asarray(v)[None] for k, v in instance.items()}, copies, flip_rows)
  own = dict(objective=objective, tx=tx, num_steps=num_steps, copies=copies)
  (adapted, _), losses = descend((split.adapted, tx.init(split.adapted)), split.frozen, rows, key, **own)
  return adapted, losses


def predict_one(infer: Infer, split: Split, instance: Instance, key: jax.Array) -> dict[str, Array]:
  """The outputs [T, J, 3] for each of the instance's inputs, under the same names ("inputs", "flipped")."""
  outputs = predict_names(infer, split, {name: jnp.asarray(x)[None] for name, x in instance.items()}, key)
  return {name: y[0] for name, y in outputs.items()}


def predict_names(infer: Infer, split: Split, instances: Mapping[str, Array], key: jax.Array) -> dict[str, Array]:
  """One pass over the instances [N, T, J, C] of all names together: outputs [N, T, J, 3] by name."""
  outputs = infer(merge(split), jnp.concatenate(list(instances.values())), key)
  return dict(zip(instances, jnp.split(outputs, len(instances))))


def descend(carry, frozen, rows, key, *, objective: Objective, tx, num_steps: int, copies: int = 1):
  """`num_steps` steps of (adapted, opt_state); the losses before each. `copies` is the objective's, a row.

  The first and the last step stand outside the loop. Before the first, the moments are zero and are not read. After the
  last, what nobody asks for (moments, parts that no prediction uses) is neither computed nor written.
  """

  def step(carry, key):
    adapted, opt_state = carry

    def loss_fn(adapted):
      return objective(merge(Split(adapted, frozen)), rows, key, copies=copies)[0]

    loss, grads = jax.value_and_grad(loss_fn)(adapted)
    grads = _complete(grads)
    updates, opt_state = tx.update(grads, opt_state, adapted)
    return (optax.apply_updates(adapted, updates), opt_state), loss

  if num_steps < 1:
    return carry, jnp.zeros((0,))
  keys = jax.random.split(key, num_steps)
  carry, first = step(carry, keys[0])
  losses = [first[None]]
  if num_steps > 2:
    carry, middle = jax.lax.scan(step, carry, keys[1:-1])
    losses.append(middle)
  if num_steps > 1:
    carry, last = step(carry, keys[-1])
    losses.append(last[None])
  return carry, jnp.concatenate(losses)


def _complete(grads):
  """The gradients, none of which is there before all are.

  A layer's update waits for its own gradient, but not for the pass back through that layer, which reads the weights
  too: unless something says which comes first, XLA keeps a copy of all weights in every step.
  """
  after = 0 * sum(g[(0,) * g.ndim] for g in jax.tree.leaves(grads))
  return jax.tree.map(lambda g: g + after, grads)


def stored_bytes(
  split: Split,
  recent: Instance,
  *,
  objective: Objective | None,
  copies: int = 1,
  flip_rows: bool = False,
  solver: Solver | None = None,
) -> int:
  """The bytes that a step of adaptation to the recent instances [M, T, J, C] stores for its pass back, by tracing it.

  Little for single frames; for clips more than the weights.
  """
  frozen = teachers.attach(split.frozen, split.adapted)  # where an objective wants one

  def loss(adapted):
    variables = merge(Split(adapted, frozen))
    if solver is not None:
      rows = jnp.concatenate([jnp.asarray(x[-1:]) for x in recent.values()])
      return solver.residuals(lifters.predict(solver.lifter, variables, rows), rows)
    rows, own = drawn_from(recent, copies, flip_rows)
    return cast(Objective, objective)(variables, rows, jax.random.key(0), copies=own)[0]

  return chunks.nbytes(jax.eval_shape(lambda adapted: jax.vjp(loss, adapted)[1], split.adapted))


_TOGETHER = 4  # measured on a CPU: a quarter faster than 1, and than 8, whose weights leave the caches
_STATIC = ("infer", "objective", "tx", "num_steps", "copies", "flip_rows", "side_by_side", "solver")


@functools.partial(jax.jit, static_argnames=_STATIC)
def vanilla_chunk(
  split: Split,
  instances: Instance,
  ids,
  base_key: jax.Array,
  *,
  infer: Infer,
  side_by_side: bool,
  solver: Solver | None = None,
  **options,
):
  """`vanilla` for instances [N, T, J, C] that fit in memory at once: outputs [N, T, J, 3] and losses [N, K]."""

  def one(instance, id):
    adapt_key, infer_key = jax.random.split(jax.random.fold_in(base_key, id))
    adapted, losses = adapt_one(split, instance, adapt_key, **options)
    return predict_one(infer, Split(adapted, split.frozen), instance, infer_key), losses

  if solver is not None:  # nothing is random
    explain = functools.partial(gauss_newton.adapt_one, solver, merge(split))
    # Changes as factors leave the weights shared: side by side on any platform.
    beside = side_by_side or not solver.iterations
    solved = jax.vmap(explain)(instances) if beside else jax.lax.map(explain, instances)
    return solved.outputs, solved.losses
  if side_by_side:
    return jax.vmap(one)(instances, ids)
  # A single step reads nothing but the shared weights: a few instances together make better matrix products. Later
  # steps read each instance's own. A remainder would compile everything once more, hence the common divisor.
  together = math.gcd(_TOGETHER, len(ids)) if options["num_steps"] == 1 else 1
  return jax.lax.map(lambda x: one(*x), (instances, ids), batch_size=together if together > 1 else None)


@functools.partial(jax.jit, static_argnames=(*_STATIC, "sharding"))
def spread_chunk(split: Split, instances: Instance, ids, base_key: jax.Array, *, sharding: NamedSharding, **options):
  """`vanilla_chunk` on every device of `sharding` for its own instances. Nothing passes between devices."""
  everywhere, own = PartitionSpec(), sharding.spec
  run = jax.shard_map(
    functools.partial(vanilla_chunk, **options),
    mesh=sharding.mesh,
    in_specs=(everywhere, own, own, everywhere),
    out_specs=own,
    check_vma=False,
  )
  return run(split, instances, ids, base_key)


def vanilla(
  split: Split,
  instances: Instance,
  ids: Sequence[int] | np.ndarray,
  base_key: jax.Array,
  *,
  infer: Infer,
  objective: Objective | None,
  tx: optax.GradientTransformation,
  num_steps: int = MODES["vanilla"].num_steps,
  copies: int = 16,
  flip_rows: bool = False,
  chunk: int | None = None,
  sharding: NamedSharding | None = None,
  side_by_side: bool | None = None,
  solver: Solver | None = None,
  progress: Callable[[int], Any] | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  """Every instance adapted alone, from the source weights, then predicted: outputs [N, T, J, 3] by name, losses [N, K].

  instances: arrays [N, T, J, C]. ids: one integer an instance; its key is fold_in(base_key, id), so results depend on
  no order and no chunk size. `sharding` spreads a chunk's leading axis over this process's devices. `progress` is
  called with the number of instances of each finished chunk.

  side_by_side: all instances of a chunk in every operation, which fills a GPU or TPU, or one after another within the
  chunk, which keeps a CPU in its caches; None chooses by platform. Side by side, an instance costs its gradients,
  moments and copy of the adapted parameters, and nothing for the frozen ones. chunk: None takes what memory allows.

  solver: instead of objective and tx, explain each instance in Gauss-Newton steps (gauss_newton.py).

  Trap: where the objective draws nothing at random (reprojection, bone lengths), copies=1 gives the same in less time.
  """
  count, ids = len(instances["inputs"]), np.asarray(ids)
  if len(ids) != count:
    raise ValueError(f"{len(ids)} ids for {count} instances; every instance has one")
  if not count:
    raise ValueError("no instances to adapt to")
  devices = 1 if sharding is None else sharding.num_devices
  if side_by_side is None:
    side_by_side = jax.default_backend() != "cpu"
  if chunk is None:
    one = {name: jnp.asarray(values[:1]) for name, values in instances.items()}
    stored = stored_bytes(split, one, objective=objective, copies=copies, flip_rows=flip_rows, solver=solver)
    chunk = chunks.automatic(split.adapted, tx, side_by_side, devices, stored)
    while chunk > devices and chunk // 2 >= count:
      chunk //= 2
  if chunk < 1 or (sharding is not None and chunk % sharding.num_devices):
    raise ValueError(f"chunk={chunk} must be a positive multiple of the {devices} devices it is spread over")
  chunk = chunk if sharding is not None else min(chunk, count)
  options = dict(infer=infer, objective=objective, tx=tx, num_steps=num_steps, copies=copies, flip_rows=flip_rows)
  options |= dict(side_by_side=side_by_side, solver=solver)
  if sharding is not None:
    split, base_key = jax.device_put((split, base_key), NamedSharding(sharding.mesh, PartitionSpec()))
    adapt_chunk = functools.partial(spread_chunk, sharding=sharding)
  else:
    adapt_chunk = vanilla_chunk
  results, pending = [], []
  for start in range(0, count, chunk):
    rows = np.minimum(np.arange(start, start + chunk), count - 1)  # the last chunk repeats its last instance
    block = jax.device_put(({k: v[rows] for k, v in instances.items()}, ids[rows]), sharding)
    running = adapt_chunk(split, *block, base_key, **options), min(chunk, count - start)
    # Fetched only now: the device is already busy with the next chunk.
    results += [_fetch(result, size, progress) for result, size in pending]
    pending = [running]
  results += [_fetch(result, size, progress) for result, size in pending]
  return jax.tree.map(lambda *x: np.concatenate(x), *results)


def _fetch(result, count: int, progress: Callable[[int], Any] | None):
  fetched = jax.tree.map(lambda x: np.asarray(x)[:count], result)
  if progress is not None:
    progress(count)
  return fetched
