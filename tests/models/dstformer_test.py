"""The DSTformer: sizes, initial values, masks, and the options that must not change what it computes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxpose.models import dstformer
from jaxpose.models.lifter import Lifter, num_parameters, part

TINY = dict(dim_feat=16, dim_rep=12, depth=3, num_heads=2, maxlen=8)
X = jax.random.normal(jax.random.key(1), (2, 6, 17, 3))


@functools.cache
def variables(**options):
  """Variables whose every leaf is random, since a fresh model's fusion, biases and norms are constants."""
  fresh = dstformer.create(**TINY, **options).init(jax.random.key(0), X)
  leaves, tree = jax.tree.flatten(fresh)
  keys = jax.random.split(jax.random.key(2), len(leaves))
  return jax.tree.unflatten(tree, [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys)])


def apply(x=X, *, seed=None, mask=None, **options):
  model = dstformer.create(**TINY, **options)
  rngs = {} if seed is None else dict(rngs={"dropout": jax.random.key(seed)})
  return model.apply(variables(), x, train=seed is not None, mask=mask, **rngs)


@pytest.mark.parametrize("preset, count", [("motionbert", 42_466_317), ("motionbert_lite", 16_001_549)])
def test_presets_have_the_published_number_of_parameters(preset, count):
  model = dstformer.create(**dstformer.PRESETS[preset])
  shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 243, 17, 3)))
  assert num_parameters(shapes["params"]) == count


def test_the_small_preset_lifts_2d_clips():
  model = dstformer.create(**dstformer.PRESETS["small"])
  poses, fresh = jax.eval_shape(model.init_with_output, jax.random.key(0), jnp.zeros((4, 10, 17, 2)))
  assert poses.shape == (4, 10, 17, 3)
  assert part(fresh, "trunk")["params"]["joints_embed"]["kernel"].shape == (2, 64)


def test_it_is_a_lifter_of_trunk_and_head():
  model = dstformer.create(**TINY)
  assert isinstance(model, Lifter)
  features = model.trunk.apply(part(variables(), "trunk"), X)
  assert features.shape == (2, 6, 17, TINY["dim_feat"])
  poses = model.head.apply(part(variables(), "head"), features)
  np.testing.assert_allclose(poses, apply(), rtol=1e-5, atol=1e-6)


def test_initial_values_are_the_published_ones():
  params = dstformer.create(dim_feat=64, dim_rep=64, depth=2).init(jax.random.key(0), X)["params"]
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = jax.tree_util.keystr(path)
    if "fusion" in name:
      np.testing.assert_array_equal(leaf, 0.5 if "bias" in name else 0)
    elif "bias" in name or "scale" in name:
      np.testing.assert_array_equal(leaf, 1 if "scale" in name else 0)
    else:
      deviations = np.abs(leaf) / 0.02
      assert np.sqrt(np.mean(deviations**2)) == pytest.approx(1, abs=4 / np.sqrt(leaf.size)), name
      if leaf.size > 1000:
        assert deviations.max() > 2, f"{name} is cut at two standard deviations"
  assert not np.array_equal(*params["trunk"]["layers"]["st_spatial"]["qkv"]["kernel"])  # each layer its own draw


def test_a_fresh_fusion_averages_the_streams():
  st, ts = X, 2 * X
  fresh, fused = dstformer.Fusion().init_with_output(jax.random.key(0), st, ts)[::-1]
  assert set(fresh["params"]) == {"kernel", "bias"}
  np.testing.assert_allclose(fused, 1.5 * X, rtol=1e-6)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("options", [dict(remat=True), dict(unroll=3), dict(attention="xla")])
def test_how_it_is_computed_changes_nothing(options, train):
  def loss(params, **more):
    model = dstformer.create(**TINY, **more)
    return jnp.sum(model.apply({"params": params}, X, train=train, rngs={"dropout": jax.random.key(0)}) ** 2)

  value, gradient = jax.value_and_grad(loss)(variables()["params"])
  other, other_gradient = jax.value_and_grad(functools.partial(loss, **options))(variables()["params"])
  np.testing.assert_allclose(value, other, rtol=1e-5)
  for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(other_gradient)):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * float(jnp.abs(a).max()))


def test_layers_can_belong_to_the_head():
  for head_depth in range(TINY["depth"] + 1):
    model = dstformer.create(**TINY, head_depth=head_depth)
    params = jax.eval_shape(model.init, jax.random.key(0), X)["params"]
    stacks = [params[name].get("layers", {}).get("fusion", {"bias": np.zeros((0, 2))}) for name in ("trunk", "head")]
    assert [len(s["bias"].shape) and s["bias"].shape[0] for s in stacks] == [TINY["depth"] - head_depth, head_depth]
    assert num_parameters(params) == num_parameters(variables()["params"])


def test_frames_and_joints_are_told_apart():
  order = np.arange(6)[::-1]
  assert not np.allclose(apply(X[:, order]), apply()[:, order], atol=1e-3)
  order = np.arange(17)[::-1]
  assert not np.allclose(apply(X[:, :, order]), apply()[:, :, order], atol=1e-3)


@pytest.mark.parametrize("what", ["frame", "joint"])
def test_attention_reaches_every_frame_and_joint(what):
  # The seed's temporal attention mixes heads and leaves frames alone: there, one frame would not feel another.
  changed = X.at[:, 2].add(1) if what == "frame" else X.at[:, :, 5].add(1)
  moved = jnp.abs(apply(changed) - apply()).max((0, 3))  # [T, J]
  assert float(moved.min()) > 1e-5


def test_clips_of_a_batch_are_independent():
  np.testing.assert_allclose(apply(X[:1]), apply()[:1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding", [0.0, 1e6, np.nan])
@pytest.mark.parametrize("head_depth", [0, 2])
def test_a_padded_clip_gives_what_the_clip_alone_gives(padding, head_depth):
  model = dstformer.create(**TINY, head_depth=head_depth)
  own = variables(head_depth=head_depth)
  padded = X.at[0, 4:].set(padding)
  mask = jnp.ones((2, 6), bool).at[0, 4:].set(False)
  poses = model.apply(own, padded, mask=mask)
  np.testing.assert_allclose(poses[0, :4], model.apply(own, X[:1, :4])[0], rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(poses[1], model.apply(own, X)[1], rtol=1e-5, atol=1e-5)
  zeros = model.apply(own, X.at[0, 4:].set(0), mask=mask)
  np.testing.assert_array_equal(poses[0, :4], zeros[0, :4])  # not a bit of the padding gets through
  assert np.isfinite(poses).all()


def test_gaps_can_be_masked_too():
  mask = jnp.ones((2, 6), bool).at[:, 2].set(False)
  poses, changed = apply(mask=mask), apply(X.at[:, 2].set(9), mask=mask)
  np.testing.assert_array_equal(np.delete(poses, 2, 1), np.delete(changed, 2, 1))
  assert not np.allclose(np.delete(poses, 2, 1), np.delete(apply(), 2, 1), atol=1e-4)


def test_gradients_pass_a_mask_over_nan():
  mask = jnp.ones((2, 6), bool).at[0, 4:].set(False)
  x = X.at[0, 4:].set(jnp.nan)

  def loss(params):
    poses = dstformer.create(**TINY).apply({"params": params}, x, train=True, mask=mask)
    return jnp.sum(jnp.where(mask[..., None, None], poses, 0) ** 2)

  gradient = jax.grad(loss)(variables()["params"])
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("options", [dict(dropout=0.5), dict(drop_path=0.5)])
def test_dropout_acts_in_training_alone(options):
  np.testing.assert_array_equal(apply(**options), apply())
  np.testing.assert_array_equal(apply(seed=0, **options), apply(seed=0, **options))
  assert not np.allclose(apply(seed=0, **options), apply(seed=1, **options), atol=1e-3)


def test_drop_path_skips_branches_and_keeps_their_mean():
  options = dstformer.Options(2, 16, 0.0, 0.5, 3, False, 1, None, "float32")
  np.testing.assert_allclose(options.rates(), [0, 0.25, 0.5])
  stage = dstformer.Stage(options, train=True)
  rate, x = jnp.float32(0.25), jnp.ones((4000, 1, 1, 2))
  kept = stage.apply({}, x, rate, method="_branch", rngs={"dropout": jax.random.key(0)})
  assert set(np.unique(kept)) == {np.float32(0), np.float32(1 / 0.75)}
  assert float(kept.mean()) == pytest.approx(1, abs=0.05)


def test_bfloat16_computes_near_float32_and_returns_it():
  poses = apply(dtype="bfloat16")
  assert poses.dtype == jnp.float32
  np.testing.assert_allclose(poses, apply(), atol=0.1 * float(jnp.abs(apply()).max()))
  jaxpr = str(jax.make_jaxpr(lambda x: apply(x, dtype="bfloat16"))(X))
  exponents = [line for line in jaxpr.splitlines() if "= exp " in line]
  assert exponents and all(":f32[" in line for line in exponents)  # softmax in float32


def test_a_training_step_moves_every_parameter():
  def loss(params):
    poses = dstformer.create(**TINY, drop_path=0.1, dropout=0.1).apply(
      {"params": params}, X, train=True, rngs={"dropout": jax.random.key(0)}
    )
    return jnp.mean((poses - 1) ** 2)

  gradient = jax.grad(loss)(variables()["params"])
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
    if "temp_embed" in jax.tree_util.keystr(path):
      np.testing.assert_array_equal(leaf[6:], 0)  # longer clips than these use them
      leaf = leaf[:6]
    assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, jax.tree_util.keystr(path)


@pytest.mark.parametrize(
  "x, options, message",
  [
    (jnp.zeros((1, 9, 17, 3)), {}, "9 frames is longer than this DSTformer's maxlen=8.*windows"),
    (jnp.zeros((1, 8, 16, 3)), {}, r"expected \[B, T, 17, C\]"),
    (jnp.zeros((1, 8, 17, 2)), dict(dim_in=3), r"shape \(1, 8, 17, 2\), expected \[B, T, 17, 3\].*confidence"),
  ],
)
def test_wrong_inputs_are_clear_errors(x, options, message):
  with pytest.raises(ValueError, match=message):
    dstformer.create(**TINY, **options).init(jax.random.key(0), x)


@pytest.mark.parametrize(
  "options, message",
  [
    (dict(dim_feat=20, num_heads=8), "dim_feat=20 is not divisible by num_heads=8"),
    (dict(depth=0), "depth=0, expected at least 1"),
    (dict(dim_in=0), "dim_in=0"),
    (dict(head_depth=6), "head_depth=6"),
    (dict(drop_path=1.0), "drop_path=1.0"),
    (dict(mlp_ratio=0), "mlp_ratio=0"),
    (dict(dtype="float16"), "dtype='float16', expected one of float32, bfloat16"),
    (dict(attention="flash"), "attention='flash'"),
    (dict(head_activation="gelu"), "head_activation='gelu', expected one of tanh, relu"),
  ],
)
def test_wrong_options_are_clear_errors(options, message):
  with pytest.raises(ValueError, match=message):
    dstformer.create(**options)
