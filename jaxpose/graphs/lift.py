"""The graph of a lifter, a network between a codec's inputs and outputs; and the mean over an input and its mirror."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxpose.codec import Codec
from jaxpose.codec.image_25d import Image25D
from jaxpose.data import transforms
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.graph import Arrays, InferenceGraph, Port, Variables

FACTOR = Port("factor", ("batch", "frames"), unit="m/px", meaning="metres a pixel of each frame (Protocol.factor)")
SEED_OF_MIRROR = 1


def lift(
  codec: Codec,
  infer: Callable[..., Array],
  *,
  name: str = "lift",
  parts: tuple[str, ...] = ("trunk", "head"),
  masked: bool = True,
  longest: int | None = None,
) -> InferenceGraph:
  """infer(variables, inputs [B, T, J, C], key, mask=) -> outputs [B, T, J, 3] of the codec, between pixels and metres.

  masked: whether it takes `mask` [B, T], False for frames that fill a window; it then gets one where there are such.
  longest: window, in frames, that it takes.
  """

  def run(variables: Variables, arrays: Arrays) -> dict[str, Array]:
    batch = graphs.batch_of(arrays)
    inputs = codec.encode(batch["keypoints_2d"], batch["camera"], batch["confidence"])
    mask = {"mask": arrays["present"]} if masked and "present" in arrays else {}
    return {"positions": decode(codec, infer(variables, inputs, jax.random.key(0), **mask), batch)}

  oracles = (FACTOR,) if isinstance(codec, Image25D) else ()
  inputs = (*graphs.SEEN, *((graphs.PRESENT,) if masked else ()))
  return InferenceGraph(name, inputs, (graphs.POSITIONS,), run, parts, codec, oracles, longest=longest)


def decode(codec: Codec, outputs: Any, batch: dict[str, Any]) -> Float[Array, "*b J 3"]:
  """Root-relative metres of a codec's outputs; the root's own is overwritten by what each codec's target of it is, 0.

  So do the evaluations of P-STMO, D3DP and MotionBERT; docs/protocols.md says whose differ.
  """
  factor = {"factor": batch["factor"]} if "factor" in batch else {}
  seen = batch["keypoints_2d"], batch["camera"], batch["confidence"]
  return codec.decode(jnp.asarray(outputs).at[..., codec.skeleton.root, :].set(0), *seen, **factor)


def flipped(graph: InferenceGraph) -> InferenceGraph:
  """The mean of a graph's positions and of those of the mirrored input, mirrored back; random numbers are its own."""
  if graph.mirrored is not None:
    return graph.mirrored
  skeleton = graph.codec.skeleton

  def run(variables: Variables, arrays: Arrays) -> dict[str, Array]:
    mirrored = graphs.arrays_of(transforms.flip(graphs.batch_of(arrays), skeleton))
    if "seed" in arrays:
      again = jax.vmap(jax.random.fold_in, (0, None))(graphs.keys(arrays), SEED_OF_MIRROR)
      mirrored["seed"] = jax.random.key_data(again)
    if "normal" in arrays:
      mirrored["normal"] = -arrays["normal"]  # as normal as they are
    if "root" in arrays:
      mirrored["root"] = arrays["root"] * jnp.array([-1.0, 1.0, 1.0])[None, None]
    outputs, other = graph.run(variables, arrays), graph.run(variables, mirrored)
    return {"positions": (outputs["positions"] + transforms.flip_pose(other["positions"], skeleton)) / 2}

  return dataclasses.replace(graph, run=run, outputs=(graphs.POSITIONS,))
