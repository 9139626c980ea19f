"""Weights of the public PyTorch networks give the outputs that those networks gave."""

import pathlib

import jax
import numpy as np
import pytest

from jaxpose import convert

GOLDEN = pathlib.Path(__file__).parent / "golden"


def _martinez():
  golden = np.load(GOLDEN / "martinez_mlp.npz")
  state = {n.removeprefix("param/"): golden[n] for n in golden.files if n.startswith("param/")}
  return state, golden["x"], golden["y"]


def test_martinez_gives_the_recorded_outputs():
  state, x, y = _martinez()
  lifter, variables = convert.load_martinez(state)
  inputs = x.reshape(5, 1, 16, 2)
  outputs = jax.jit(lifter.apply)(variables, inputs)
  np.testing.assert_allclose(outputs[:, 0], y, rtol=1e-4, atol=1e-4 * np.abs(y).max())
  assert not outputs[:, :, 0].any()


def test_martinez_variables_are_those_of_the_model():
  state, x, _ = _martinez()
  lifter, variables = convert.load_martinez(state)
  own = lifter.init(jax.random.key(0), x.reshape(5, 1, 16, 2))
  assert jax.tree.map(np.shape, own) == jax.tree.map(np.shape, variables)


def test_martinez_names_what_is_missing():
  state, _, _ = _martinez()
  del state["linear_stages.1.batch_norm2.running_var"]
  with pytest.raises(ValueError, match="linear_stages.1.batch_norm2.running_var"):
    convert.load_martinez(state)
  state["w2.weight"] = state["w2.weight"][:-1]
  with pytest.raises(ValueError, match="w2.weight"):
    convert.load_martinez(state)
