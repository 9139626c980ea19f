"""Graphs that adapt: each row by itself, or along streams, whose state goes out of one call into the next."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from jaxpose import evaluate
from jaxpose.adapt.adapter import Adapter
from jaxpose.codec import Codec
from jaxpose.data import jitter, transforms
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.graph import Arrays, InferenceGraph, Port, Variables

FRAME_S = 1 / 30
BEGIN = Port("begin", ("batch",), "bool", meaning="True where a stream begins: its state is not read")
NOISE = Port(
  "noise",
  ("batch", "frames"),
  meaning="of a keypoint, in the person's rms extent (data/jitter.py)",
  default=jitter.UNKNOWN,
)
INTERVAL = Port("interval", ("batch",), unit="s", meaning="time from a frame to the next", default=FRAME_S)


def adapted(
  codec: Codec, adapter: Adapter, *, parts: tuple[str, ...], window: int, known: Any = None, random: bool = False
) -> InferenceGraph:
  """Every row is adapted to from the source, and predicted: `adapter.alone`, between pixels and metres.

  window: frames of a row. known: what `adapter.init` is told of every row. random: whether it draws random numbers.
  """

  def run(variables: Variables, arrays: Arrays) -> dict[str, Array]:
    batch = graphs.batch_of(arrays)

    def one(instance, key):
      adapt_key, predict_key = jax.random.split(key)
      state = adapter.adapt(variables, adapter.init(variables, known), instance, adapt_key)
      return _predict(adapter, variables, state, instance, predict_key)

    outputs = jax.vmap(one)(_instances(codec, batch), _keys(arrays))
    return {"positions": evaluate.decode_both(outputs, _seen(batch), codec=codec)}

  inputs = (*graphs.SEEN, graphs.PRESENT, *_solved(known), *((graphs.SEED,) if random else ()))
  return InferenceGraph("adapted", inputs, (graphs.POSITIONS,), run, parts, codec, frames=window)


def stream(
  codec: Codec,
  adapter: Adapter,
  variables: Variables,
  *,
  parts: tuple[str, ...],
  window: int,
  known: Any = None,
  random: bool = False,
) -> InferenceGraph:
  """One window of every stream a call, adapted to from what earlier calls learnt: `adapter.online` with every=1.

  What was learnt goes out as `state` and comes in again with the next window; `begin` says where there is none yet.
  variables: for the shape of a state alone.
  """
  like, restore = ravel_pytree(
    jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(lambda v: adapter.init(v, known), variables))
  )
  state_port = Port("state", ("batch", len(like)), meaning="what the stream has learnt so far")

  def run(variables: Variables, arrays: Arrays) -> dict[str, Array]:
    batch = graphs.batch_of(arrays)
    start = ravel_pytree(adapter.init(variables, known))[0]
    rows = arrays["keypoints_2d"].shape[0]
    before = arrays.get("state", jnp.zeros((rows, len(like))))
    fresh = jnp.clip(jnp.asarray(arrays.get("interval", jnp.full(rows, FRAME_S))), 0, 1)

    def one(instance, before, begins, key):
      adapt_key, predict_key = jax.random.split(key)
      state = adapter.adapt(variables, restore(jnp.where(begins, start, before)), instance, adapt_key)
      return _predict(adapter, variables, state, instance, predict_key), ravel_pytree(state)[0]

    instances = {**_instances(codec, batch), "fresh": fresh}
    outputs, states = jax.vmap(one)(instances, before, arrays["begin"], _keys(arrays))
    return {"positions": evaluate.decode_both(outputs, _seen(batch), codec=codec), "state": states}

  more = (*_solved(known), INTERVAL, BEGIN, state_port._replace(default=0.0), *((graphs.SEED,) if random else ()))
  inputs, outputs = (*graphs.SEEN, graphs.PRESENT, *more), (graphs.POSITIONS, state_port)
  return InferenceGraph("stream", inputs, outputs, run, parts, codec, frames=window)


def _predict(adapter: Adapter, variables, state, instance, key) -> dict[str, Array]:
  outputs = adapter.predict(variables, state, jax.tree.map(lambda x: x[None], instance), key)
  return {name: y[0] for name, y in outputs.items()}


def _seen(batch: dict[str, Any]) -> dict[str, Any]:
  return {name: batch[name] for name in ("keypoints_2d", "confidence", "camera")}


def _instances(codec: Codec, batch: dict[str, Any]) -> dict[str, Any]:
  """What adapters take of each row; a frame that fills its window is there for nobody."""
  inputs = codec.encode(batch["keypoints_2d"], batch["camera"], batch["confidence"])
  mirror = transforms.flip(_seen(batch), codec.skeleton)
  flipped = codec.encode(mirror["keypoints_2d"], mirror["camera"], mirror["confidence"])
  filled = {n: batch["present"] for n in ("present", "valid") if "present" in batch}
  noise = jnp.asarray(batch.get("noise", jnp.full(inputs.shape[:2], jitter.UNKNOWN)))
  seen = {**_seen(batch), **filled, "noise": noise, "fresh": jnp.ones(inputs.shape[0])}
  return {"inputs": inputs, "flipped": flipped, **seen}


def _solved(known: Any) -> tuple[Port, ...]:
  """The further input of an adapter that solves: it alone is told who a row may be."""
  return () if known is None else (NOISE,)


def _keys(arrays: Arrays) -> jax.Array:
  if "seed" in arrays:
    return graphs.keys(arrays)
  return jax.random.wrap_key_data(jnp.zeros((arrays["keypoints_2d"].shape[0], 2), jnp.uint32), impl="threefry2x32")
