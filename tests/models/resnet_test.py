"""ResNets: torchvision's outputs from its weights, stages and strides, normalisations, and files that are none."""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import convert, safetensors_file, torch_file
from jaxpose.models import resnet

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
KINDS = ("resnet_basic", "resnet_bottleneck")


def _golden(kind):
  stored = np.load(GOLDEN / f"{kind}.npz")
  state = {n.removeprefix("weights/"): stored[n] for n in stored.files if n.startswith("weights/")}
  outputs = {n.removeprefix("out/"): stored[n] for n in stored.files if n.startswith("out/layer")}
  return state, np.moveaxis(stored["x"], 1, -1), {n: np.moveaxis(y, 1, -1) for n, y in outputs.items()}


def _difference(got, expected):
  return max(float(np.abs(got[n] - y).max() / np.abs(y).max()) for n, y in expected.items())


@pytest.mark.parametrize("kind", KINDS)
def test_torchvisions_weights_give_its_outputs(kind):
  state, x, expected = _golden(kind)
  model, variables = convert.load_resnet(state)
  got = jax.jit(model.apply)(variables, x)
  assert list(got) == list(resnet.STAGES)
  assert {n: y.shape for n, y in got.items()} == {n: y.shape for n, y in expected.items()}
  assert _difference(got, expected) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layer", ["max_pool", "Conv"])
def test_same_padding_is_another_network(kind, layer, monkeypatch):
  state, x, expected = _golden(kind)
  true = getattr(nn, layer)
  if layer == "max_pool":
    monkeypatch.setattr(nn, layer, lambda x, window, strides, padding: true(x, window, strides, "SAME"))
  else:
    monkeypatch.setattr(nn, layer, lambda *a, padding=0, **options: true(*a, padding="SAME", **options))
  model, variables = convert.load_resnet(state)
  assert _difference(model.apply(variables, x), expected) > 0.1


def test_files_give_what_tensors_give(tmp_path):
  state, x, expected = _golden("resnet_basic")
  safetensors_file.write(tmp_path / "a.safetensors", state)
  torch_file.write(str(tmp_path / "b.pth"), {"state_dict": {f"module.{k}": v for k, v in state.items()}})
  for name in ("a.safetensors", "b.pth"):
    model, variables = convert.load_resnet(tmp_path / name)
    assert _difference(model.apply(variables, x), expected) < 1e-4


def test_the_variables_are_those_of_the_model_and_stages_may_be_left_out():
  state, x, expected = _golden("resnet_bottleneck")
  for stop in resnet.STAGES:
    model, variables = convert.load_resnet(state, stop=stop)
    made = jax.eval_shape(model.init, jax.random.key(0), x)
    assert jax.tree.map(np.shape, variables) == jax.tree.map(lambda s: s.shape, dict(made))
  stopped, variables = convert.load_resnet({k: v for k, v in state.items() if "layer4" not in k})
  got = stopped.apply(variables, x)
  assert list(got) == ["layer1", "layer2", "layer3"]
  assert _difference(got, {n: expected[n] for n in got}) < 1e-4


def test_published_sizes():
  # torchvision's models without their classifiers, of which resnet50's has 2,049,000 parameters: 25,557,032 in all.
  counts = {18: 11_176_512, 34: 21_284_672, 50: 25_557_032 - 2_049_000}
  image = jnp.zeros((1, 256, 192, 3))
  for depth, count in counts.items():
    model = resnet.create(depth)
    params = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


@pytest.mark.parametrize(
  "options, shape",
  [
    (dict(stop="layer3"), (1, 16, 16, 1024)),
    (dict(strides=(1, 2, 2, 1)), (1, 16, 16, 2048)),
    (dict(), (1, 8, 8, 2048)),
    (dict(strides=(1, 2, 1, 1), stop="layer3"), (1, 32, 32, 1024)),
  ],
)
def test_strides_and_where_it_stops(options, shape):
  model = resnet.create(50, **options)
  image = jnp.zeros((1, 256, 256, 3))
  made = jax.eval_shape(lambda: model.apply(model.init(jax.random.key(0), image), image))
  assert list(made.values())[-1].shape == shape


def test_frozen_statistics_do_not_move_and_group_has_none():
  state, x, expected = _golden("resnet_basic")
  model, variables = convert.load_resnet(state, norm="frozen")
  got, changed = model.apply(variables, x, train=True, mutable=["batch_stats"])
  assert _difference(got, expected) < 1e-4  # in training, too
  jax.tree.map(np.testing.assert_array_equal, changed["batch_stats"], variables["batch_stats"])
  model, variables = convert.load_resnet(state)
  _, changed = model.apply(variables, x, train=True, mutable=["batch_stats"])
  moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), changed["batch_stats"], variables["batch_stats"])
  assert all(jax.tree.leaves(moved))
  group = resnet.create(18, norm="group", width=8)
  assert set(group.init(jax.random.key(0), x)) == {"params"}


def test_bfloat16_computes_so_and_keeps_parameters():
  _, x, _ = _golden("resnet_basic")
  model = resnet.create(18, width=8, dtype="bfloat16")
  outputs, variables = model.init_with_output(jax.random.key(0), x)
  assert outputs["layer4"].dtype == jnp.bfloat16
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
  "options, message",
  [
    (dict(depth=101), "depth=101; a ResNet's is one of 18, 34, 50"),
    (dict(stop="fc"), "stop='fc'"),
    (dict(norm="layer"), "norm='layer'; a ResNet's is one of batch, group, frozen"),
    (dict(strides=(1, 2, 2)), r"strides=\(1, 2, 2\); give 1 or 2 for each of layer1"),
    (dict(width=0), "width=0"),
    (dict(dtype="float16"), "dtype='float16'"),
  ],
)
def test_wrong_options(options, message):
  with pytest.raises(ValueError, match=message):
    resnet.create(**options)


def _broken():
  state, _, _ = _golden("resnet_bottleneck")
  name = "layer2.0.downsample.0.weight"
  yield {k: v for k, v in state.items() if k != name}, f"1 tensors are missing, first '{name}'"
  yield {**state, name: state[name][:-1]}, rf"'{name}' has shape \(63, 32, 1, 1\), expected \(64, 32, 1, 1\)"
  yield {**state, name: np.full_like(state[name], np.nan)}, f"'{name}' holds NaN or infinity"
  yield {**state, name: state[name].astype(np.int64)}, f"'{name}' holds int64"
  yield {**state, "layer2.0.se.weight": np.ones(3)}, "1 tensors are no ResNet's, first 'layer2.0.se.weight'"
  yield {**state, "layer2.999999999.conv1.weight": np.ones(3)}, r"block layer2\.2 is missing"
  yield {k: v for k, v in state.items() if "layer2" not in k}, r"block layer2\.0 is missing"
  yield {"head.weight": np.ones(3)}, "no weights of a ResNet"
  yield {}, "no weights of a ResNet"


@pytest.mark.parametrize("case", range(9))
def test_wrong_weights_are_named(case, tmp_path):
  state, message = list(_broken())[case]
  with pytest.raises(ValueError, match=message):
    convert.load_resnet(state)
  if state:
    safetensors_file.write(tmp_path / "weights.safetensors", state)
    with pytest.raises(ValueError, match=f"weights.safetensors: .*{message}"):
      convert.load_resnet(tmp_path / "weights.safetensors")


def test_wrong_arguments_of_a_conversion(tmp_path):
  state, _, _ = _golden("resnet_basic")
  with pytest.raises(ValueError, match="norm='group'; published weights are of batch normalisation"):
    convert.load_resnet(state, norm="group")
  with pytest.raises(ValueError, match="stop='layer5'"):
    convert.load_resnet(state, stop="layer5")
  with pytest.raises(FileNotFoundError):
    convert.load_resnet(tmp_path / "absent.pth")
