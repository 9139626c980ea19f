"""Runs on targets: what a flag asks for is what is done, and what the report says of it."""

import functools

import jax
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import evaluate, experiment, four_rows, runs
from jaxpose.data import source
from jaxpose.runs import AdaptConfig
from tests import helpers

close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)


@functools.cache
def trained(seed: int = 0) -> experiment.Trained:
  config = helpers.config(model_options=dict(width=16, trunk_blocks=0, head_blocks=0))
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(seed), experiment.dummy_batch(17, 1))
  return experiment.Trained(config, codec, method, variables, 7, helpers.statistics())


@pytest.fixture
def target(monkeypatch):
  """The one target of every run is two small clips, which no folder holds."""
  clips = [helpers.clip(5, seed=i, sequence=f"walk {i}") for i in range(2)]
  data = trained().config.targets["target"]
  monkeypatch.setattr(runs, "load_target", lambda run, folder, name="", stride=1: ("target", data, list(clips)))
  monkeypatch.setattr(source, "facts", lambda dataset, folder: {})
  return clips


def test_noise_is_on_the_keypoints_and_in_the_fingerprint(target):
  exact, noisy = (runs.evaluate(trained(), "nowhere", noise_px=noise) for noise in (0.0, 50.0))
  assert abs(noisy["metrics"]["mpjpe_mm"] - exact["metrics"]["mpjpe_mm"]) > 1
  assert "50 px" in noisy["fingerprint"]["keypoints_source"]
  assert "px" not in exact["fingerprint"]["keypoints_source"]


@pytest.mark.parametrize("flip", [False, True])
def test_the_mirror_image_counts_where_it_is_asked_for(flip, target):
  run = trained()
  poses, _ = runs.predict(run, target, flip=flip)
  expected = evaluate.predict(run.method.graphs["lift"], run.variables, target, window=1, overlap=0, flip=flip)
  other = evaluate.predict(run.method.graphs["lift"], run.variables, target, window=1, overlap=0, flip=not flip)
  for a, b, c in zip(poses, expected, other, strict=True):
    close(a, b)
    assert np.abs(a - c).max() > 1e-3


def test_the_four_rows_are_of_the_runs_that_their_names_say():
  baseline, joint = trained(0), trained(1)
  table = four_rows.rows(baseline, joint)
  assert [table[name].trained is joint for name in ("Baseline", "Joint", "Vanilla", "Online")] == [
    False,
    True,
    True,
    True,
  ]
  assert [table[name].adapt.mode for name in ("Baseline", "Joint", "Vanilla", "Online")] == [
    "none", "none", "vanilla", "online",
  ]  # fmt: skip
  assert all(row.trained is baseline for name, row in table.items() if name.startswith("Baseline"))


def test_rows_are_scored_by_the_protocol_that_is_asked_for(target):
  table = {name: four_rows.Row(trained(seed), AdaptConfig(mode="none")) for name, seed in (("a", 0), ("b", 1))}
  for protocol in ("generic", "h36m"):
    _, _, reports = four_rows.run(table, "nowhere", "target", protocol=protocol)
    assert {r["fingerprint"]["protocol"] for r in reports.values()} == {protocol}
