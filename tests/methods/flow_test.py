"""The flow: what its two graphs have in common, and that it learns, is scored and exported."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import evaluate, experiment, models, runs
from jaxpose.config import DataConfig
from jaxpose.graphs import bundle, load
from jaxpose.graphs import graph as graphs
from jaxpose.methods import flow
from jaxpose.methods.method import encode
from jaxpose.train import loop
from tests import helpers
from tests.methods.methods_test import batch

KEY = jax.random.key(0)
CODEC = codecs.build("root_rms", helpers.clip().skeleton)
HELD_OUT = [helpers.clip(6, seed=2, sequence="sit")]


def small(**options):
  return flow.create(models.build("mlp", width=16, trunk_blocks=0, head_blocks=0), CODEC, count=5, **options)


@functools.cache
def started():
  method = small()
  return method, jax.jit(method.init)(KEY, batch())


def test_training_has_no_solver_and_inference_no_truth():
  """The one loop in the program of the loss is that of the codec, which undistorts; no port takes 3D joints."""
  method, variables = started()
  arrays = graphs.arrays_of({**evaluate.cut(HELD_OUT).batch, "seed": graphs.seeds(6)})
  loops = lambda function, *args: str(jax.make_jaxpr(function)(*args)).count("scan[")  # noqa: E731
  assert loops(method.loss, variables, batch(), KEY) == loops(functools.partial(encode, CODEC), batch()) > 0
  assert loops(method.graphs["hypotheses"].run, variables, arrays) > loops(functools.partial(encode, CODEC), batch())
  assert not {"joints_3d", "root"} & {p.name for p in method.graphs["lift"].inputs}


def test_the_loss_is_the_squared_distance_to_the_straight_way():
  """With a field of zeros it is the mean of |x_1 - x_0|^2: 3 + |target / std|^2 of each joint but the root."""
  method, variables = started()
  nothing = jax.tree.map(jnp.zeros_like, variables)
  data = batch()
  losses = jax.vmap(lambda k: method.loss(nothing, data, k)[0])(jax.random.split(KEY, 400))
  target = (data["joints_3d"] - data["joints_3d"][:, :, :1])[:, :, 1:] / 0.25
  expected = (16 * 3 + (np.asarray(target) ** 2).sum(-1).mean((0, 1)).sum()) / 17
  np.testing.assert_allclose(losses.mean(), expected, rtol=0.01)
  spoiled = {**data, "valid": data["valid"].at[1, 2].set(False)}
  dirty = {**spoiled, "joints_3d": data["joints_3d"].at[1, 2].set(jnp.nan)}
  assert method.loss(variables, spoiled, KEY)[0] == method.loss(variables, dirty, KEY)[0]


def test_hypotheses_depend_on_their_own_seed_and_no_other_row():
  method, variables = started()
  arrays = graphs.arrays_of({**evaluate.cut(HELD_OUT).batch, "seed": graphs.seeds(6)})
  poses = np.asarray(graphs.call(method.graphs["hypotheses"], variables, **arrays)["hypotheses"])
  assert poses.shape == (6, 5, 1, 17, 3) and not poses[..., 0, :].any()
  assert np.abs(poses[:, 0] - poses[:, 1]).max() > 1e-3
  part = {name: x[2:4] for name, x in arrays.items()}
  again = np.asarray(graphs.call(method.graphs["hypotheses"], variables, **part)["hypotheses"])
  np.testing.assert_allclose(again, poses[2:4], atol=1e-5)
  one = np.asarray(graphs.call(method.graphs["lift"], variables, **arrays)["positions"])
  np.testing.assert_allclose(one, poses.mean(1), atol=1e-5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  folder = str(tmp_path_factory.mktemp("flow"))
  config = helpers.config(
    method="flow", method_options=dict(count=8, steps=2), num_steps=600, eval_every=600, log_every=100, batch_size=32,
    model_options=dict(width=64, trunk_blocks=0, head_blocks=0),
  )  # fmt: skip
  loop.train(config, folder, [helpers.clip(200)], HELD_OUT, devices=jax.devices()[:1])
  return experiment.load(folder)


def test_it_learns_to_lift(trained):
  truth = HELD_OUT[0].joints_3d - HELD_OUT[0].joints_3d[:, :1]
  (pose,) = runs.predict(trained, HELD_OUT, show_progress=False)[0]
  fresh = jax.jit(trained.method.init)(KEY, experiment.dummy_batch(17, 1))
  (before,) = evaluate.predict(trained.method.graphs["lift"], fresh, HELD_OUT)
  error = lambda x: np.linalg.norm(x - truth, axis=-1).mean()  # noqa: E731
  assert error(pose) < 0.5 * error(before)


def test_it_is_scored_by_protocol_many(trained, monkeypatch):
  data = DataConfig(dataset="d", splits=("s",))
  monkeypatch.setattr(runs, "load_target", lambda *_: ("target", data, HELD_OUT))
  monkeypatch.setattr(runs.source, "facts", lambda *_: {})
  report = runs.evaluate(trained, "", protocol="many", show_progress=False)
  assert report["many"]["hypotheses"] == 8 and report["fingerprint"]["oracles"] == ["hypothesis"]
  assert report["many"]["best_of_5_mm"] < report["many"]["best_of_1_mm"]
  json.dumps(report, allow_nan=False)
  with pytest.raises(ValueError, match="of which method 'flow' gives none, or adapted none"):
    runs.evaluate(trained, "", protocol="many", adapt=runs.AdaptConfig())
  with pytest.raises(ValueError, match="method 'flow' is more than one pass of a network"):
    runs.predict(trained, HELD_OUT, adapt=runs.RECOMMENDED["vanilla"], show_progress=False)


def test_its_hypotheses_run_from_an_exported_folder(trained, tmp_path):
  bundle.write(tmp_path / "h.jaxpose", trained, bundle.recipe("hypotheses"))
  arrays = graphs.arrays_of({**evaluate.cut(HELD_OUT, 3).batch, "seed": graphs.seeds(2)})
  expected = graphs.call(trained.method.graphs["hypotheses"], trained.variables, **arrays)["hypotheses"]
  np.testing.assert_allclose(load.load(tmp_path / "h.jaxpose")(**arrays)["hypotheses"], expected, atol=1e-5)


def test_what_a_flow_cannot_be_is_named():
  for options, message in (
    (dict(solver="rk4"), "solver='rk4', expected one of euler, midpoint, heun"),
    (dict(rule="rpea_oracle_root"), "is told the truth"),
    (dict(std=0.0), "std=0.0 must be positive"),
  ):
    with pytest.raises(ValueError, match=message):
      small(**options)
