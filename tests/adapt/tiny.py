"""A tiny model with its inputs, for the tests of objectives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxpose import codec as codecs
from jaxpose import skeleton
from jaxpose.models import mlp
from tests import helpers

SKELETON = skeleton.get("h36m_17")
CODEC = codecs.build("root_rms", SKELETON)
KEY = jax.random.key(3)
LIFTER = mlp.create(width=16, trunk_blocks=0, head_blocks=0, stem_norm=True)
_apply = jax.jit(LIFTER.apply)


@functools.cache
def model(window=1):
  """(lifter, variables, inputs [6 / window, window, 17, 2])."""
  clip = helpers.clip(6)
  inputs = jnp.asarray(CODEC.encode(clip.keypoints_2d, clip.camera)).reshape(-1, window, 17, 2)
  return LIFTER, dict(jax.jit(LIFTER.init)(KEY, inputs)), inputs


def predictions(lifter, variables, inputs):
  assert lifter is LIFTER
  return np.asarray(_apply(variables, inputs), np.float64)


def finite_gradient(objective, variables, inputs, **options):
  """The gradient by the parameters, after checking that value and gradient are finite."""
  run = jax.jit(jax.value_and_grad(lambda p: objective({**variables, "params": p}, inputs, KEY, **options)[0]))
  value, grads = run(variables["params"])
  assert np.isfinite(value) and all(np.isfinite(g).all() for g in jax.tree.leaves(grads))
  return grads


def moves(grads):
  return {name for name, part in grads.items() if any(np.any(g) for g in jax.tree.leaves(part))}
