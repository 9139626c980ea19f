"""What a checkpoint remembers of its training set, for adaptation: how long bones are, how far the lifter bends."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxpose import losses
from jaxpose.adapt import fit
from jaxpose.adapt.adapter import Instance
from jaxpose.codec import Codec
from jaxpose.data import pipeline
from jaxpose.methods.method import Method, encode
from jaxpose.models.lifter import Lifter

POSES, WINDOWS = 4096, 256  # spread evenly over the training set


def of_poses(codec: Codec, data: pipeline.Windows, labelled: np.ndarray) -> dict[str, Any]:
  """{"bone_lengths_m"}: the mean length of each bone of codec.skeleton.bones, in metres.

  labelled: int [L], the windows of `data` that have 3D.
  """
  joints = pipeline.gather(data, _spread(labelled, POSES), 1)["joints_3d"]
  lengths = np.linalg.norm(losses.bone_vectors(joints, codec.skeleton), axis=-1)
  return {"bone_lengths_m": lengths.mean((0, 1)).astype(float).tolist()}


def inputs(codec: Codec, data: pipeline.Windows, labelled: np.ndarray, window: int) -> dict[str, Any]:
  """Some windows of the training set: what was seen, and the network's inputs."""
  batch = pipeline.gather(data, _spread(labelled, WINDOWS), window)
  seen = {name: batch[name] for name in ("keypoints_2d", "confidence", "camera")}
  return {**seen, "inputs": jax.jit(lambda b: encode(codec, b))(seen)}


def of_weights(method: Method, codec: Codec, variables: Any, windows: dict[str, Any]) -> dict[str, float]:
  """{"sensitivity"}: metres that a pose moves by for a change of the lifter's first layer (`adapt.fit`).

  Empty for a method without a lifter.
  """
  if method.lifter is None:
    return {}
  return {"sensitivity": float(sensitivity(method.lifter, codec, variables, windows))}


@functools.partial(jax.jit, static_argnames=("lifter", "codec"))
def sensitivity(lifter: Lifter, codec: Codec, variables: Any, windows: Instance) -> Float[Array, ""]:
  """Metres that a coordinate of a pose moves by, rms over windows [N, T, ...], for offsets of unit variance.

  By one random direction a window.
  """

  def one(view, key):
    lift, like, _ = fit.lifting(lifter, codec, variables, view)
    direction = jax.random.rademacher(key, like.shape, jnp.float32)
    _, change = jax.jvp(lift, (jnp.zeros(like.shape),), (direction,))
    return (change**2).sum() / (3 * (change.shape[1] - 1) * len(change))

  keys = jax.random.split(jax.random.key(0), len(windows["inputs"]))
  return jnp.sqrt(jnp.mean(jax.lax.map(lambda x: one(*x), (dict(windows), keys), batch_size=16)))


def _spread(windows: np.ndarray, most: int) -> np.ndarray:
  return windows[np.linspace(0, len(windows) - 1, min(len(windows), most)).astype(int)]
