"""The chunk that fits."""

import jax.numpy as jnp
import optax
import pytest

from jaxpose.adapt import chunk


@pytest.mark.parametrize(
  ("available", "each", "count"), [(100, 30, 2), (100, 15, 4), (100, 61, 1), (0, 5, 1), (10**12, 1, 1024)]
)
def test_the_largest_power_of_two_that_fits(available, each, count):
  assert chunk.fitting(available, each) == count


def test_an_instance_costs_weights_gradients_and_moments(monkeypatch):
  adapted = {"w": jnp.zeros((10, 10)), "b": jnp.zeros(10)}
  assert chunk.nbytes(adapted) == 440
  assert chunk.free_bytes() > 1e6
  monkeypatch.setattr(chunk, "free_bytes", lambda: int(8 * (4 * 440 + 4) / chunk.SHARE) + 1)
  assert chunk.automatic(adapted, optax.adam(1e-3), True) == 8
  assert chunk.automatic(adapted, optax.sgd(1e-3), True, devices=2) == 32
  assert chunk.automatic(adapted, optax.adam(1e-3), False, devices=2) == 2 * chunk.ONE_BY_ONE
