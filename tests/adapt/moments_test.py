"""Adam with two scalars a step against optax's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

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
  weights, _ = descended(moments.adam(1e-2))
  expected, _ = descended(optax.adam(1e-2))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), weights, expected)
