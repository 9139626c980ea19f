"""Graphs of generative lifters: many poses of each window, and one pose of these."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxpose.codec import Codec
from jaxpose.codec.base import fill_missing
from jaxpose.geometry import camera as cameras
from jaxpose.graphs import graph as graphs
from jaxpose.graphs import lift
from jaxpose.graphs.graph import Arrays, InferenceGraph, Port, Variables
from jaxpose.sampling import aggregate, guidance, solvers
from jaxpose.sampling.guidance import Guide

MANY = Port(
  "hypotheses",
  ("batch", "hypotheses", "frames", "joints", 3),
  unit="m",
  meaning="equally likely poses, root-relative, camera axes: x right, y down",
)
NORMAL = Port(
  "normal", ("batch", "hypotheses", "frames", "joints", 3), meaning="standard normal numbers, where hypotheses begin"
)
ROOT = Port("root", ("batch", "frames", 3), unit="m", meaning="the true place of the root, camera axes")


def hypotheses(
  codec: Codec,
  field: Callable[..., Array],
  *,
  std: float,
  count: int = 20,
  steps: int = 3,
  solver: str = "midpoint",
  guide: Guide | None = None,
  parts: tuple[str, ...] = ("trunk", "head"),
  longest: int | None = None,
) -> InferenceGraph:
  """`count` poses of each window: normal noise, carried by field(variables, seen, y, t, mask) from t = 0 to 1.

  seen: the codec's inputs [B, T, J, C]; y [B, T, J, 3]: the codec's outputs over `std`; t [B]. A window's noise comes
  from its seed. guide: draws the poses to the keypoints, after sampling or at every step.
  longest: window, in frames, that the field takes.
  """
  solvers.check(steps, solver)
  if count < 1 or not std > 0:
    raise ValueError(f"count={count} and std={std} must be positive")
  root = codec.skeleton.root

  def run(variables: Variables, arrays: Arrays) -> dict[str, Array]:
    batch = graphs.batch_of(arrays)
    seen = codec.encode(batch["keypoints_2d"], batch["camera"], batch["confidence"])
    view = {name: batch[name] for name in ("keypoints_2d", "confidence", "camera")}
    shape = seen.shape

    def metres(y, view=view):
      return lift.decode(codec, std * y, view)

    def nearer(y):
      def one(y, view):
        return guidance.offsets(lambda move: metres(y + move, view), view, codec, cast(Guide, guide), std)

      return y + jax.vmap(one)(y, view)

    def velocity(y, t):
      time = jnp.broadcast_to(t, (shape[0],))
      return field(variables, seen, y, time, arrays.get("present"))

    inside = guide is not None and guide.where == "inside"
    flow = guidance.toward(velocity, nearer) if inside else velocity

    def one(noise):
      end = solvers.integrate(flow, noise, steps=steps, solver=solver)
      return metres(nearer(end) if guide is not None and not inside else end)

    if "normal" in arrays:
      noise = jnp.moveaxis(arrays["normal"], 1, 0)
    else:
      noise = _noise(graphs.keys(arrays), count, shape)
    noise = noise.at[..., root, :].set(0)
    return {"hypotheses": jnp.moveaxis(jax.vmap(one)(noise), 0, 1)}

  inputs = *graphs.SEEN, graphs.PRESENT, graphs.SEED
  return InferenceGraph("hypotheses", inputs, (MANY,), run, parts, codec, longest=longest, count=count)


def told_noise(graph: InferenceGraph) -> InferenceGraph:
  """The graph with `normal` in place of `seed`, for where there is no threefry; unchanged, where it draws nothing."""
  return dataclasses.replace(graph, inputs=tuple(NORMAL if p == graphs.SEED else p for p in graph.inputs))


def _noise(keys: jax.Array, count: int, shape: tuple[Any, ...]) -> Array:
  """Normal noise [H, B, T, J, 3] of the rows' keys; a frame's depends on its place in the window alone."""

  def row(key):
    frames = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(shape[1]))
    return jax.vmap(lambda k: jax.random.normal(k, (count, shape[2], 3)))(frames)

  return jnp.moveaxis(jax.vmap(row)(keys), 2, 0)


def aggregated(graph: InferenceGraph, rule: str = "rpea", **options: Any) -> InferenceGraph:
  """One pose of a graph's hypotheses, by a rule of `aggregate.RULES`; "rpea_oracle_root" takes an oracle.

  options: of `aggregate.rpea`.
  """
  if rule not in aggregate.RULES:
    raise ValueError(f"rule={rule!r}, expected one of {', '.join(aggregate.RULES)}")
  oracles = (*graph.oracles, ROOT) if rule == "rpea_oracle_root" else graph.oracles

  def run(variables: Variables, arrays: Arrays) -> dict[str, Array]:
    many = jnp.moveaxis(graph.run(variables, arrays)["hypotheses"], 1, 0)
    if rule in ("mean", "medoid"):
      return {"positions": (aggregate.mean if rule == "mean" else aggregate.medoid)(many)}
    batch = graphs.batch_of(arrays)
    points, present = fill_missing(batch["keypoints_2d"], batch["confidence"][..., None] > 0, graph.codec.skeleton.root)
    camera = batch["camera"]
    scale = jnp.broadcast_to((2 * camera.focal[:, :1] / camera.size[:, :1])[:, None], (*points.shape[:2], 1))
    rays = cameras.unproject(points, camera)
    oracle = {"root": arrays["root"]} if rule == "rpea_oracle_root" else {}
    return {"positions": aggregate.rpea(many, rays, scale, present[..., 0], **oracle, **options)}

  return dataclasses.replace(graph, name="lift", outputs=(graphs.POSITIONS,), run=run, oracles=oracles)
