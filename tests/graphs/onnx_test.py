"""ONNX files against JAX: each graph on random and on real keypoints, by onnxruntime; and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import codec as codecs
from jaxpose import experiment, pose_lifter
from jaxpose.graphs import bundle, hypotheses
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.onnx import write as onnx_file
from tests import helpers
from tests.graphs.bundle_test import DSTFORMER, rows, small

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
TOLERANCE_M = 1e-4


def flow(model="mlp", window=1, **options):
  """A run of a random velocity, of five hypotheses."""
  sizes = dict(width=16, trunk_blocks=0, head_blocks=0) if model == "mlp" else DSTFORMER
  method_options = dict(count=5, **options)
  config = helpers.config(method="flow", model=model, window=window, model_options=sizes, method_options=method_options)
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, window))
  return experiment.Trained(config, codec, method, variables, 7, helpers.statistics())


def random_rows(graph, count, frames):
  """Keypoints anywhere in the image, a joint in ten missing, before a lens that distorts."""
  rng = np.random.default_rng(0)
  arrays = {n: np.asarray(x) for n, x in rows(count, frames).items()}
  shape = arrays["keypoints_2d"].shape
  arrays["keypoints_2d"] = rng.uniform(200, 800, shape).astype(np.float32)
  arrays["confidence"] = (rng.random(shape[:-1]) > 0.1).astype(np.float32)
  if graph.takes("present"):
    arrays["present"] = np.arange(frames)[None] < rng.integers(1, frames + 1, (count, 1))
  return arrays


def completed(graph, arrays):
  """All inputs of a graph, of those that are given."""
  shape = arrays["keypoints_2d"].shape
  if graph.takes("normal"):
    normal = np.random.default_rng(1).normal(size=(shape[0], graph.count, *shape[1:3], 3)).astype(np.float32)
    arrays = {**arrays, "normal": normal}
  known = {n: np.asarray(x) for n, x in arrays.items() if graph.takes(n)}
  return graphs.checked(graph.inputs, known, graph.sizes)


CASES = {
  "mlp": (small, "lift", True),
  "mlp, one view": (small, "lift", False),
  "shipped": (lambda: pose_lifter.load("cmu_frame").trained, "lift", True),
  "dstformer": (lambda: small("dstformer", 9, **DSTFORMER), "lift", True),
  "hypotheses": (flow, "hypotheses", True),
  "hypotheses, heun": (lambda: flow(solver="heun"), "hypotheses", True),
  "hypotheses, dstformer": (lambda: flow("dstformer", 9, solver="euler", steps=2), "hypotheses", True),
  **{f"flow, {rule}": (lambda rule=rule: flow(rule=rule), "lift", True) for rule in ("mean", "medoid", "rpea")},
}


@pytest.mark.parametrize("case", CASES)
def test_an_onnx_file_gives_what_jax_gives(case, tmp_path):
  make, name, flip = CASES[case]
  trained, chosen = make(), bundle.recipe(name, flip)
  size = onnx_file.write(tmp_path / "x.onnx", trained, chosen)
  assert size == (tmp_path / "x.onnx").stat().st_size
  session = onnxruntime.InferenceSession(tmp_path / "x.onnx", providers=["CPUExecutionProvider"])
  graph = onnx_file.build(trained, chosen)
  assert {i.name for i in session.get_inputs()} <= {p.name for p in graph.inputs}
  told = session.get_modelmeta().custom_metadata_map
  assert json.loads(told["joints"])["names"] == list(graph.codec.skeleton.names)
  walk = {n: x for n, x in bundle.example(bundle.build(trained, chosen)).items() if n != "seed"}
  for arrays in (walk, random_rows(graph, 5, 9)):
    given = completed(graph, arrays)
    expected = graphs.call(graph, trained.variables, **given)
    results = session.run(None, {i.name: given[i.name] for i in session.get_inputs()})
    kept = given.get("present", np.ones(given["keypoints_2d"].shape[:2], bool))
    for output, result in zip(session.get_outputs(), results, strict=True):
      wanted = np.asarray(expected[output.name])
      assert wanted.shape == result.shape and np.abs(wanted).max() > 1e-3
      seen = np.broadcast_to(kept[:, None] if "hypotheses" in output.name else kept, wanted.shape[:-2])
      assert np.abs(wanted - result)[seen].max() < TOLERANCE_M


def test_normal_numbers_in_place_of_a_seed_begin_the_same_flow():
  """With the numbers that the seeds give, the graph is the seeded one."""
  trained = flow()
  seeded, told = trained.method.graphs["hypotheses"], onnx_file.build(trained, bundle.recipe("hypotheses"))
  arrays, seeds = rows(2, 3), graphs.seeds(2)
  expected = graphs.call(seeded, trained.variables, **arrays, seed=seeds)["hypotheses"]
  drawn = hypotheses._noise(graphs.keys({"seed": seeds}), 5, (2, 3, 17, 3))
  given = {**arrays, "normal": np.moveaxis(np.asarray(drawn), 0, 1)}
  np.testing.assert_allclose(graphs.call(told, trained.variables, **given)["hypotheses"], expected, atol=1e-5)


@pytest.mark.parametrize("name", ["adapted", "stream"])
def test_adaptation_is_refused_in_one_line(name, tmp_path):
  with pytest.raises(ValueError, match=f"graph '{name}' solves for every person .* --graph=lift") as error:
    onnx_file.write(tmp_path / "x.onnx", small(), bundle.recipe(name))
  assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def computing(function):
  """A graph of `function` of the poses of another."""
  graph = bundle.build(small(), bundle.recipe(flip=False))
  run = lambda variables, arrays: {"positions": function(graph.run(variables, arrays)["positions"])}  # noqa: E731
  return dataclasses.replace(graph, run=run)


@pytest.mark.parametrize(
  ("function", "message"),
  [
    (lambda x: jnp.cumsum(x, 0), "the graph computes 'cumsum', which is not written as ONNX"),
    (lambda x: jax.lax.while_loop(lambda y: y.sum() < 9, lambda y: y + 1, x), "'while'"),
    (lambda x: jax.lax.map(lambda y: y + 1, x), "a loop of batch steps"),
    (lambda x: x.at[..., 0, 0].set(0), "a scatter of"),
    (lambda x: x**-2, "the power -2"),
  ],
)
def test_what_cannot_be_written_is_named(function, message):
  with pytest.raises(ValueError, match=message):
    onnx_file.model(onnx, computing(function), small().variables)
