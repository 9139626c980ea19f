"""Flow matching: a lifter that learns the distribution of poses, and draws many at inference (FMPose3D and others).

Training regresses a velocity at one random time of each window; inference integrates it from noise, several times over,
and makes one pose of many. So its graphs have nothing of its loss: the example of docs/inference_graphs.md.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from jaxpose import losses
from jaxpose.codec import Codec
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.graphs.hypotheses import aggregated, hypotheses
from jaxpose.methods import method, objectives
from jaxpose.methods.method import Batch, Method, Metrics, Variables
from jaxpose.models import velocity
from jaxpose.models.lifter import Lifter, parts

_BEFORE_THE_CAMERA = (0.0, 0.0, 1.0)  # metres: what every codec has finite targets for


def create(
  lifter: Lifter,
  codec: Codec,
  *,
  std: float = 0.25,
  count: int = 20,
  steps: int = 3,
  solver: str = "midpoint",
  rule: str = "mean",
) -> Method:
  """A lifter of many hypotheses; parameters are {"trunk", "head"}, of the velocity (`models.velocity`).

  std: of the codec's outputs over the training set, by which they are divided: 0.25 suits metres. count, steps, solver,
  rule: of inference alone, as in `graphs.hypotheses`.

  Graphs: "hypotheses", and "lift", which makes one of them.
  """
  if rule == "rpea_oracle_root":
    raise ValueError(f"rule={rule!r} is told the truth, which evaluation does not tell; take 'rpea'")
  many = sampling(lifter, codec, std=std, count=count, steps=steps, solver=solver)
  return Method(
    name="flow",
    codec=codec,
    init=functools.partial(_init, lifter=lifter, codec=codec),
    loss=functools.partial(_loss, lifter=lifter, codec=codec, std=std),
    graphs={"lift": aggregated(many, rule), "hypotheses": many},
    labels=method.labels,
  )


def sampling(lifter: Lifter, codec: Codec, **options: Any) -> InferenceGraph:
  """The graph "hypotheses" of a velocity network, with options of `graphs.hypotheses.hypotheses`, guidance too."""
  field = functools.partial(_field, lifter=lifter, root=codec.skeleton.root)
  return hypotheses(codec, field, longest=lifter.longest, **options)


def _field(variables: Any, seen: Array, pose: Array, time: Array, mask: Array | None, *, lifter: Lifter, root: int):
  return velocity.velocity(lifter, parts(variables, "trunk", "head"), seen, pose, time, root, mask)


def _init(key: jax.Array, batch: Batch, *, lifter: Lifter, codec: Codec) -> Variables:
  seen = method.encode(codec, batch)
  return dict(lifter.init(key, velocity.inputs(seen, jnp.zeros((*seen.shape[:-1], 3)), jnp.zeros(len(seen)))))


def _loss(
  variables: Variables, batch: Batch, key: jax.Array, *, lifter: Lifter, codec: Codec, std: float
) -> tuple[Array, tuple[Metrics, Variables]]:
  """mean |f(y_t, t) - (x_1 - x_0)|^2 over valid frames, y_t = (1 - t) x_0 + t x_1."""
  seen, valid, root = method.encode(codec, batch), batch["valid"], codec.skeleton.root
  shown = batch["keypoints_2d"], batch["camera"], batch["confidence"]
  stand_in = jnp.asarray(_BEFORE_THE_CAMERA)[None, None, None]
  truth = jnp.where(valid[..., None, None], batch["joints_3d"], stand_in)
  noise_key, time_key, dropout_key = jax.random.split(key, 3)
  end = (codec.encode_target(truth, *shown) / std).at[..., root, :].set(0)
  begin = jax.random.normal(noise_key, end.shape).at[..., root, :].set(0)
  time = jax.random.uniform(time_key, valid.shape[:1])
  share = time[:, None, None, None]
  way = (1 - share) * begin + share * end
  changing = [c for c in variables if c != "params"]
  field, state = velocity.velocity(
    lifter, variables, seen, way, time, root, batch.get("present"), train=True, rngs={"dropout": dropout_key},
    mutable=changing,
  )  # fmt: skip
  loss = objectives.masked_mean(losses.squared_error(field, end - begin).mean(-1), valid)
  return loss, ({"flow": loss}, dict(state))
