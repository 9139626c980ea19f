"""Streams through Orbax: back as they were, and refused where they do not belong."""

import jax
import numpy as np
import pytest

from jaxpose import checkpoint
from jaxpose.adapt import saved
from jaxpose.adapt.first_order import State

SETTINGS = {"mode": "online", "num_steps": 1, "objective": "reprojection", "weights": "a" * 64}


def state(seed=0, seen=5, width=3):
  rng = np.random.default_rng(seed)
  weights = {"trunk": {"kernel": np.float32(rng.normal(size=(2, width))), "bias": np.zeros(width, np.float32)}}
  return State(weights, (np.int32(7), {"mu": weights}, ())), seen


def test_streams_come_back_to_the_bit_and_are_replaced(tmp_path):
  folder = str(tmp_path / "s")
  assert saved.load(folder, state(), SETTINGS) == ({}, {})
  for seen in (5, 9):
    states = {"S1/walk/0": state(1, seen), "S1/walk/1": state(2, seen)}
    saved.save(folder, states, SETTINGS)
    found, _ = saved.load(folder, state(), SETTINGS)
    assert list(found) == list(states) and jax.tree.structure(found) == jax.tree.structure(states)
    jax.tree.map(np.testing.assert_array_equal, found, states)


def test_another_run_is_refused_in_one_line(tmp_path):
  folder = str(tmp_path)
  saved.save(folder, {"walk": state()}, SETTINGS)
  other = {**SETTINGS, "objective": "cycle", "weights": "b" * 64}
  with pytest.raises(ValueError, match="objective: saved 'reprojection', now 'cycle'; weights: saved 'aaa.*, now 'bbb"):
    saved.load(folder, state(), other)
  with pytest.raises(
    ValueError, match=r"do not fit: \['walk'\]\[0\].params\['trunk'\]\['bias'\] is \(3,\), this run has \(4,\)"
  ):
    saved.load(folder, state(width=4), SETTINGS)
  for path in (tmp_path / "state").rglob("*"):
    if path.is_file() and path.stat().st_size:
      path.write_bytes(b"x")
  with pytest.raises(ValueError, match="cannot be read") as caught:
    saved.load(folder, state(), SETTINGS)
  assert folder in str(caught.value)


def test_a_digest_tells_weights_apart():
  one, two = ({"params": state(seed)[0].params} for seed in (0, 1))
  assert checkpoint.digest(one) == checkpoint.digest(jax.tree.map(np.array, one)) != checkpoint.digest(two)
  assert checkpoint.digest({"a": one["params"]}) != checkpoint.digest({"b": one["params"]})


def test_two_streams_of_one_name_are_refused():
  assert saved.names(["a", "b"]) == ["a", "b"]
  with pytest.raises(ValueError, match="two streams are called 'a'"):
    saved.names(["a", "b", "a"])
