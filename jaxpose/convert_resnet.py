"""torchvision's residual networks into a ResNet: safetensors, torch files, or a state dict of arrays.

  model, variables = load_resnet("resnet50.safetensors")
  features = model.apply(variables, images)    # {"layer1": [B, H/4, W/4, 256], ...}

torch keeps a convolution as [out, in, height, width], flax as [height, width, in, out]. The images are RGB, normalised
by the mean and deviation that the weights were trained with.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax import traverse_util

from jaxpose.convert_motionbert import read_state
from jaxpose.models import resnet

State = Mapping[str, np.ndarray]  # a torch state dict
_BLOCK = re.compile(r"(layer[1-4])\.(\d+)\.")
_UNUSED = re.compile(r"fc\.|.*num_batches_tracked$")  # the classifier, and a count that nothing reads
_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def load_resnet(
  weights: str | os.PathLike | State, *, stop: str | None = None, norm: str = "batch", **options: Any
) -> tuple[resnet.ResNet, dict[str, Any]]:
  """Published weights as (model, variables): {"params", "batch_stats"} in float32.

  weights: a file, or tensors by torchvision's names. Blocks, their kind and the width follow from the tensors; those of
  stages beyond `stop` are not needed, and the classifier `fc` is left out. norm: "batch", or "frozen" to go on with the
  published statistics. options: strides and dtype.

  Raises ValueError, naming the file and the tensor, for missing, further, misshapen or non-finite ones, and OSError for
  a file that cannot be read.
  """
  if isinstance(weights, Mapping):
    return _from_state(weights, stop, norm, options)
  path = os.fspath(weights)
  try:
    return _from_state(read_state(path), stop, norm, options)
  except ValueError as error:
    raise ValueError(str(error) if str(error).startswith(path) else f"{path}: {error}") from error


def _from_state(state: State, stop: str | None, norm: str, options: Mapping[str, Any]):
  if norm not in ("batch", "frozen"):
    raise ValueError(f"norm={norm!r}; published weights are of batch normalisation: batch or frozen")
  if stop not in (None, *resnet.STAGES):
    raise ValueError(f"stop={stop!r}; it is one of {', '.join(resnet.STAGES)}")
  last = len(resnet.STAGES) if stop is None else resnet.STAGES.index(stop) + 1
  wanted = {k: v for k, v in state.items() if not _UNUSED.match(k) and _stage(k) < last}
  model = resnet.ResNet(norm=norm, **_architecture(wanted), **options)
  image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
  expected: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(
    dict(jax.eval_shape(model.init, jax.random.key(0), image))
  )
  names = {path: _torch_name(path) for path in expected}
  if missing := sorted(set(names.values()) - set(wanted)):
    raise ValueError(f"no weights of a whole ResNet: {len(missing)} tensors are missing, first {missing[0]!r}")
  if extra := sorted(set(wanted) - set(names.values())):
    raise ValueError(f"{len(extra)} tensors are no ResNet's, first {extra[0]!r}; are these torchvision's names?")
  ours = {path: _tensor(name, wanted[name], expected[path].shape) for path, name in names.items()}
  return model, traverse_util.unflatten_dict(ours)


def _stage(name: str) -> int:
  block = _BLOCK.match(name)
  return resnet.STAGES.index(block[1]) if block else -1


def _architecture(state: State) -> dict[str, Any]:
  """What the tensors' names and shapes say of a ResNet."""
  first = np.shape(state.get("conv1.weight", ()))
  if len(first) != 4 or "layer1.0.conv1.weight" not in state:
    raise ValueError(
      "no weights of a ResNet: 'conv1.weight' [C, 3, 7, 7] and 'layer1.0.conv1.weight' are expected; "
      f"the names start {list(state)[:5]}"
    )
  numbers = [{int(m[2]) for k in state if (m := _BLOCK.match(k)) and m[1] == stage} for stage in resnet.STAGES]
  numbers = numbers[: max(i + 1 for i, present in enumerate(numbers) if present)]
  for stage, present in zip(resnet.STAGES, numbers):
    # A name may claim any block: the first that is absent is among the first len(found) + 1.
    absent = next(i for i in range(len(present) + 1) if i not in present)
    if absent < max(len(present), 1):
      raise ValueError(f"no weights of a whole ResNet: block {stage}.{absent} is missing")
  return {"blocks": tuple(map(len, numbers)), "bottleneck": "layer1.0.conv3.weight" in state, "width": first[0]}


def _torch_name(path: tuple[str, ...]) -> str:
  """torchvision's name of ("params", "layer1_0", "downsample_conv", "kernel"): layer1.0.downsample.0.weight."""
  modules = ".".join(path[1:-1]).replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
  modules = re.sub(r"^(layer\d)_", r"\1.", modules)
  return f"{modules}.{_LEAVES[path[-1]]}"


def _tensor(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
  """The tensor as ours, checked: of the shape that the other tensors make necessary, and finite."""
  array = np.asarray(array)
  turned = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
  if turned.shape != shape:
    theirs = shape if len(shape) != 4 else (shape[3], shape[2], shape[0], shape[1])
    raise ValueError(f"{name!r} has shape {array.shape}, expected {theirs} by the other tensors")
  if not (np.issubdtype(array.dtype, np.floating) or array.dtype.name == "bfloat16"):
    raise ValueError(f"{name!r} holds {array.dtype}, expected floating-point numbers")
  turned = turned.astype(np.float32)
  if not np.isfinite(turned).all():
    raise ValueError(f"{name!r} holds NaN or infinity")
  return turned
