"""Exported folders: what they give without this library, how large they are, and that damage is noticed."""

import functools
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from jaxpose import codec as codecs
from jaxpose import evaluate, experiment, pose_lifter, runs, safetensors_file
from jaxpose.config import DataConfig
from jaxpose.graphs import bundle, load
from jaxpose.graphs import graph as graphs
from jaxpose.models import lifter as lifters
from tests import helpers

HERE = pathlib.Path(__file__).parent


@functools.cache
def small(model="mlp", window=1, **sizes):
  """A run of a random model of single frames or of clips."""
  options = dict(width=16, trunk_blocks=1, head_blocks=0) if model == "mlp" else dict(sizes)
  config = helpers.config(model=model, window=window, model_options={**options, **sizes})
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, window))
  rng = np.random.default_rng(1)
  variables = jax.tree.map(lambda x: x + rng.normal(0, 0.1, x.shape).astype(np.float32), variables)
  return experiment.Trained(config, codec, method, variables, 7, helpers.statistics())


DSTFORMER = dict(dim_feat=16, dim_rep=16, depth=2, num_heads=2, mlp_ratio=1, maxlen=27)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A small lifter, exported."""
  path = tmp_path_factory.mktemp("exported") / "small.jaxpose"
  bundle.write(path, small(), bundle.recipe())
  return path


def rows(count, frames):
  return graphs.arrays_of(evaluate.cut([helpers.clip(count * frames)], frames).batch)


def bare(folder, tmp_path, batches):
  """The outputs for each batch, by a process that can import jax, numpy and flatbuffers alone."""
  for i, arrays in enumerate(batches):
    np.savez(tmp_path / f"in_{i}.npz", **arrays)
  command = [sys.executable, "-P", str(HERE / "bare.py"), str(folder), str(tmp_path)]
  environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
  process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
  assert process.returncode == 0, process.stderr
  assert not {"jaxpose", "flax", "optax", "orbax", "safetensors"} & set(process.stdout.split())
  return [dict(np.load(tmp_path / f"out_{i}.npz")) for i in range(len(batches))]


def agree(folder, tmp_path, graph, variables, batches):
  for arrays, outputs in zip(batches, bare(folder, tmp_path, batches)):
    expected = graphs.call(graph, variables, **arrays)
    assert set(outputs) == set(expected) and outputs["positions"].dtype == np.float32
    assert np.abs(outputs["positions"] - np.asarray(expected["positions"])).max() < 1e-5  # 0.01 mm


def test_a_lifter_runs_without_this_library(folder, tmp_path):
  graph = bundle.build(small(), bundle.recipe())
  batches = [rows(1, 1), rows(5, 9), rows(64, 1)]
  agree(folder, tmp_path, graph, small().variables, batches)


def test_a_lifter_of_clips_of_any_length_runs_without_this_library(tmp_path):
  trained = small("dstformer", 9, **DSTFORMER)
  size = bundle.write(tmp_path / "clips.jaxpose", trained, bundle.recipe())
  assert size < 200_000
  masked = {**rows(2, 9), "present": np.arange(9)[None] < np.array([[9], [5]])}
  graph = bundle.build(trained, bundle.recipe())
  agree(tmp_path / "clips.jaxpose", tmp_path, graph, trained.variables, [rows(1, 1), rows(3, 27), masked])
  with pytest.raises(ValueError, match="axis 'frames' has size 28, and at most 27 go in"):
    load.load(tmp_path / "clips.jaxpose")(**rows(1, 28))


def test_adaptation_by_gauss_newton_runs_without_this_library(tmp_path):
  trained = pose_lifter.load("cmu_frame").trained
  size = bundle.write(tmp_path / "a.jaxpose", trained, bundle.recipe("adapted"))
  assert size < 200_000
  graph = bundle.build(trained, bundle.recipe("adapted"))
  walk = bundle.example(graph, 64)
  batches = [{name: x[:count] for name, x in walk.items()} for count in (1, 5, 64)]
  agree(tmp_path / "a.jaxpose", tmp_path, graph, trained.variables, batches)


def test_first_order_adaptation_is_exported_with_its_seeds(tmp_path):
  config = helpers.config(
    method="iso", method_options=dict(discriminator_options=dict(width=16, blocks=0)),
    model_options=dict(width=16, trunk_blocks=0, head_blocks=0),
  )  # fmt: skip
  codec = codecs.build("root_rms", helpers.clip().skeleton)
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, 1))
  trained = experiment.Trained(config, codec, method, variables, 7, helpers.statistics())
  setting = bundle.AdaptConfig(num_steps=2, learning_rate=1e-3, copies=2)
  bundle.write(tmp_path / "b.jaxpose", trained, bundle.recipe("adapted", adapt=setting))
  run = load.load(tmp_path / "b.jaxpose")
  arrays = {**rows(3, 1), "seed": graphs.seeds(3)}
  graph = bundle.build(trained, bundle.recipe("adapted", adapt=setting))
  expected = graphs.call(graph, variables, **arrays)["positions"]
  np.testing.assert_allclose(run(**arrays)["positions"], expected, atol=1e-5)
  other = run(**{**arrays, "seed": graphs.seeds(3, 1)})["positions"]
  assert np.abs(other - expected).max() > 1e-6
  with pytest.raises(ValueError, match="'seed' is missing"):
    run(**rows(3, 1))


@pytest.mark.parametrize(("model", "window"), [("mlp", 1), ("dstformer", 9)])
def test_a_bundle_is_scored_as_its_run_is(model, window, tmp_path):
  """The same metrics to 0.01 mm, under an equal fingerprint, for clips longer and shorter than a window."""
  trained = small(model, window, **(DSTFORMER if model == "dstformer" else {}))
  bundle.write(tmp_path / "x.jaxpose", trained, bundle.recipe())
  clips = [helpers.clip(20), helpers.clip(5, seed=1, sequence="sit")]
  data = DataConfig(dataset="d", splits=("s",))
  expected = runs.predict(trained, clips)[0]
  reports = [
    runs.score(trained, "target", data, clips, poses)
    for poses in (expected, bundle.predict(tmp_path / "x.jaxpose", clips, window=window))
  ]
  assert reports[0]["fingerprint"] == reports[1]["fingerprint"]
  measured, exported = (report["metrics"] for report in reports)
  in_mm = [name for name in measured if name.endswith("_mm")]
  assert len(in_mm) >= 2 and all(abs(measured[n] - exported[n]) < 0.01 for n in in_mm)


GOLDEN = sorted((HERE.parent / "golden").glob("*.jaxpose"))


@pytest.mark.parametrize("stored", GOLDEN, ids=lambda path: path.stem)
def test_folders_of_past_releases_of_jax_run_or_are_made_anew(stored, tmp_path):
  """A release that this JAX no longer reads is refused with the command, which gives what was stored."""
  copy = tmp_path / stored.name
  shutil.copytree(stored, copy)
  try:
    run = load.load(copy)
  except ValueError as error:
    assert f"launch.export --refresh --output={copy}" in str(error)
    bundle.refresh(copy)
    run = load.load(copy)
  example = np.load(stored / "example.npz")
  given = {n.removeprefix("inputs/"): example[n] for n in example.files if n.startswith("inputs/")}
  assert np.abs(run(**given)["positions"] - example["outputs/positions"]).max() < 2e-5  # 0.02 mm


@pytest.mark.parametrize("stored", GOLDEN, ids=lambda path: path.stem)
def test_refreshing_gives_the_stored_example(stored, tmp_path):
  copy = tmp_path / stored.name
  shutil.copytree(stored, copy)
  bundle.refresh(copy)
  before, after = (np.load(folder / "example.npz")["outputs/positions"] for folder in (stored, copy))
  assert np.abs(before - after).max() < 1e-5  # 0.01 mm


def test_a_program_does_not_grow_with_the_network():
  sizes = []
  for width in (16, 1024):
    trained = small(width=width, trunk_blocks=3, head_blocks=1)
    graph = bundle.build(trained, bundle.recipe())
    sizes.append(len(bundle.program(graph, lifters.parts(trained.variables, *graph.parts))))
  assert max(sizes) < 1.02 * min(sizes) and max(sizes) < 200_000


def test_the_signature_says_what_goes_in_and_out(folder):
  run = load.load(folder)
  signature = run.signature
  assert signature["joints"]["names"] == list(helpers.clip().skeleton.names)
  ports = {p["name"]: p for p in signature["inputs"]}
  assert ports["keypoints_2d"]["unit"] == "px" and ports["keypoints_2d"]["axes"] == ["batch", "frames", "joints", 2]
  assert signature["outputs"][0]["unit"] == "m"
  stored = np.load(folder / "example.npz")
  given = {n.removeprefix("inputs/"): stored[n] for n in stored.files if n.startswith("inputs/")}
  error = np.abs(run(**given)["positions"] - stored["outputs/positions"]).max()
  assert error < signature["tolerance_m"]
  for changed, message in (
    ({"keypoints_2d": given["keypoints_2d"][..., :5, :]}, "axis 'joints'"),
    ({"focal": given["focal"][:1]}, "'focal': axis 'batch'"),
    ({"focal": given["focal"].astype(np.float64)}, "dtype float64"),
    ({"fokal": given["focal"]}, "no input 'fokal'"),
  ):
    with pytest.raises(ValueError, match=message):
      run(**{**given, **changed})


def rewritten(folder, **changes):
  """Changes a signature, as someone does who knows how it is checked."""
  path = folder / load.SIGNATURE
  signature = {**json.loads(path.read_text()), **changes}
  signature["digest"] = load.digest(signature)
  path.write_text(json.dumps(signature))


def rehashed(folder, name, content):
  (folder / name).write_bytes(content)
  hashes = json.loads((folder / load.SIGNATURE).read_text())["sha256"]
  rewritten(folder, sha256={**hashes, name: bundle._digest(folder / name)})


FILES = ("signature.json", "graph.bin", "weights.safetensors", "example.npz", "recipe.json")


def flip_a_byte(folder, name, seed):
  content = bytearray((folder / name).read_bytes())
  rng = random.Random(seed)
  place = rng.randrange(len(content))
  content[place] ^= 1 << rng.randrange(8)
  (folder / name).write_bytes(content)


def truncate(folder, name, share):
  content = (folder / name).read_bytes()
  (folder / name).write_bytes(content[: int(len(content) * share)])


def calls_out(folder):
  """A program of the right shapes that calls a custom call nobody knows."""

  def odd(weights, arrays):
    wild = jax.ffi.ffi_call("wild_call", jax.ShapeDtypeStruct((), jnp.float32))()
    return {"positions": arrays["keypoints_2d"].sum() + wild + sum(w.sum() for w in weights.values())}

  written = export.deserialize(bytearray(bundle.zlib.decompress((folder / "graph.bin").read_bytes())))
  (weights, arrays), _ = jax.tree_util.tree_unflatten(written.in_tree, written.in_avals)
  free = [export.DisabledSafetyCheck.custom_call("wild_call")]
  made = export.export(jax.jit(odd), platforms=["cpu"], disabled_checks=free)(weights, arrays)
  rehashed(folder, "graph.bin", bundle.zlib.compress(bytes(made.serialize())))


def weights(folder, change):
  tensors = safetensors_file.read(folder / "weights.safetensors")
  safetensors_file.write(folder / "weights.safetensors", change(tensors))
  rehashed(folder, "weights.safetensors", (folder / "weights.safetensors").read_bytes())


def ports(folder, which, **changes):
  signature = json.loads((folder / load.SIGNATURE).read_text())
  first, *rest = signature[which]
  rewritten(folder, **{which: [{**first, **changes}, *rest]})


KERNEL = "params/trunk/stem/kernel"
DAMAGE = [
  *[(functools.partial(flip_a_byte, name=name, seed=s), ".") for name in FILES for s in range(4)],
  *[(functools.partial(truncate, name=name, share=share), ".") for name in FILES for share in (0, 0.5, 0.99)],
  *[(lambda f, n=name: (f / n).unlink(), "cannot be read") for name in FILES],
  (calls_out, "calls wild_call, and may call shape_assertion"),
  (lambda f: rehashed(f, "graph.bin", b"no program"), "cannot be read by JAX"),
  (lambda f: rehashed(f, "graph.bin", bundle.zlib.compress(bytes(1000))), "launch.export --refresh"),
  (lambda f: rehashed(f, "weights.safetensors", b"no tensors"), "no readable safetensors"),
  (lambda f: weights(f, lambda w: {**w, KERNEL: w[KERNEL].T}), "'params/trunk/stem/kernel' is .*the program takes"),
  (lambda f: weights(f, lambda w: {n: x for n, x in w.items() if n != KERNEL}), "is None, and the program takes"),
  (lambda f: weights(f, lambda w: {**w, "more": w[KERNEL]}), "'more' is .*takes None"),
  (lambda f: weights(f, lambda w: {n: x.astype(np.int32) for n, x in w.items()}), "int32"),
  (lambda f: ports(f, "inputs", name="keypoints"), "describes other inputs or outputs"),
  (lambda f: ports(f, "inputs", axes=["batch", "frames", "joints", 3]), "describes other inputs or outputs"),
  (lambda f: ports(f, "inputs", dtype="float64"), "describes other inputs or outputs"),
  (lambda f: ports(f, "outputs", name="poses"), "describes other inputs or outputs"),
  (lambda f: rewritten(f, inputs=[1, 2]), "describes no port"),
  (lambda f: rewritten(f, sizes={"joints": 16}), "describes other inputs or outputs"),
  (lambda f: rewritten(f, sizes=3), "lacks 'sizes'"),
  (lambda f: rewritten(f, format=9), "has format 9, expected 1"),
  (lambda f: rewritten(f, sha256={}), "names no hash of graph.bin"),
  (lambda f: rewritten(f, sha256={"graph.bin": "", "weights.safetensors": "", "../x": ""}), "outside of its folder"),
  (lambda f: (f / "signature.json").write_text("[]"), "has format 'list'"),
  (shutil.rmtree, "signature.json cannot be read"),
]  # fmt: skip


def test_damaged_folders_are_refused_before_anything_runs(folder, tmp_path, monkeypatch):
  assert len(DAMAGE) >= 50
  copies = [tmp_path / str(i) for i in range(len(DAMAGE))]
  for copy, (damage, _) in zip(copies, DAMAGE):
    shutil.copytree(folder, copy)
    damage(copy)
  monkeypatch.setattr(jax, "jit", lambda *_: pytest.fail("something was about to run"))
  for copy, (_, message) in zip(copies, DAMAGE):
    with pytest.raises(ValueError, match=message) as error:
      load.load(copy)
    assert str(copy) in str(error.value) and "\n" not in str(error.value), str(error.value)


def test_a_program_is_made_anew_from_recipe_and_weights(folder, tmp_path):
  copy = tmp_path / "copy.jaxpose"
  shutil.copytree(folder, copy)
  rehashed(copy, "graph.bin", b"an old program")
  before = np.load(copy / "example.npz")
  bundle.refresh(copy)
  after = np.load(copy / "example.npz")
  assert before.files == after.files
  for name in before.files:
    np.testing.assert_allclose(before[name], after[name], atol=1e-5)
  for name in ("inputs", "outputs", "joints", "codec"):
    assert load.load(copy).signature[name] == load.load(folder).signature[name]
  assert sorted(p.name for p in copy.iterdir()) == sorted([*FILES, "load.py"]) and len(list(tmp_path.iterdir())) == 1
  (copy / "recipe.json").write_text("{}")
  with pytest.raises(ValueError, match="recipe.json is no recipe of a graph"):
    bundle.refresh(copy)


def test_nothing_is_written_over_what_is_no_exported_graph(tmp_path):
  (tmp_path / "precious.txt").write_text("x")
  with pytest.raises(FileExistsError, match="is no exported graph"):
    bundle.write(tmp_path, small(), bundle.recipe())
  with pytest.raises(ValueError, match="method 'supervised' has no graph 'hypotheses'; it has lift, adapted, stream"):
    bundle.write(tmp_path / "x", small(), bundle.recipe("hypotheses"))
  assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]
