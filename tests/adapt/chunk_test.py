"""The chunk that fits."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.adapt import chunk
from jaxpose.adapt.adapter import Adapter


@pytest.mark.parametrize(
  ("available", "each", "count"), [(100, 30, 2), (100, 15, 4), (100, 61, 1), (0, 5, 1), (10**12, 1, 1024)]
)
def test_the_largest_power_of_two_that_fits(available, each, count):
  assert chunk.fitting(available, each) == count


def test_an_instance_costs_what_its_program_needs(monkeypatch):
  """Its matrix of 1000 numbers is written once for the state and again, twice as long, for the outputs."""

  def adapt(variables, state, instance, key):
    return jnp.cumsum(instance["inputs"] * variables["w"])

  def predict(variables, state, instances, key):
    return {"inputs": jnp.concatenate([state, jnp.sin(state)])[None]}

  adapter = Adapter(lambda variables, known: (), adapt, predict)
  instance = {"inputs": np.ones(1000, np.float32)}
  assert chunk.free_bytes() > 1e6
  counts = []
  for free in (3e4, 6e4, 1.2e5):
    monkeypatch.setattr(chunk, "free_bytes", lambda free=free: int(free / chunk.SHARE))
    counts.append(chunk.automatic(adapter, {"w": jnp.float32(2.0)}, instance))
  assert counts[0] in (1, 2) and counts[1] == 2 * counts[0] and counts[2] == 4 * counts[0]
