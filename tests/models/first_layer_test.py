"""Offsets of the first linear layer are changes of its bias, whatever the model."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.models import first_layer, mlp
from jaxpose.models import lifter as lifters
from tests.adapt import clip_models, tiny


@pytest.mark.parametrize("window", [1, 3])
def test_offsets_are_changes_of_the_first_layers_bias(window):
  if window == 1:
    inputs = tiny.model()[2]
    lifter = mlp.create(width=16, trunk_blocks=0, head_blocks=0)
    variables = lifter.init(tiny.KEY, inputs)
  else:
    lifter, variables, inputs = clip_models.method().lifter, clip_models.variables(), clip_models.instances()["inputs"]
  run = functools.partial(lifters.predict, lifter, variables, inputs)
  path, like = first_layer.find(run)
  change = np.float32(np.random.default_rng(0).normal(0, 0.1, like.shape[-1]))
  moved = first_layer.shifted(run, path, jnp.broadcast_to(jnp.asarray(change), like.shape))
  part = variables["params"]
  for name in path:
    part = part[name]
  params = jax.tree_util.tree_map_with_path(
    lambda p, x: x + change if _names(p) == (*path, "bias") else x, variables["params"]
  )
  expected = lifters.predict(lifter, {**variables, "params": params}, inputs)
  np.testing.assert_allclose(moved, expected, atol=1e-5)
  assert np.abs(moved - run()).max() > 1e-3 and like.shape[:2] == inputs.shape[:2]
  np.testing.assert_allclose(first_layer.shifted(run, path, jnp.zeros(like.shape)), run(), atol=1e-6)


def _names(path):
  return tuple(key.key for key in path)


def test_a_model_without_a_linear_layer_is_refused():
  with pytest.raises(ValueError, match="the lifter has no linear layer"):
    first_layer.find(lambda: nn.LayerNorm().apply({"params": {"scale": jnp.ones(3), "bias": jnp.ones(3)}}, jnp.ones(3)))
