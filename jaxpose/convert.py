"""Published PyTorch weights as this library's variables: pure functions of a state dict, name -> array."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxpose.convert_motionbert import load_motionbert as load_motionbert
from jaxpose.convert_resnet import load_resnet as load_resnet
from jaxpose.models import mlp
from jaxpose.models.lifter import Lifter

StateDict = Mapping[str, np.ndarray]


def load_martinez(state: StateDict) -> tuple[Lifter, dict[str, Any]]:
  """A lifter and its variables from the weights of Martinez's network in PyTorch's layout.

  state: w1, batch_norm1, linear_stages.i.{w1, batch_norm1, w2, batch_norm2}, w2, each with weight and bias, and
  batch normalisation with running_mean and running_var. Joints, width, stages and whether the root (joint 0) is
  predicted are read from the shapes. A ValueError names what is missing or of the wrong shape.
  """
  first, last = _get(state, "w1.weight"), _get(state, "w2.weight")
  width, joints, predicted = first.shape[0], first.shape[1] // 2, last.shape[0] // 3
  if first.shape[1] != 2 * joints or last.shape[0] != 3 * predicted or predicted not in (joints, joints - 1):
    raise ValueError(
      f"w1.weight {first.shape} and w2.weight {last.shape} are not of a lifter from J joints of 2 numbers to J "
      "(or J - 1, without the root) joints of 3"
    )
  stages = 0
  while f"linear_stages.{stages}.w1.weight" in state:
    stages += 1
  params = {"trunk": {"stem": _layer(state, "w1", "batch_norm1", params=True)}, "head": {"pose": _linear(state, "w2")}}
  stats = {"trunk": {"stem": _layer(state, "w1", "batch_norm1", params=False)}}
  for i in range(stages):
    names = {name: (f"linear_stages.{i}.w{n}", f"linear_stages.{i}.batch_norm{n}") for n, name in _LAYERS}
    params["trunk"][f"block_{i}"] = {name: _layer(state, *layers, params=True) for name, layers in names.items()}
    stats["trunk"][f"block_{i}"] = {name: _layer(state, *layers, params=False) for name, layers in names.items()}
  lifter = mlp.martinez(joints, width=width, trunk_blocks=stages, predict_root=predicted == joints)
  return lifter, {"params": params, "batch_stats": stats}


_LAYERS = ((1, "first"), (2, "second"))


def _layer(state: StateDict, linear: str, norm: str, *, params: bool) -> dict[str, Any]:
  if not params:
    # Our layers have no bias before a normalisation: the published one moves into the mean that is subtracted.
    mean = _get(state, f"{norm}.running_mean") - _get(state, f"{linear}.bias")
    return {"BatchNorm_0": {"mean": mean, "var": _get(state, f"{norm}.running_var")}}
  scale = {"scale": _get(state, f"{norm}.weight"), "bias": _get(state, f"{norm}.bias")}
  return {"Dense_0": {"kernel": _linear(state, linear)["kernel"]}, "BatchNorm_0": scale}


def _linear(state: StateDict, name: str) -> dict[str, np.ndarray]:
  """PyTorch keeps [out, in], flax [in, out]."""
  return {"kernel": _get(state, f"{name}.weight").T, "bias": _get(state, f"{name}.bias")}


def _get(state: StateDict, name: str) -> np.ndarray:
  if name not in state:
    raise ValueError(f"the state dict has no {name!r}; it has {', '.join(sorted(state)[:8])}, ... ({len(state)} names)")
  return np.asarray(state[name], np.float32)
