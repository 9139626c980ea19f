"""ISO's joint training: a supervised and a self-supervised head on one trunk (Zhang, Nie, Feng 2020, Eq. 3 to 5).

  min over trunk, heads; max over discriminator:
    L_f(trunk, head) + weight * L_s(trunk, self_supervised_head, discriminator)

Inference is the supervised head on the trunk. The second head is there so that the trunk can be adapted, at inference,
by the self-supervised loss, to poses and cameras that training never saw (adapt/).
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxpose.codec import Codec
from jaxpose.graphs.lift import lift as lifting_graph
from jaxpose.methods import method, objectives, supervised
from jaxpose.methods.method import Batch, Method, Metrics, Variables
from jaxpose.models import lifter as lifters
from jaxpose.models.lifter import Lifter


def create(
  lifter: Lifter,
  codec: Codec,
  discriminator: nn.Module,
  *,
  objective: str = "cycle",
  weight: float = 0.1,
  weight_2d: float = 10.0,
  weight_3d: float = 0.1,
  azimuth: float = math.pi,
  elevation: float = math.pi / 9,
  vertical: str = "camera",
  lift: str = "free",
  size: float | None = None,
  noise: float = 0.0,
  loss: str = "l2",
  bone_weight: float = 1.0,
  scale: float = 1.0,
  focal: float = 0.0,
) -> Method:
  """Joint training by `objective`, "adversary" (Eq. 3) or "cycle" (Eq. 4); the weights are the paper's.

  Parameters are {"trunk", "head", "self_supervised_head", "discriminator"}. loss, bone_weight, scale, focal: as
  in `supervised.term`; the rest as in `objectives.random_projection`, whose defaults are the paper's. With them the
  discriminator wins and the second head learns nothing; docs/iso.md has a setting that does. In training, the scene's
  vertical is known from the cameras (`codec.up`).

  One scalar holds both players: each term stops the gradient of the other player. `weight` scales the lifter's
  side only. The discriminator has its own optimizer, whose Adam is indifferent to a factor on its loss.

  Running statistics of normalisation follow the pass over real inputs; the passes over random projections are
  normalised by their own batch and leave no trace.
  """
  supervised.check(loss, focal)
  if objective not in ("adversary", "cycle"):
    raise ValueError(f"objective={objective!r}, expected 'adversary' or 'cycle'")
  shared: dict[str, Any] = dict(azimuth=azimuth, elevation=elevation, vertical=vertical, lift=lift, size=size)
  shared.update(noise=noise)
  modules = lifter, codec, discriminator
  terms = {
    "adversary": objectives.random_projection(*modules, **shared),
    "cycle": objectives.random_projection(*modules, **shared, weight_2d=weight_2d, weight_3d=weight_3d),
  }
  options: dict[str, Any] = dict(kind=loss, bone_weight=bone_weight, scale=scale, focal=focal)
  fit = functools.partial(supervised.term, codec=codec, **options)
  network = functools.partial(supervised.infer, lifter=lifter)
  return Method(
    name="iso",
    codec=codec,
    lifter=lifter,
    init=functools.partial(_init, lifter=lifter, codec=codec, discriminator=discriminator),
    loss=functools.partial(_loss, lifter=lifter, codec=codec, fit=fit, terms=terms[objective], weight=weight),
    graphs=_graphs(lifter, codec, network, objectives.lifting(codec, lift, size)),
    infer=network,
    judge=functools.partial(_judge, discriminator=discriminator),
    labels=method.labels,
    objectives={
      **{name: objectives.both_players(players) for name, players in terms.items()},
      "reprojection": objectives.reprojection(lifter, codec),
    },
  )


def _graphs(lifter: Lifter, codec: Codec, network: Callable[..., Array], to_pose: objectives.Lifting):
  second = functools.partial(_second, lifter=lifter, to_pose=to_pose)
  parts = ("trunk", "self_supervised_head")
  build = functools.partial(lifting_graph, codec, longest=lifter.longest)
  return {
    "lift": build(network),
    "self_supervised": build(second, name="self_supervised", parts=parts, masked=False),
  }


def _init(key: jax.Array, batch: Batch, *, lifter: Lifter, codec: Codec, discriminator: nn.Module) -> Variables:
  inputs = method.encode(codec, batch)
  lifter_key, head_key, discriminator_key = jax.random.split(key, 3)
  variables: dict[str, Any] = dict(lifter.init(lifter_key, inputs))
  features, _ = lifters.apply(lifter.trunk, variables, "trunk", inputs)
  added: dict[str, Any] = {
    "self_supervised_head": lifter.head.init(head_key, features),
    "discriminator": discriminator.init(discriminator_key, inputs[..., :2]),
  }
  collections = dict.fromkeys([*variables, *added["self_supervised_head"]])
  return {c: {**variables.get(c, {}), **{n: v[c] for n, v in added.items() if c in v}} for c in collections}


def _loss(
  variables: Variables,
  batch: Batch,
  key: jax.Array,
  *,
  lifter: Lifter,
  codec: Codec,
  fit: Callable[..., tuple[Array, Metrics]],
  terms: objectives.Terms,
  weight: float,
) -> tuple[Array, tuple[Metrics, Variables]]:
  trunk_key, head_key, own_key, projection_key = jax.random.split(key, 4)
  inputs = method.encode(codec, batch)
  features, trunk = lifters.apply(lifter.trunk, variables, "trunk", inputs, True, trunk_key)
  outputs, head = lifters.apply(lifter.head, variables, "head", features, True, head_key)
  lifted, second_state = lifters.apply(lifter.head, variables, "self_supervised_head", features, True, own_key)
  supervision, metrics = fit(outputs, batch)
  up = codec.up(batch["keypoints_2d"], batch["camera"], batch["confidence"])
  generator, discriminator, more = terms(
    variables, inputs, projection_key, outputs=lifted, valid=batch["valid"], up=up, train=True
  )
  state = {"trunk": trunk, "head": head, "self_supervised_head": second_state}
  kept = {c: {n: s[c] for n, s in state.items() if c in s} for c in variables if c != "params"}
  return supervision + weight * generator + discriminator, ({**metrics, **more}, kept)


def _second(
  variables: Variables, inputs: Array, key: jax.Array, *, lifter: Lifter, to_pose: objectives.Lifting
) -> Array:
  del key
  features, _ = lifters.apply(lifter.trunk, variables, "trunk", inputs)
  return to_pose(lifters.apply(lifter.head, variables, "self_supervised_head", features)[0], inputs)


def _judge(variables: Variables, inputs: Array, *, discriminator: nn.Module) -> Array:
  return jnp.asarray(discriminator.apply(lifters.part(variables, "discriminator"), inputs[..., :2]))
