"""Adam with two scalars a step against optax's, and what half the bytes cost."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxpose.adapt import moments


def descended(tx, steps=10):
  weights = {"a": jnp.linspace(-1, 1, 60).reshape(6, 10), "b": jnp.ones(4)}
  state = tx.init(weights)
  for i in range(steps):
    grads = jax.tree.map(lambda w, i=i: jnp.sin(3 * w + i) * 10.0 ** (-i % 4), weights)
    updates, state = tx.update(grads, state, weights)
    weights = optax.apply_updates(weights, updates)
  return weights, state


def test_it_is_adam():
  weights, _ = descended(moments.adam(1e-2, b1=0.8, b2=0.99, eps=1e-6))
  expected, _ = descended(optax.adam(1e-2, b1=0.8, b2=0.99, eps=1e-6))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), weights, expected)


def test_halved_moments_stay_close_over_few_steps():
  weights, state = descended(moments.adam(1e-2, dtype="bfloat16"))
  expected, _ = descended(optax.adam(1e-2))
  start = {"a": np.linspace(-1, 1, 60).reshape(6, 10), "b": np.ones(4)}
  assert {x.dtype.name for x in jax.tree.leaves((state.mean, state.square))} == {"bfloat16"}
  assert {x.dtype.name for x in jax.tree.leaves(weights)} == {"float32"}
  for name in weights:
    moved = np.abs(expected[name] - start[name]).max()
    assert 0 < np.abs(weights[name] - expected[name]).max() < 0.02 * moved


def test_settings_are_checked():
  with pytest.raises(ValueError, match="dtype='float16', expected 'float32' or 'bfloat16'"):
    moments.adam(1e-3, dtype="float16")
  with pytest.raises(ValueError, match="learning_rate=0.0 > 0"):
    moments.adam(0.0)
