"""What a method is: the training graph and the inference graph of a model, as pure functions, and nothing else."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from jaxpose.codec import Codec
from jaxpose.models.lifter import Lifter

Batch = Mapping[str, Any]
Variables = dict[str, Any]  # {"params": {part: ...}, "batch_stats": {part: ...}}
Metrics = dict[str, Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Method:
  """Two graphs over one set of variables. Compared by identity, so that it can be a static argument of jit.

  init(key, batch) -> variables: {"params": {part: ...}, "batch_stats": ...}; `batch` gives shapes only.
  loss(variables, batch, key) -> (scalar, (metrics, new_model_state)): the training graph. `new_model_state` is every
    collection but the parameters.
  infer(variables, inputs, key) -> outputs: the inference graph, in the codec's inputs and outputs. One with a fourth
    parameter `mask` is given it where clips are shorter than a window: [B, T], False for the frames that fill them.
  labels(params) -> the same tree with each leaf's group, "lifter" or "discriminator", for optax.multi_transform.
  objectives: the self-supervised losses that these variables can be adapted by, by name (methods/objectives.py).
  second: the inference graph of a second head, as `infer`, where there is one: validation watches it.
  judge(variables, inputs [B, T, J, C]) -> logits [B, T], positive for real, where there is a discriminator.
  """

  name: str
  codec: Codec
  lifter: Lifter
  init: Callable[[jax.Array, Batch], Variables]
  loss: Callable[[Variables, Batch, jax.Array], tuple[Array, tuple[Metrics, Variables]]]
  infer: Callable[..., Array]
  labels: Callable[[Any], Any]
  objectives: Mapping[str, Callable[..., Any]]
  second: Callable[..., Array] | None = None
  judge: Callable[[Variables, Array], Array] | None = None


def encode(codec: Codec, batch: Batch) -> Float[Array, "B T J C"]:
  """The batch's network inputs."""
  return codec.encode(batch["keypoints_2d"], batch["camera"], batch["confidence"])


def labels(params: Mapping[str, Any]) -> dict[str, Any]:
  """Each leaf's group: "discriminator" under that part, "lifter" everywhere else."""
  group = {part: "discriminator" if part == "discriminator" else "lifter" for part in params}
  return {part: jax.tree.map(lambda _, part=part: group[part], tree) for part, tree in params.items()}
