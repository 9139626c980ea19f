"""What a checkpoint remembers of its training set, for adaptation: how long bones are, how far the lifter bends."""

from typing import Any

import jax
import numpy as np

from jaxpose import losses
from jaxpose.adapt import second_order
from jaxpose.codec import Codec
from jaxpose.data import pipeline
from jaxpose.methods.method import Method, encode

POSES, WINDOWS = 4096, 256  # spread evenly over the training set


def of_poses(codec: Codec, data: pipeline.Windows, labelled: int) -> dict[str, Any]:
  """{"bone_lengths_m"}: the mean length of each bone of codec.skeleton.bones, in metres."""
  joints = pipeline.gather(data, _spread(labelled, POSES), 1)["joints_3d"]
  lengths = np.linalg.norm(losses.bone_vectors(joints, codec.skeleton), axis=-1)
  return {"bone_lengths_m": lengths.mean((0, 1)).astype(float).tolist()}


def inputs(codec: Codec, data: pipeline.Windows, labelled: int, window: int) -> dict[str, Any]:
  """Some windows of the training set: what was seen, and the network's inputs."""
  batch = pipeline.gather(data, _spread(labelled, WINDOWS), window)
  seen = {name: batch[name] for name in ("keypoints_2d", "confidence", "camera")}
  return {**seen, "inputs": jax.jit(lambda b: encode(codec, b))(seen)}


def of_weights(method: Method, codec: Codec, variables: Any, windows: dict[str, Any]) -> dict[str, float]:
  """{"sensitivity"}: metres that a pose moves by for a change of the lifter's first layer (`second_order`).

  Empty for a method without a lifter.
  """
  if method.lifter is None:
    return {}
  return {"sensitivity": float(second_order.sensitivity(method.lifter, codec, variables, windows))}


def _spread(count: int, most: int) -> np.ndarray:
  return np.linspace(0, count - 1, min(count, most)).astype(int)
