"""Ports that refuse what does not fit, and graphs that give what the functions they are made of give."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxpose import codec as codecs
from jaxpose import evaluate, experiment, pose_lifter, runs
from jaxpose.data import jitter, transforms
from jaxpose.graphs import bundle
from jaxpose.graphs import graph as graphs
from jaxpose.graphs.lift import flipped, lift
from jaxpose.graphs.load import Port, checked
from tests import helpers

SKELETON = helpers.clip().skeleton


def random_lifter(name="root_rms", **options):
  """A run of a random MLP."""
  config = helpers.config(model_options=dict(width=16, trunk_blocks=0, head_blocks=0), **options)
  codec = codecs.build(name, SKELETON, clips=[helpers.clip()])
  method = experiment.build_method(config, codec)
  variables = jax.jit(method.init)(jax.random.key(0), experiment.dummy_batch(17, 1))
  return experiment.Trained(config, codec, method, variables, 7, helpers.statistics())


@functools.cache
def inputs(rows=2, frames=3):
  batch = evaluate.cut([helpers.clip(rows * frames)], frames).batch
  return graphs.arrays_of(batch)


PORTS = (*graphs.SEEN, graphs.PRESENT, graphs.SEED)


def proper():
  return {**inputs(), "seed": graphs.seeds(2), "present": np.ones((2, 3), bool)}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PORTS), st.data())
def test_every_input_that_does_not_fit_is_named_with_its_axis(port, data):
  arrays = proper()
  array = arrays[port.name]
  damage = data.draw(st.sampled_from(["rank", "dtype", "name", "size", "empty", "missing"]))
  place = data.draw(st.integers(0, array.ndim - 1))
  expected = f"input '{port.name}'"
  if damage == "rank":
    arrays[port.name] = array[None] if data.draw(st.booleans()) else array[0]
    expected += " has shape"
  elif damage == "dtype":
    arrays[port.name] = array.astype("float64" if port.dtype == "float32" else "float32")
    expected += f" has dtype {arrays[port.name].dtype}, expected {port.dtype}"
  elif damage == "name":
    arrays[f"{port.name}s"] = arrays.pop(port.name)
    expected = f"no input '{port.name}s'"
  elif damage == "missing":
    del arrays[port.name]
    if port.optional:
      filled = checked(PORTS, arrays, {"joints": 17})[port.name]
      assert filled.shape == array.shape and filled.dtype == array.dtype and (filled == port.default).all()
      return
    expected += " is missing"
  else:
    count = 0 if damage == "empty" else array.shape[place] + 1
    arrays[port.name] = np.ones([count if i == place else n for i, n in enumerate(array.shape)], array.dtype)
    # A named axis takes the size of the first array that has it: another array may be the one that disagrees.
    expected = "axis 'batch'" if port.axes[place] == "batch" else "axis"
  with pytest.raises(ValueError, match=expected):
    checked(PORTS, arrays, {"joints": 17})


def test_numbers_that_are_not_finite_are_refused_with_their_place():
  arrays = proper()
  arrays["keypoints_2d"] = arrays["keypoints_2d"].copy()
  arrays["keypoints_2d"][1, 2, 3, 0] = np.nan
  with pytest.raises(ValueError, match=r"'keypoints_2d' holds NaN or infinity at \(1, 2, 3, 0\)"):
    checked(PORTS, arrays, {"joints": 17})


@pytest.mark.parametrize("name", codecs.CODECS)
def test_a_graph_is_encode_infer_decode_and_its_flip_the_mean_of_both_views(name):
  codec = codecs.build(name, SKELETON, clips=[helpers.clip()])
  infer = lambda variables, x, key, mask=None: jnp.tanh(x[..., :2] @ variables["w"])  # noqa: E731
  variables = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)), jnp.float32)}
  graph, batch = lift(codec, infer), evaluate.cut([helpers.clip(6)], 3).batch

  def view(batch):
    seen = batch["keypoints_2d"], batch["camera"], batch["confidence"]
    outputs = np.array(infer(variables, codec.encode(*seen), None))
    outputs[..., 0, :] = 0
    return np.asarray(codec.decode(outputs, *seen))

  one = np.asarray(graphs.call(graph, variables, **graphs.arrays_of(batch))["positions"])
  np.testing.assert_allclose(one, view(batch), rtol=1e-4, atol=1e-5)
  both = np.asarray(graphs.call(flipped(graph), variables, **graphs.arrays_of(batch))["positions"])
  other = transforms.flip_pose(view(transforms.flip(batch, SKELETON)), SKELETON)
  np.testing.assert_allclose(both, (view(batch) + np.asarray(other)) / 2, rtol=1e-4, atol=1e-5)


def test_what_is_not_given_has_its_default():
  graph, variables = random_lifter().method.graphs["lift"], random_lifter().variables
  needed = {n: x for n, x in inputs().items() if n in ("keypoints_2d", "focal", "center", "size")}
  plain = graphs.call(graph, variables, **needed)["positions"]
  filled = graphs.call(graph, variables, **checked(graph.inputs, needed, graph.sizes))["positions"]
  np.testing.assert_allclose(plain, filled, atol=1e-5)  # defaults are folded into the program


def test_a_rows_seed_depends_on_no_other_row():
  np.testing.assert_array_equal(graphs.seeds(5)[:2], graphs.seeds(2))
  assert len({tuple(s) for s in graphs.seeds(100).tolist()}) == 100
  assert (graphs.seeds(3, 1) != graphs.seeds(3, 0)).any()


def adapting(graph, clips):
  """(graph, run, inputs of the frames of clips) of the shipped lifter: solves of a random one are ill-posed."""
  trained = pose_lifter.load("cmu_frame").trained
  noise = np.concatenate([jitter.noise(clip) for clip in clips])[:, None]
  arrays = {**graphs.arrays_of(evaluate.cut(clips, 1).batch), "noise": noise}
  return bundle.build(trained, bundle.recipe(graph)), trained, arrays


def test_the_adapting_graph_is_adaptation():
  clips = [helpers.clip(5)]
  graph, trained, arrays = adapting("adapted", clips)
  expected = runs.predict(trained, clips, adapt=runs.RECOMMENDED["vanilla"], show_progress=False)[0][0]
  positions = np.asarray(graphs.call(graph, trained.variables, **arrays)["positions"])[:, 0]
  assert np.abs(positions - expected).max() < 1e-5  # a hundredth of a millimetre
  plain = evaluate.predict(trained.method.graphs["lift"], trained.variables, clips)[0]
  assert np.abs(positions - plain).max() > 1e-3


def test_a_stream_of_calls_is_a_stream_that_is_adapted_online():
  clips = [helpers.clip(3), helpers.clip(3, seed=1, sequence="run")]
  graph, trained, arrays = adapting("stream", clips)
  setting = runs.AdaptConfig(mode="online", optimizer="gauss_newton", stream="clip")
  expected = np.stack(runs.predict(trained, clips, adapt=setting, show_progress=False)[0])
  state, positions = {}, []
  for frame in range(3):
    rows = np.array([frame, 3 + frame])
    now = {name: x[rows] for name, x in arrays.items()}
    begin = dict(begin=np.full(2, frame == 0), interval=np.full(2, 1 / 30, np.float32))
    outputs = graphs.call(graph, trained.variables, **now, **begin, **state)
    positions.append(np.asarray(outputs["positions"])[:, 0])
    state = {"state": outputs["state"]}
  assert np.abs(np.stack(positions, 1) - expected).max() < 1e-5


def test_a_fixed_window_is_asked_for():
  graph = bundle.build(random_lifter(), bundle.recipe("adapted"))
  with pytest.raises(ValueError, match="'keypoints_2d': axis 'frames' \\(axis 1\\) has size 3, expected 1"):
    graphs.check(graph, inputs())


def test_ports_have_names_of_their_own():
  for name in ("lift", "adapted", "stream"):
    graph = bundle.build(random_lifter(), bundle.recipe(name))
    assert len({p.name for p in graph.inputs}) == len(graph.inputs)
    assert all(isinstance(p, Port) and p.meaning for p in (*graph.inputs, *graph.outputs))
