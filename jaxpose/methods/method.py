"""What a method is: the training graph and the inference graphs of a model, as pure functions, and nothing else."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxpose.codec import Codec
from jaxpose.graphs.graph import InferenceGraph
from jaxpose.models.lifter import Lifter

Batch = Mapping[str, Any]
Variables = dict[str, Any]  # {"params": {part: ...}, "batch_stats": {part: ...}}
Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
  """Graphs over one set of variables. Compared by identity, so that it can be a static argument of jit.

  init(key, batch) -> variables: {"params": {part: ...}, "batch_stats": ...}; `batch` gives shapes only.
  loss(variables, batch, key) -> (scalar, (metrics, new_model_state)): the training graph. `new_model_state` is every
    collection but the parameters.
  graphs: what can be computed at inference, by name; "lift" is what validation, evaluation and lifting run.
  labels(params) -> the same tree with each leaf's group, "lifter" or "discriminator", for optax.multi_transform.
  objectives: the self-supervised losses that these variables can be adapted by, by name (methods/objectives.py).
  infer(variables, inputs, key) -> outputs: the network of "lift", in the codec's inputs and outputs, for adaptation by
    gradient steps; None where inference is more than one pass of a network.
  lifter: that network as a module, which adaptation may change inside (`second_order`); None likewise.
  judge(variables, inputs [B, T, J, C]) -> logits [B, T], positive for real, where there is a discriminator.
  """

  name: str
  codec: Codec
  init: Callable[[jax.Array, Batch], Variables]
  loss: Callable[[Variables, Batch, jax.Array], tuple[Array, tuple[Metrics, Variables]]]
  graphs: Mapping[str, InferenceGraph]
  labels: Callable[[Any], Any]
  objectives: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
  infer: Callable[..., Array] | None = None
  lifter: Lifter | None = None
  judge: Callable[[Variables, Array], Array] | None = None


def encode(codec: Codec, batch: Batch) -> Float[Array, "B T J C"]:
  """The batch's network inputs."""
  return codec.encode(batch["keypoints_2d"], batch["camera"], batch["confidence"])


def labels(params: Mapping[str, Any]) -> dict[str, Any]:
  """Each leaf's group: "discriminator" under that part, "lifter" everywhere else."""
  group = {part: "discriminator" if part == "discriminator" else "lifter" for part in params}
  return {part: jax.tree.map(lambda _, part=part: group[part], tree) for part, tree in params.items()}
