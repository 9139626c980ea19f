"""MotionBERT's weights: the golden outputs, the way back, and files that are not quite what they should be."""

import functools
import json
import pathlib
import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose import convert_motionbert, torch_file

GOLDEN = pathlib.Path(__file__).parent / "golden"
PUBLISHED = str(GOLDEN / "motionbert_tiny.bin")
GOLD = dict(np.load(GOLDEN / "motionbert_tiny.npz"))
STATE = {k.removeprefix("param/"): v for k, v in GOLD.items() if k.startswith("param/")}


@functools.cache
def published():
  return convert_motionbert.load_motionbert(PUBLISHED)


def leaves(tree):
  return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def assert_same(a, b):
  a, b = leaves(a), leaves(b)
  assert a.keys() == b.keys()
  for name in a:
    np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def written(path, state) -> str:
  torch_file.write(str(path), state)
  return str(path)


def test_outputs_and_representation_are_the_published_ones():
  model, variables = published()
  both = jax.jit(lambda v, x: (model.apply(v, x), model.apply(v, x, method="represent")))
  for got, want in zip(both(variables, GOLD["x"]), (GOLD["y"], GOLD["rep"])):
    assert np.abs(got - want).max() < 1e-5 * np.abs(want).max()


def test_sizes_are_inferred():
  model, variables = published()
  sizes = convert_motionbert.infer_options(STATE)
  want = dict(num_joints=17, dim_in=3, dim_feat=32, dim_rep=64, depth=2, mlp_ratio=2.0, maxlen=27)
  assert sizes == want
  assert model.trunk.options.num_heads == 4
  fresh = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 27, 17, 3)))
  assert {k: v.shape for k, v in leaves(fresh).items()} == {k: v.shape for k, v in leaves(variables).items()}


@pytest.mark.parametrize("width, heads", [(512, 8), (256, 8), (64, 8), (32, 4), (8, 1), (4, 1)])
def test_heads_are_eight_but_never_narrower_than_eight_channels(width, heads):
  assert convert_motionbert.infer_heads(width) == heads


def test_heads_can_be_given():
  assert convert_motionbert.load_motionbert(PUBLISHED, num_heads=2)[0].trunk.options.num_heads == 2
  with pytest.raises(ValueError, match="dim_feat=32 is not divisible by num_heads=3"):
    convert_motionbert.load_motionbert(PUBLISHED, num_heads=3)
  with pytest.raises(ValueError, match="width 68; give num_heads"):
    convert_motionbert.infer_heads(68)


def test_every_form_of_file_gives_the_same(tmp_path):
  prefixed = {f"module.{k}": v for k, v in STATE.items()}
  forms = {
    "bare": STATE,
    "prefixed": prefixed,
    "wrapped": {"epoch": 1, "model_pos": STATE},
    "model": {"model": prefixed},
  }
  for name, form in forms.items():
    assert_same(convert_motionbert.load_motionbert(written(tmp_path / name, form))[1], published()[1])
  header, at = {}, 0
  for name, array in prefixed.items():
    header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [at, at + array.nbytes]}
    at += array.nbytes
  text = json.dumps(header).encode()
  data = struct.pack("<Q", len(text)) + text + b"".join(v.tobytes() for v in prefixed.values())
  (tmp_path / "x.safetensors").write_bytes(data)
  assert_same(convert_motionbert.load_motionbert(str(tmp_path / "x.safetensors"))[1], published()[1])


@pytest.mark.parametrize("head_depth", [0, 1, 2])
def test_the_way_back_is_exact(tmp_path, head_depth):
  model, variables = convert_motionbert.load_motionbert(PUBLISHED, head_depth=head_depth)
  fresh = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 27, 17, 3)))
  assert {k: v.shape for k, v in leaves(fresh).items()} == {k: v.shape for k, v in leaves(variables).items()}
  state = convert_motionbert.to_torch_state_dict(jax.tree.map(jnp.asarray, variables))
  assert state.keys() == STATE.keys()
  for name, array in STATE.items():
    np.testing.assert_array_equal(state[name], array, err_msg=name)
  convert_motionbert.save_motionbert(str(tmp_path / "x.bin"), variables)
  assert next(iter(torch_file.read(str(tmp_path / "x.bin"))["model_pos"])).startswith("module.")
  assert_same(convert_motionbert.load_motionbert(str(tmp_path / "x.bin"), head_depth=head_depth)[1], variables)


def test_other_floats_become_float32():
  state = {**STATE, "head.weight": STATE["head.weight"].astype(jnp.bfloat16), "head.bias": np.zeros(3, np.float64)}
  params = convert_motionbert.from_torch_state_dict(state)[1]["params"]
  assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {np.dtype(np.float32)}


def without(*names):
  return {k: v for k, v in STATE.items() if k not in names}


BAD = {
  "missing": (without("norm.bias", "ts_attn.1.weight"), r"missing keys: norm\.bias, ts_attn\.1\.weight \(2\)"),
  "extra": ({**STATE, "head2.weight": GOLD["y"]}, r"extra keys: head2\.weight \(1\)"),
  "a layer too many": (
    {**STATE, "ts_attn.2.bias": np.zeros(2, np.float32)},
    r"missing keys: blocks_st\.2\.attn_s.*\.\.\. \(",
  ),
  "a layer far away": (
    {**STATE, "ts_attn.999999999.bias": np.zeros(2, np.float32)},
    r"extra keys: ts_attn\.999999999\.bias",
  ),
  "not one": ({"fc.weight": np.zeros((2, 2), np.float32)}, "no weights of a DSTformer: joints_embed.weight, pos_embed"),
  "shape": ({**STATE, "norm.weight": np.zeros(31, np.float32)}, r"'norm\.weight' has shape \(31,\), expected \(32,\)"),
  "2D head": ({**STATE, "head.bias": np.zeros(2, np.float32)}, r"'head\.bias' has shape \(2,\), expected \(3,\)"),
  "axes": (
    {**STATE, "pos_embed": np.zeros((17, 32), np.float32)},
    r"'pos_embed' has shape \(17, 32\), expected 3 axes",
  ),
  "width": ({**STATE, "pos_embed": np.zeros((1, 17, 8), np.float32)}, r"'pos_embed'.*expected \(1, 17, 32\)"),
  "integers": ({**STATE, "norm.weight": np.zeros(32, np.int64)}, "'norm.weight' holds int64"),
  "NaN": ({**STATE, "norm.weight": np.full(32, np.nan, np.float32)}, "'norm.weight' holds NaN"),
  "empty": ({}, "holds no state dict"),
  "no weights": ({"model_pos": None, "epoch": 3}, "holds no state dict.*a dict of model_pos, epoch"),
  "a list": ([1, 2], "holds no state dict.*a list"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_checkpoints_are_clear_errors(tmp_path, name):
  state, message = BAD[name]
  with pytest.raises(ValueError, match=rf"x\.bin: .*{message}"):
    convert_motionbert.load_motionbert(written(tmp_path / "x.bin", state))


def test_other_variables_have_no_way_back():
  with pytest.raises(ValueError, match="lack 'pos_embed'"):
    convert_motionbert.to_torch_state_dict({"params": {"trunk": {}, "head": {}}})
